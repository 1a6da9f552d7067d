"""What a label file says of its clips, and the labels of sampled frames that follow from it."""

from __future__ import annotations

import dataclasses
import itertools
import math
from dataclasses import dataclass, field
from typing import Any, Dict, Iterable, List, Mapping, NamedTuple, Optional, Sequence, Tuple, TypeVar

import numpy as np

from tcc.errors import LabelError
from tcc.sequences import UNLABELLED
from tcc.video.clip_names import resolve_names
from tcc.video.clip_rows import place, refuse_all
from tcc.video.phase_names import order_by_position

_T = TypeVar("_T")
# 285 years: what is later, and the end of a clip that is told as infinity, lies after every frame.
_LAST_SECOND = 9e9


@dataclass(frozen=True)
class Segment:
    """One phase of one clip: start_seconds <= t < end_seconds; `line` of the file says where it was written (0: nowhere).

    An end of infinity is the end of the clip.
    """

    start_seconds: float
    end_seconds: float
    phase: str
    line: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether it holds no time at all."""
        return self.end_seconds == self.start_seconds


class FrameRun(NamedTuple):
    """Frames `first` to `last` of one clip, all of one phase; `line` of the file has the first of them."""

    first: int
    last: int
    phase: str
    line: int


@dataclass(frozen=True)
class FramePhases:
    """Phases of single frames of one clip.

    Attributes:
      frames: numbers of the labelled frames of the source video, ascending; 0 is the first one that is shown.
      phases: of each.
      lines: of the file, of each.
    """

    frames: Tuple[int, ...]
    phases: Tuple[str, ...]
    lines: Tuple[int, ...]

    def runs(self) -> List[FrameRun]:
        """The longest stretches of frames without a gap that have one phase."""
        rows = zip(self.frames, self.phases, self.lines)
        stretches = itertools.groupby(enumerate(rows), key=lambda item: (item[1][0] - item[0], item[1][1]))
        runs = []
        for _, group in stretches:
            members = [row for _, row in group]
            first, phase, line = members[0]
            runs.append(FrameRun(first, members[-1][0], phase, line))
        return runs

    def before(self, frame: int) -> FramePhases:
        """Without `frame` and what comes after it."""
        count = sum(number < frame for number in self.frames)
        return FramePhases(self.frames[:count], self.phases[:count], self.lines[:count])


@dataclass(frozen=True)
class Labels:
    """A label file. A clip has segments, or phases of frames, or no labels.

    Attributes:
      path: the file, for messages.
      segments: of each clip that is labelled in seconds, ordered by time.
      splits: of each clip that the file gives one.
      phases: names in order: as given, by number, or by their mean relative position among the phases of the clips.
      lines: first line of each clip, for messages; 0 where the file has no lines.
      frames: of each clip that is labelled by frame.
      groups: of each clip that the file gives one: clips that belong into one split, as of one person or camera take.
      warnings: what was left out or changed, each with its place and the fix.
      phases_given: the order of the phases does not follow from the labels.
      drop_unknown: leave out clips that do not exist, with a warning, instead of refusing them.
    """

    path: str
    segments: Dict[str, List[Segment]]
    splits: Dict[str, str]
    phases: Tuple[str, ...]
    lines: Dict[str, int]
    frames: Dict[str, FramePhases] = field(default_factory=dict)
    groups: Dict[str, str] = field(default_factory=dict)
    warnings: Tuple[str, ...] = ()
    phases_given: bool = False
    drop_unknown: bool = False

    def check_against(self, names: Sequence[str]) -> Labels:
        """These labels under the names of the clips that exist.

        A clip may be written without its folder or suffix where that leaves no doubt.

        Raises: LabelError if a clip is ambiguous or written in two ways, or, unless labels were read with
          bad_labels="drop", unknown.
        """
        resolved, unknown = resolve_names(self.lines, names, self.path)
        problems = [f"{place(self.lines[clip], clip)}: {problem}" for clip, problem in unknown.items()]
        if problems and not self.drop_unknown:
            raise refuse_all(self.path, problems)
        segments, frames = _renamed(self.segments, resolved), _renamed(self.frames, resolved)
        return dataclasses.replace(
            self,
            segments=segments,
            splits=_renamed(self.splits, resolved),
            phases=self.phases if self.phases_given or not unknown else action_order(segments, frames),
            lines=_renamed(self.lines, resolved),
            frames=frames,
            groups=_renamed(self.groups, resolved),
            warnings=(*self.warnings, *(f"{self.path}, {problem} (left out)" for problem in problems)),
        )

    def label_frames(self, clip: str, timestamps: np.ndarray, source_frames: Optional[np.ndarray] = None) -> np.ndarray:
        """Index into `phases` for each sampled frame of a clip; UNLABELLED (-1) where it has none. int64 [T].

        Args:
          timestamps: float64 [T], seconds from the start of the clip.
          source_frames: int64 [T], number of each frame in the source video; needed for labels by frame alone.
        Raises: LabelError if the numbers are needed and not there.
        """
        if clip not in self.frames:
            return frame_labels(self.segments.get(clip, ()), self.phases, timestamps)
        if source_frames is None:
            raise LabelError(
                f"{self.path}, {place(self.lines[clip], clip)}: is labelled by frame, and the numbers of its sampled"
                " frames are not known; decode it again, or label it in seconds"
            )
        return _look_up(self.frames[clip], self.phases, source_frames)

    def num_segments(self, clip: str) -> int:
        """How many segments a clip has; labelled by frame, how many stretches of frames of one phase."""
        return len(self.frames[clip].runs()) if clip in self.frames else len(self.segments.get(clip, ()))

    def identity(self, clips: Iterable[str]) -> Dict[str, Any]:
        """What the labels of these clips are, for a fingerprint: plain lists and dictionaries; infinity is None."""
        wanted = list(clips)
        return {
            "phases": list(self.phases),
            "segments": {
                clip: [
                    [one.start_seconds, None if math.isinf(one.end_seconds) else one.end_seconds, one.phase]
                    for one in self.segments.get(clip, ())
                ]
                for clip in wanted
            },
            "frames": {
                clip: [[run.first, run.last, run.phase] for run in self.frames[clip].runs()]
                for clip in wanted
                if clip in self.frames
            },
        }


def frame_labels(segments: Sequence[Segment], phases: Sequence[str], timestamps: np.ndarray) -> np.ndarray:
    """Index into `phases` for each time in seconds; UNLABELLED (-1) outside any segment. int64 [T].

    Times are compared in whole nanoseconds, so that 0.1 + 0.2 lies in a segment that starts at 0.3.

    Raises: LabelError if a segment's phase is not among `phases`.
    """
    times = nanoseconds(timestamps)
    labels = np.full(len(times), UNLABELLED, np.int64)
    for segment in segments:
        start, end = nanoseconds([segment.start_seconds, segment.end_seconds])
        labels[(times >= start) & (times < end)] = _index(segment.phase, phases)
    return labels


def nanoseconds(seconds: Any) -> np.ndarray:
    """Whole nanoseconds, int64; infinity becomes a time after every frame."""
    return np.round(np.minimum(np.asarray(seconds, np.float64), _LAST_SECOND) * 1e9).astype(np.int64)


def action_order(segments: Mapping[str, Sequence[Segment]], frames: Mapping[str, FramePhases]) -> Tuple[str, ...]:
    """Names of the phases in the order of the action."""
    return order_by_position(
        [
            *([one.phase for one in found] for found in segments.values()),
            *([run.phase for run in found.runs()] for found in frames.values()),
        ]
    )


def _look_up(found: FramePhases, phases: Sequence[str], source_frames: np.ndarray) -> np.ndarray:
    indices = {phase: _index(phase, phases) for phase in set(found.phases)}
    labels = {frame: indices[phase] for frame, phase in zip(found.frames, found.phases)}
    return np.array([labels.get(int(frame), UNLABELLED) for frame in source_frames], np.int64)


def _index(phase: str, phases: Sequence[str]) -> int:
    if phase not in phases:
        raise LabelError(f"phase {phase!r} is not among the phases {list(phases)}; pass all phases of the labels")
    return list(phases).index(phase)


def _renamed(values: Mapping[str, _T], names: Mapping[str, str]) -> Dict[str, _T]:
    return {names[clip]: value for clip, value in values.items() if clip in names}
