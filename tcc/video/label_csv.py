"""Label files in CSV: phases in seconds, or one phase per frame."""

from __future__ import annotations

import dataclasses
import math
import re
import sys
from collections import defaultdict
from pathlib import Path
from typing import Dict, Iterable, List, Mapping, Sequence, Tuple, Union

from tcc.errors import LabelError
from tcc.video.clip_labels import FramePhases, Labels, Segment, action_order, nanoseconds
from tcc.video.clip_rows import OPTIONAL_COLUMNS, ClipFacts, Row, place, read_rows
from tcc.video.phase_names import name_phases

SEGMENT_COLUMNS = ("clip", "start_seconds", "end_seconds", "phase")
FRAME_COLUMNS = ("clip", "frame", "phase")
_FRAME_NUMBER = re.compile(r"[0-9]{1,9}")
# Stricter than float(), which also takes 1_5, nan and digits of other scripts.
_SECONDS = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?", re.IGNORECASE)


def read_label_csv(path: Union[str, Path], *, drop: bool, phases: Sequence[str]) -> Labels:
    """As `read_labels`, of a CSV file; `drop` stands for bad_labels="drop"."""
    columns, rows = read_rows(path, SEGMENT_COLUMNS, FRAME_COLUMNS)
    facts = ClipFacts()
    labelled = _labelled_rows(rows, columns, facts)
    segments: Dict[str, List[Segment]] = {}
    frames: Dict[str, FramePhases] = {}
    warnings: Tuple[str, ...] = ()
    if columns == SEGMENT_COLUMNS:
        segments, warnings = _read_segments(str(path), labelled, drop)
    else:
        frames = _read_frames(labelled)
    naming = name_phases(_first_places(segments, frames), phases, str(path))
    segments = {
        clip: [dataclasses.replace(one, phase=naming.names[one.phase]) for one in found]
        for clip, found in segments.items()
    }
    frames = {
        clip: dataclasses.replace(found, phases=tuple(naming.names[phase] for phase in found.phases))
        for clip, found in frames.items()
    }
    return Labels(
        str(path),
        segments,
        facts.splits,
        naming.order or action_order(segments, frames),
        dict(sorted(facts.lines.items())),
        frames,
        facts.groups,
        warnings,
        phases_given=bool(naming.order),
        drop_unknown=drop,
    )


def _labelled_rows(rows: Iterable[Row], columns: Sequence[str], facts: ClipFacts) -> Iterable[Row]:
    """Rows with labels; what all rows say of their clips goes to `facts` on the way."""
    for row in rows:
        facts.add(row)
        tells_clip_only = any(row.values[name] for name in OPTIONAL_COLUMNS)
        if not tells_clip_only or any(row.values[name] for name in columns[1:]):
            yield row


def _read_segments(path: str, rows: Iterable[Row], drop: bool) -> Tuple[Dict[str, List[Segment]], Tuple[str, ...]]:
    segments: Dict[str, List[Segment]] = defaultdict(list)
    warnings = []
    for row in rows:
        segment = _segment(row, drop)
        if segment.is_empty:
            warnings.append(
                f"{path}, {place(row.line, row.clip)}: {segment.phase} ends where it starts, at"
                f" {segment.start_seconds:g} s; correct its times or delete the line (left out)"
            )
        else:
            segments[row.clip].append(segment)
    return {clip: _ordered(path, clip, found) for clip, found in segments.items()}, tuple(warnings)


def _segment(row: Row, drop: bool) -> Segment:
    start = _seconds(row, "start_seconds")
    end = _seconds(row, "end_seconds") if row.values["end_seconds"] else math.inf
    if start < 0:
        raise row.refuse(f"start_seconds {start} is negative; times count from the clip's first frame")
    if end < start or (end == start and not drop):
        fix = "correct them or delete the line" + (
            ", or leave it out by [clips] bad_labels = drop" if end == start else ""
        )
        raise row.refuse(f"end_seconds {end} is not after start_seconds {start}; {fix}")
    if not row.values["phase"]:
        raise row.refuse("has no phase; name it, or delete the line (frames outside any segment stay unlabelled)")
    return Segment(start, end, row.values["phase"], row.line)


def _seconds(row: Row, column: str) -> float:
    text = row.values[column]
    if not _SECONDS.fullmatch(text) or math.isinf(float(text)):
        until_end = "; or leave it empty: until the end of the clip" if column == "end_seconds" else ""
        raise row.refuse(
            f"{column} {text!r} is not a number; write seconds with a decimal point, such as 1.5{until_end}"
        )
    return float(text)


def _ordered(path: str, clip: str, segments: List[Segment]) -> List[Segment]:
    ordered = sorted(segments, key=lambda segment: (segment.start_seconds, segment.line))
    for before, after in zip(ordered, ordered[1:]):
        if math.isinf(before.end_seconds):
            raise LabelError(
                f"{path}, {place(before.line, clip)}: {before.phase} has no end_seconds, and {after.phase} of line"
                f" {after.line} comes after it; write its end, only the last segment of a clip may do without"
            )
        if nanoseconds(after.start_seconds) < nanoseconds(before.end_seconds):
            raise LabelError(
                f"{path}, {place(after.line, clip)}: {after.phase} starts at {after.start_seconds}, inside"
                f" {before.phase} of line {before.line}, which ends at {before.end_seconds}; segments may not overlap"
            )
    return ordered


def _read_frames(rows: Iterable[Row]) -> Dict[str, FramePhases]:
    found: Dict[str, Dict[int, Tuple[str, int]]] = defaultdict(dict)
    for row in rows:
        number = _frame_number(row)
        earlier = found[row.clip].setdefault(number, (sys.intern(row.values["phase"]), row.line))
        if earlier[1] != row.line:
            raise row.refuse(f"frame {number} is there already, on line {earlier[1]}; keep one of the lines")
    return {clip: frame_phases for clip, frames in found.items() for frame_phases in _frame_phases(frames)}


def _frame_number(row: Row) -> int:
    text = row.values["frame"]
    if not _FRAME_NUMBER.fullmatch(text):
        raise row.refuse(f"frame {text!r} is not a frame's number; count the frames of the video from 0, without gaps")
    return int(text)


def _frame_phases(frames: Mapping[int, Tuple[str, int]]) -> List[FramePhases]:
    """The labelled frames of a clip, if there are any."""
    rows = [(number, *frames[number]) for number in sorted(frames) if frames[number][0]]
    return [FramePhases(*zip(*rows))] if rows else []


def _first_places(segments: Mapping[str, Sequence[Segment]], frames: Mapping[str, FramePhases]) -> Dict[str, str]:
    """Where each phase is met first, in the order of lines."""
    first: Dict[str, Tuple[int, str]] = {}
    labels = [(one.phase, one.line, clip) for clip, found in segments.items() for one in found]
    labels += [(run.phase, run.line, clip) for clip, phases in frames.items() for run in phases.runs()]
    for phase, line, clip in labels:
        first[phase] = min(first.get(phase, (line, clip)), (line, clip))
    return {phase: place(*first[phase]) for phase in sorted(first, key=lambda phase: first[phase])}
