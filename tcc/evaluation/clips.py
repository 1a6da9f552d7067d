"""What the metrics ask of clips: which can be used, where their phases begin and end."""

from __future__ import annotations

from typing import Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple, Union

import numpy as np

from tcc.alignment.distance import check_distance
from tcc.errors import SettingsError, ShapeError
from tcc.evaluation.result import left_out, nothing_left
from tcc.sequences import UNLABELLED, ClipSequence
from tcc.shapes import check_rank

# float32 keeps 7 digits: what differs by less than this share of the largest value is noise of the arithmetic.
CONSTANT_TOLERANCE = 1e-6

CONSTANT = "constant embedding"
NO_LABEL = "no labelled frame"

Usable = Tuple[List[ClipSequence], List[Dict[str, str]]]  # the clips that are kept; what was left out and why


class PhaseRun(NamedTuple):
    """Frames first..last that follow each other with the same phase, frames without a label in between left aside."""

    phase: int
    first: int
    last: int


def check_clips(name: str, clips: Sequence[ClipSequence], *, num_phases: Optional[int] = None) -> None:
    """Raise ShapeError unless all embeddings are [T, D] with one D and all labels lie in -1..num_phases-1."""
    for clip in clips:
        check_rank(f"{name}: clip {clip.name}", clip.values, 2, axes="T D")
    sizes = {clip.values.shape[1] for clip in clips}
    if len(sizes) > 1:
        raise ShapeError(f"{name}: all clips need the same embedding size D, got {sorted(sizes)}")
    for clip in clips:
        if num_phases is not None and len(clip) and not -1 <= clip.labels.min() <= clip.labels.max() < num_phases:
            raise ShapeError(
                f"{name}: clip {clip.name}: labels must lie in -1..{num_phases - 1} for {num_phases} phases, "
                f"got {clip.labels.min()}..{clip.labels.max()}"
            )


def check_same_size(train: Sequence[ClipSequence], test: Sequence[ClipSequence]) -> None:
    """Raise ShapeError if training and test embeddings differ in D."""
    if train and test and train[0].values.shape[1] != test[0].values.shape[1]:
        raise ShapeError(
            f"train and test: all clips need the same embedding size D, got {train[0].values.shape[1]} "
            f"and {test[0].values.shape[1]}"
        )


def labelled_frames(clip: ClipSequence) -> ClipSequence:
    """The clip without the frames that have no phase."""
    return clip.take(clip.labels != UNLABELLED)


def why_unusable(clip: ClipSequence, *, distance: str = "sqeuclidean") -> Optional[str]:
    """Why no metric can use a clip's embeddings, or None."""
    if not len(clip):
        return "no frames"
    finite = np.isfinite(clip.values).all(axis=1)
    if not finite.all():
        return "embeddings that are not finite"
    if distance == "cosine" and not clip.values.any(axis=1).all():
        return "embeddings of length zero, which have no cosine distance"
    return None


def usable_splits(
    metric: str,
    train: Sequence[ClipSequence],
    test: Sequence[ClipSequence],
    phases: Sequence[str],
    split: str,
    *,
    usable: Callable[[Sequence[ClipSequence], str], Usable],
) -> Tuple[List[ClipSequence], List[ClipSequence], List[Dict[str, str]]]:
    """The training and test clips that `usable(clips, name of the split)` keeps, and what was left out of both.

    Raises: ShapeError for embeddings or labels that do not fit together; MetricUndefined if no clip is left of one.
    """
    check_clips("train", train, num_phases=len(phases))
    check_clips("test", test, num_phases=len(phases))
    check_same_size(train, test)
    (kept_train, undefined), (kept_test, undefined_test) = usable(train, "training"), usable(test, split)
    if not kept_train:
        raise nothing_left(metric, "training clip", undefined)
    if not kept_test:
        raise nothing_left(metric, f"{split} clip", undefined_test)
    return kept_train, kept_test, undefined + undefined_test


def usable_labelled(clips: Sequence[ClipSequence], where: str) -> Usable:
    """The labelled frames of the clips whose embeddings are finite; and what was left out, prefixed with `where`."""
    kept, undefined = choose(clips, where, why_not=lambda clip: None if has_label(clip) else NO_LABEL)
    return [labelled_frames(clip) for clip in kept], undefined


def usable_across(clips: Sequence[ClipSequence], *, distance: str, labelled: bool) -> Usable:
    """The clips that nearest neighbors across clips are defined for, both ways; and what was left out.

    With `labelled` only labelled frames are looked at.
    """
    check_distance(distance)

    def looked_at(clip: ClipSequence) -> ClipSequence:
        return labelled_frames(clip) if labelled else clip

    kept, undefined = choose(clips, "", why_not=lambda clip: why_indistinct(looked_at(clip)), distance=distance)
    return [looked_at(clip) for clip in kept], undefined


def choose(
    clips: Sequence[ClipSequence],
    where: str,
    *,
    why_not: Callable[[ClipSequence], Optional[str]],
    distance: str = "sqeuclidean",
) -> Usable:
    """The clips with usable embeddings that `why_not` has nothing against; and what was left out, prefixed."""
    kept, undefined = [], []
    for clip in clips:
        reason = why_unusable(clip, distance=distance) or why_not(clip)
        if reason:
            undefined.append(left_out(f"{where} clip {clip.name}".strip(), reason))
        else:
            kept.append(clip)
    return kept, undefined


def has_label(clip: ClipSequence) -> bool:
    """Whether any frame has a phase."""
    return bool((clip.labels != UNLABELLED).any())


def why_indistinct(clip: ClipSequence) -> Optional[str]:
    """Why no frame of a clip can be told to be the nearest, or None."""
    if len(clip) == 0:
        return NO_LABEL
    if len(clip) == 1:
        return "one frame only"
    return CONSTANT if is_constant(clip.values) else None


def is_constant(embeddings: np.ndarray, *, largest: Optional[float] = None) -> bool:
    """Whether all rows are the same up to CONSTANT_TOLERANCE of the largest number (`largest`, where they were moved)."""
    spread = (embeddings.max(axis=0) - embeddings.min(axis=0)).max()
    return bool(spread <= CONSTANT_TOLERANCE * (largest_number(embeddings) if largest is None else largest))


def largest_number(embeddings: np.ndarray) -> float:
    """The largest absolute value."""
    return float(max(embeddings.max(), -embeddings.min()))


def phase_runs(labels: np.ndarray) -> List[PhaseRun]:
    """The stretches of one phase in order of time; frames without a label neither end nor extend one."""
    frames = np.flatnonzero(labels != UNLABELLED)
    if not len(frames):
        return []
    phases = labels[frames]
    starts = np.flatnonzero(np.diff(phases, prepend=phases[0] - 1))
    ends = np.append(starts[1:], len(frames)) - 1
    return [PhaseRun(int(phases[s]), int(frames[s]), int(frames[e])) for s, e in zip(starts, ends)]


def phase_boundary(runs: Sequence[PhaseRun], phase: int, phases: Sequence[str]) -> Union[Tuple[int, int], str]:
    """The last frame of `phase` and the first of the next one; or the reason why there is no such boundary."""
    for wanted in (phase, phase + 1):
        count = sum(run.phase == wanted for run in runs)
        if count == 0:
            return f"phase {phases[wanted]!r} is missing"
        if count > 1:
            return f"phase {phases[wanted]!r} is repeated"
    order = [run.phase for run in runs]
    if order.index(phase) + 1 != order.index(phase + 1):
        return f"phase {phases[phase + 1]!r} does not follow {phases[phase]!r}"
    before, after = runs[order.index(phase)], runs[order.index(phase + 1)]
    return before.last, after.first


def key_event_name(phases: Sequence[str], phase: int) -> str:
    """How the boundary after `phase` is called."""
    return f"{phases[phase]} -> {phases[phase + 1]}"


def ascending_fractions(train_fractions: Sequence[float]) -> List[float]:
    """The different fractions in order. Raises SettingsError unless there are some, in (0, 1]."""
    if not train_fractions or not all(0 < fraction <= 1 for fraction in train_fractions):
        raise SettingsError(f"train_fractions: pass some in (0, 1], got {list(train_fractions)}")
    return sorted(set(train_fractions))


def first_fraction(count: int, fraction: float) -> int:
    """Number of clips in the first `fraction` of `count`: at least one; rounded down, as the reference does."""
    return max(1, int(fraction * count))
