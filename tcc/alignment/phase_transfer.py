"""Phases carried from labelled clips to the frames of another by nearest neighbors: every clip votes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import List, Sequence, Tuple

import numpy as np

from tcc.alignment.distance import pairwise_distances
from tcc.errors import LabelError
from tcc.sequences import UNLABELLED, ClipSequence


@dataclass(frozen=True)
class TransferredPhases:
    """What the labelled clips say of each frame of another clip.

    Attributes:
      phases: int64 [T], index of the phase; every frame has one, however little speaks for it.
      confidence: float64 [T], 0 to 1.
      num_clips: labelled clips that voted.
    """

    phases: np.ndarray
    confidence: np.ndarray
    num_clips: int


def transfer_phases(
    query: np.ndarray, references: Sequence[ClipSequence], *, distance: str = "sqeuclidean"
) -> TransferredPhases:
    """The phase of each frame of a clip, by votes of R labelled clips.

    Clip r votes for the phase k_r(t) of its frame nearest to frame t, at distance d_r(t), with the weight

    w_r(t) = 1 - d_r(t) / o_r(t),   o_r(t): distance to the nearest frame of clip r in any other phase

    which is 0 where both are 0, and where the clip has no other phase and so cannot tell them apart.

    V_k(t) = 1/R sum_r w_r(t) [k_r(t) = k]
    phase(t) = argmax_k V_k(t)        confidence(t) = V_phase(t) - the largest other V_k(t)

    Of phases with equal V the one with more clips' votes is taken, then the first. So confidence is near 1 only where
    nearly all clips agree, each with a frame far nearer than all of its other phases; it is low at boundaries between
    phases, for frames like nothing in the clips, and 0 for a constant embedding.

    Args:
      query: embeddings [T, D].
      references: clips of embeddings [T_r, D] with labels; their unlabelled frames are left aside, clips without any label
        have no vote.
      distance: sqeuclidean or cosine.
    Raises: LabelError if no clip has a label; else as `pairwise_distances`.
    """
    labelled = [part for part in (clip.take(clip.labels != UNLABELLED) for clip in references) if len(part)]
    if not labelled:
        raise LabelError(f"none of the {len(references)} clips to carry phases from has a label; label at least one")
    num_phases = 1 + max(int(clip.labels.max()) for clip in labelled)
    weights, votes = np.zeros((2, num_phases, len(query)))
    frames = np.arange(len(query))
    for clip in labelled:
        phases, weight = _vote(query, clip, distance)
        weights[phases, frames] += weight
        votes[phases, frames] += 1
    order = np.lexsort([-np.arange(num_phases)[:, None].repeat(len(query), axis=1), votes, weights], axis=0)
    best = order[-1]
    ranked = np.take_along_axis(weights, order, axis=0) / len(labelled)
    second = ranked[-2] if num_phases > 1 else 0.0
    return TransferredPhases(best, np.clip(ranked[-1] - second, 0, 1), len(labelled))


def _vote(query: np.ndarray, clip: ClipSequence, distance: str) -> Tuple[np.ndarray, np.ndarray]:
    """The phase that one clip votes for at each frame, and the weight of its vote."""
    distances = pairwise_distances(query, clip.values, distance=distance)
    nearest = distances.argmin(axis=1)
    phases, matched = clip.labels[nearest], distances[np.arange(len(query)), nearest]
    other = np.where(clip.labels == phases[:, None], np.inf, distances).min(axis=1)
    share = np.divide(matched, other, out=np.ones_like(matched), where=np.isfinite(other) & (other > 0))
    return phases, 1 - share


@dataclass(frozen=True)
class Stretch:
    """Frames first .. last of a clip, all of one phase."""

    first: int
    last: int
    phase: int


def stretches(phases: np.ndarray) -> List[Stretch]:
    """The longest stretches of frames of one phase, in order; unlabelled frames (-1) belong to none."""
    changes = np.flatnonzero(np.diff(phases)) + 1
    firsts = np.concatenate([[0], changes]).astype(int)
    lasts = np.concatenate([changes, [len(phases)]]).astype(int) - 1
    runs = [Stretch(int(first), int(last), int(phases[first])) for first, last in zip(firsts, lasts) if first <= last]
    return [run for run in runs if run.phase != UNLABELLED]
