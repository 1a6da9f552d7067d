"""The reference's labels: several annotators per clip, segments in microseconds, one segment per phase."""

from __future__ import annotations

from collections import defaultdict
from typing import Dict, List, Mapping, Sequence, Tuple

import numpy as np

from tcc.errors import LabelError
from tcc.sequences import UNLABELLED

Interval = Tuple[float, float]


def merge_annotations(annotations_us: Mapping[str, Mapping[str, Sequence[int]]]) -> Dict[str, Interval]:
    """One segment per phase from several annotators: mean start and end, gaps and overlaps closed at the midpoint.

    Args:
      annotations_us: {annotator: {phase: (start, end)}} in microseconds.
    Returns: {phase: (start, end)} in seconds; phases in the order first met; neighbours share a boundary.
    Raises: LabelError if a phase ends before it starts on average.
    """
    drawn: Dict[str, List[Sequence[int]]] = defaultdict(list)
    for phases in annotations_us.values():
        for phase, interval in phases.items():
            drawn[phase].append(interval)
    merged = {phase: np.mean(np.asarray(intervals, np.float64), axis=0) / 1e6 for phase, intervals in drawn.items()}
    for phase, (start, end) in merged.items():
        if end <= start:
            raise LabelError(
                f"phase {phase}: ends at {end:.6f} s, not after its start {start:.6f} s; correct its annotations"
            )
    in_time = sorted(merged, key=lambda phase: tuple(merged[phase]))
    for before, after in zip(in_time, in_time[1:]):
        merged[before][1] = merged[after][0] = (merged[before][1] + merged[after][0]) / 2
    return {phase: (float(start), float(end)) for phase, (start, end) in merged.items()}


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
