"""The reference's labels: several annotators per clip, segments in microseconds, one segment per phase."""

from __future__ import annotations

import dataclasses
import json
import math
from collections import defaultdict
from pathlib import Path
from typing import Any, Dict, List, Mapping, NoReturn, Sequence, Tuple, Union

import numpy as np

from tcc.errors import LabelError
from tcc.sequences import UNLABELLED
from tcc.video.clip_labels import Labels, Segment
from tcc.video.clip_rows import place, read_text
from tcc.video.phase_names import is_integer, number_phases

Interval = Tuple[float, float]
Annotations = Dict[str, Dict[str, Sequence[float]]]

# All numbers below the highest one count as phases; a slip of the pen must not make a million of them.
_MAX_PHASES = 1000
_LAST_MICROSECOND = 9e15  # 285 years; also keeps integers of any length out of float()
_NESTING = '{video: {annotator: {"0": [start, end], ...}}} with times in microseconds'


def read_annotations(path: Union[str, Path], *, drop: bool, phases: Sequence[str]) -> Labels:
    """As `read_labels`, of a JSON file of the reference; `drop` stands for bad_labels="drop".

    The first segment of a clip starts at 0 and the last one ends at infinity, as the reference labels what is before and
    after them.
    """
    segments: Dict[str, List[Segment]] = {}
    warnings: List[str] = []
    videos = _read_videos(path)
    for video, annotators in videos.items():
        where = f"{path}, {place(0, video)}"
        means = _means(_annotations(annotators, where))
        where += f", annotator {' and '.join(map(repr, annotators))}"
        dropped = [phase for phase, (start, end) in means.items() if drop and start == end]
        warnings += [
            f"{where}, phase {phase}: ends where it starts, at {means[phase][0]:g} s; correct its annotations (left out)"
            for phase in dropped
        ]
        kept = {phase: interval for phase, interval in means.items() if phase not in dropped}
        if kept:
            segments[video] = _segments(kept, where)
    places = {one.phase: place(0, video) for video in reversed(list(segments)) for one in segments[video]}
    naming = number_phases(places, phases, str(path))
    highest = max(map(int, places), default=-1)
    return Labels(
        path=str(path),
        segments={
            video: [dataclasses.replace(one, phase=naming.names[one.phase]) for one in found]
            for video, found in segments.items()
        },
        splits={},
        phases=tuple(phases) or tuple(str(number) for number in range(highest + 1)),
        lines=dict.fromkeys(sorted(videos), 0),
        warnings=tuple(warnings),
        phases_given=True,
        drop_unknown=drop,
    )


def merge_annotations(annotations_us: Mapping[str, Mapping[str, Sequence[float]]]) -> Dict[str, Interval]:
    """One segment per phase from several annotators: mean start and end, gaps and overlaps closed at the midpoint.

    Args:
      annotations_us: {annotator: {phase: (start, end)}} in microseconds.
    Returns: {phase: (start, end)} in seconds; phases in the order first met; neighbours share a boundary.
    Raises: LabelError if a phase ends before it starts on average.
    """
    return _closed(_means(annotations_us))


def _means(annotations_us: Mapping[str, Mapping[str, Sequence[float]]]) -> Dict[str, Interval]:
    """Mean start and end of each phase, in seconds."""
    drawn: Dict[str, List[Sequence[float]]] = defaultdict(list)
    for phases in annotations_us.values():
        for phase, interval in phases.items():
            drawn[phase].append(interval)
    means = {phase: np.mean(np.asarray(intervals, np.float64), axis=0) / 1e6 for phase, intervals in drawn.items()}
    return {phase: (float(start), float(end)) for phase, (start, end) in means.items()}


def _closed(means: Mapping[str, Interval]) -> Dict[str, Interval]:
    for phase, (start, end) in means.items():
        if end <= start:
            raise LabelError(
                f"phase {phase}: ends at {end:.6f} s, not after its start {start:.6f} s; correct its annotations"
            )
    merged = {phase: list(interval) for phase, interval in means.items()}
    in_time = sorted(merged, key=lambda phase: tuple(merged[phase]))
    for before, after in zip(in_time, in_time[1:]):
        merged[before][1] = merged[after][0] = (merged[before][1] + merged[after][0]) / 2
    return {phase: (start, end) for phase, (start, end) in merged.items()}


def label_timestamps(merged: Mapping[str, Interval], timestamps: np.ndarray) -> np.ndarray:
    """Phase of each time in seconds, int64 [T]: the reference's rule, which labels every frame.

    Times before the first segment take its phase, times after the last one that one's; phases are integers written as
    text. In a gap, which merged annotations do not have, the label is UNLABELLED (the reference drops the frame).

    Raises: LabelError if there is no segment or a phase is not an integer.
    """
    if not merged:
        raise LabelError("no segments; a clip needs at least one")
    phases = _integers(merged)
    starts, ends = np.array([merged[phase] for phase in merged], np.float64).T
    times = np.asarray(timestamps, np.float64)
    labels = np.full(len(times), UNLABELLED, np.int64)
    for phase, start, end in zip(phases, starts, ends):
        labels[(times >= start) & (times < end)] = phase
    labels[times < starts.min()] = phases[int(np.argmin(starts))]
    labels[times >= ends.max()] = phases[int(np.argmax(ends))]
    return labels


def _integers(merged: Mapping[str, Interval]) -> List[int]:
    try:
        return [int(phase) for phase in merged]
    except ValueError as error:
        raise LabelError(f"phases must be integers, got {sorted(merged)}; number them from 0 in order") from error


def _read_videos(path: Union[str, Path]) -> Dict[str, Any]:
    text = read_text(path, "JSON")
    try:
        videos = json.loads(text, object_pairs_hook=_without_repetition, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise LabelError(f"{path}, line {error.lineno}: not JSON ({error.msg}); it must be {_NESTING}") from error
    except (ValueError, RecursionError) as error:
        raise LabelError(f"{path}: not usable JSON ({error}); it must be {_NESTING}") from error
    return _object(videos, str(path))


def _without_repetition(pairs: List[Tuple[str, Any]]) -> Dict[str, Any]:
    found: Dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"{key!r} is there twice in one object")
        found[key] = value
    return found


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a number of JSON")


def _object(value: Any, where: str) -> Dict[str, Any]:
    if not isinstance(value, dict):
        raise LabelError(f"{where}: holds {_shown(value)} where an object belongs; the file must be {_NESTING}")
    return value


def _annotations(annotators: Any, where: str) -> Annotations:
    """Annotations of one video, checked; phases as plain numbers. At least one annotator drew at least one phase."""
    found: Annotations = {}
    for annotator, phases in _object(annotators, where).items():
        of_annotator = f"{where}, annotator {annotator!r}"
        found[annotator] = {}
        for phase, interval in _object(phases, of_annotator).items():
            in_phase = f"{of_annotator}, phase {phase!r}"
            number = _phase_number(phase, in_phase)
            if number in found[annotator]:
                raise LabelError(f"{in_phase}: is there twice in two spellings; keep one of them")
            found[annotator][number] = _interval(interval, in_phase)
    if not any(found.values()):
        raise LabelError(f"{where}: has no segment; annotate the video or remove it from the file")
    return found


def _phase_number(phase: str, where: str) -> str:
    if not is_integer(phase) or not 0 <= int(phase) < _MAX_PHASES:
        raise LabelError(
            f"{where}: is not a number from 0 to {_MAX_PHASES - 1}; number the phases from 0, and name them by phases"
        )
    return str(int(phase))


def _interval(value: Any, where: str) -> Sequence[float]:
    numbers = value if isinstance(value, list) else []
    if len(numbers) != 2 or not all(type(one) in (int, float) and abs(one) < _LAST_MICROSECOND for one in numbers):
        raise LabelError(f"{where}: {_shown(value)} is not a start and an end; write [start, end] in microseconds")
    if min(numbers) < 0:
        raise LabelError(f"{where}: {_shown(value)} has a negative time; times count from the clip's first frame")
    return [float(one) for one in numbers]


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _segments(means: Mapping[str, Interval], where: str) -> List[Segment]:
    """Segments of one clip in the order of time, from its beginning to its end."""
    try:
        merged = _closed(means)
    except LabelError as error:
        raise LabelError(f"{where}, {error}") from error
    in_time = sorted(merged, key=lambda phase: means[phase])
    for phase in in_time:
        start, end = merged[phase]
        if end <= start:
            raise LabelError(
                f"{where}, phase {phase}: its neighbours overlap it so far that nothing is left of it; correct its start"
                f" {means[phase][0]:.6f} s and end {means[phase][1]:.6f} s, or theirs"
            )
    starts = [0.0, *(merged[phase][0] for phase in in_time[1:])]
    ends = [*(merged[phase][1] for phase in in_time[:-1]), math.inf]
    return [Segment(start, end, phase) for start, end, phase in zip(starts, ends, in_time)]
