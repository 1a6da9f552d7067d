"""Labels compared with the videos they belong to, and what in them is allowed but likely a mistake."""

from __future__ import annotations

import dataclasses
import math
from typing import Dict, List, Mapping, NamedTuple, Sequence, Tuple

from tcc.video.clip_labels import FramePhases, Labels, Segment, nanoseconds
from tcc.video.clip_rows import NAMED_PROBLEMS, place, refuse_all


class _Stretch(NamedTuple):
    """One phase of one clip from start to before end, in seconds or frames."""

    start: float
    end: float
    phase: str
    line: int


def check_durations(labels: Labels, clips: Mapping[str, Tuple[float, float, int]]) -> Labels:
    """These labels, cut to the length of the videos.

    A segment that ends up to one frame later than its clip is cut there, and the label of the frame right after the last
    one is left out, both with a warning; infinity becomes the end without one.

    Args:
      clips: {clip: (duration in seconds, time of one frame in seconds, number of frames)}; other clips are passed over.
    Raises: LabelError for segments that start at the end or later, or end more than one frame later, and for labels of
      frames further on; the first ones are named with file, line, clip and the fix.
    """
    problems: List[str] = []
    warnings: List[str] = []
    segments, frames = dict(labels.segments), dict(labels.frames)
    for clip in sorted(set(clips) & {*segments, *frames}):
        duration, period, num_frames = clips[clip]
        for one in segments.get(clip, ()):
            where = place(one.line or labels.lines[clip], clip)
            problems += [f"{where}: {problem}" for problem in _misfits(one, duration, period)]
            warnings += [f"{labels.path}, {where}: {text}" for text in _overhang(one, duration)]
        if clip in segments:
            segments[clip] = [_cut(one, duration) for one in segments[clip]]
        if clip in frames:
            problems += _frames_beyond(frames[clip], clip, num_frames)
            warnings += [f"{labels.path}, {text}" for text in _frame_after(frames[clip], clip, num_frames)]
            frames[clip] = frames[clip].before(num_frames)
    if problems:
        raise refuse_all(labels.path, problems)
    return dataclasses.replace(labels, segments=segments, frames=frames, warnings=(*labels.warnings, *warnings))


def label_warnings(labels: Labels) -> List[str]:
    """What is allowed and likely a mistake: gaps, and phases that are missing, repeated or out of order.

    Each text names file, line, clip, what follows from it, and the fix. Clips without labels are passed over.
    """
    used = {one.phase for found in _stretches(labels).values() for one in found}
    unused = [
        f"{labels.path}: phase {phase!r} occurs in no clip; progression is undefined for all clips; label it, or remove"
        " its name"
        for phase in labels.phases
        if used and phase not in used
    ]
    return [*unused, *(text for texts in clip_warnings(labels).values() for text in texts)]


def clip_warnings(labels: Labels) -> Dict[str, List[str]]:
    """Those of `label_warnings` that are about one clip; {clip: texts} for the clips that have any."""
    stretches = _stretches(labels)
    used = {one.phase for found in stretches.values() for one in found}
    order = [phase for phase in labels.phases if phase in used]
    warnings: Dict[str, List[str]] = {}
    for clip in sorted(stretches):
        unit = "seconds" if clip in labels.segments else "frames"
        where = f"{labels.path}, {place(labels.lines[clip], clip)}"
        warnings[clip] = [f"{labels.path}, {text}" for text in _gap_warnings(clip, stretches[clip], unit)]
        warnings[clip] += [
            f"{where}: {problem}; progression is undefined for this clip; correct its labels if that is not what it shows"
            for problem in _disorder(stretches[clip], order)
        ]
    return {clip: texts for clip, texts in warnings.items() if texts}


def labelled_phases(labels: Labels) -> Dict[str, List[str]]:
    """The phases of each labelled clip, in the order in which they are labelled; one that comes again is there again."""
    return {clip: [one.phase for one in found] for clip, found in _stretches(labels).items()}


def _stretches(labels: Labels) -> Dict[str, List[_Stretch]]:
    stretches = {clip: _of_segments(found) for clip, found in labels.segments.items()}
    stretches.update((clip, _of_frames(found)) for clip, found in labels.frames.items())
    return stretches


def _misfits(segment: Segment, duration: float, period: float) -> List[str]:
    """Why a segment cannot be of this video, in one text."""
    start, end, last, frame = nanoseconds([segment.start_seconds, segment.end_seconds, duration, period])
    if start >= last:
        problem = f"{segment.phase} starts at {_seconds(segment.start_seconds)}, not before"
    elif end > last + frame and not math.isinf(segment.end_seconds):
        late = _seconds(segment.end_seconds - duration)
        problem = f"{segment.phase} ends at {_seconds(segment.end_seconds)}, {late} after"
    else:
        return []
    fix = "correct its times, or check that the label belongs to this video"
    return [f"{problem} the end of the video at {_seconds(duration)}; {fix}"]


def _overhang(segment: Segment, duration: float) -> List[str]:
    """That a segment ends after the video, in one text."""
    end, last = nanoseconds([segment.end_seconds, duration])
    if end <= last or math.isinf(segment.end_seconds):
        return []
    return [
        f"{segment.phase} ends at {_seconds(segment.end_seconds)}, at most a frame after the end of the video at"
        f" {_seconds(duration)}; write that time (cut there)"
    ]


def _seconds(value: float) -> str:
    return f"{value:.10g} s"


def _cut(segment: Segment, duration: float) -> Segment:
    return dataclasses.replace(segment, end_seconds=min(segment.end_seconds, duration))


def _frames_beyond(found: FramePhases, clip: str, num_frames: int) -> List[str]:
    return [
        f"{place(line, clip)}: frame {frame} is labelled {phase}, the last frame of the video is {num_frames - 1}; count"
        " the frames from 0, or check that the label belongs to this video"
        for frame, phase, line in zip(found.frames, found.phases, found.lines)
        if frame > num_frames
    ]


def _frame_after(found: FramePhases, clip: str, num_frames: int) -> List[str]:
    return [
        f"{place(line, clip)}: frame {frame} is labelled {phase}, the last frame of the video is {frame - 1}; delete the"
        " line, and check that frames count from 0 (left out)"
        for frame, phase, line in zip(found.frames, found.phases, found.lines)
        if frame == num_frames
    ]


def _of_segments(segments: Sequence[Segment]) -> List[_Stretch]:
    return [_Stretch(one.start_seconds, one.end_seconds, one.phase, one.line) for one in segments]


def _of_frames(frames: FramePhases) -> List[_Stretch]:
    return [_Stretch(run.first, run.last + 1, run.phase, run.line) for run in frames.runs()]


def _gap_warnings(clip: str, stretches: Sequence[_Stretch], unit: str) -> List[str]:
    gaps = [(before, after) for before, after in zip(stretches, stretches[1:]) if _apart(before.end, after.start, unit)]
    if not gaps:
        return []
    named = ", ".join(_span(before.end, after.start, unit) for before, after in gaps[:NAMED_PROBLEMS])
    more = f" and {len(gaps) - NAMED_PROBLEMS} times more" if len(gaps) > NAMED_PROBLEMS else ""
    return [
        f"{place(gaps[0][1].line, clip)}: no phase {named}{more}; frames there get no label and leave the metrics that"
        " need labels; let a phase end where the next one starts if no such gap is meant"
    ]


def _apart(end: float, start: float, unit: str) -> bool:
    return bool(nanoseconds(end) < nanoseconds(start)) if unit == "seconds" else end < start


def _span(end: float, start: float, unit: str) -> str:
    if unit == "seconds":
        return f"from {_seconds(end)} to {_seconds(start)}"
    return f"in frame {end}" if start == end + 1 else f"in frames {end} to {start - 1}"


def _disorder(stretches: Sequence[_Stretch], phases: Sequence[str]) -> List[str]:
    """Why the clip does not show each of the phases once and in order, in one text; a gap does not end a phase."""
    runs = [one for before, one in zip([None, *stretches], stretches) if before is None or before.phase != one.phase]
    problems = []
    for phase in phases:
        lines = [str(one.line) for one in runs if one.phase == phase and one.line]
        count = sum(one.phase == phase for one in runs)
        if count == 0:
            problems.append(f"phase {phase!r} is missing")
        if count > 1:
            problems.append(f"phase {phase!r} is repeated" + (f" (lines {', '.join(lines)})" if lines else ""))
    for before, after in zip(runs, runs[1:]):
        if len({one.phase for one in runs}) == len(runs) and phases.index(after.phase) < phases.index(before.phase):
            problems.append(f"phase {after.phase!r} comes after {before.phase!r}")
    return ["; ".join(problems)] if problems else []
