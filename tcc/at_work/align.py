"""Which moment of one video goes with which of another, and how sure that is."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import List, Sequence, Tuple

import numpy as np

from tcc.alignment import (
    dynamic_time_warping,
    nearest_neighbors,
    neighbor_confidence,
    pairwise_distances,
    path_confidence,
    subsequence_time_warping,
)
from tcc.config import check_choice
from tcc.sequences import ClipSequence
from tcc.video.files import write_rows
from tcc.video.shards import ClipRecord

WAYS = ("warp", "nearest", "subsequence")
_COLUMNS = ("a_seconds", "b_seconds", "a_frame", "b_frame", "distance", "confidence")


@dataclass(frozen=True)
class Matches:
    """Pairs of sampled frames of two clips, A and B, in the order of A.

    Attributes:
      a_steps, b_steps: int64 [P]; each frame of A is in at least one pair.
      distances: float64 [P]. confidence: float64 [P], 0 to 1; NaN where it is undefined.
    """

    a_steps: np.ndarray
    b_steps: np.ndarray
    distances: np.ndarray
    confidence: np.ndarray


def match_clips(a: ClipSequence, b: ClipSequence, *, way: str, window: int, distance: str) -> Matches:
    """Match every frame of A with frames of B.

    Args:
      a, b: embeddings [T, D].
      way: warp (both from end to end, in order), nearest (each frame by itself), subsequence (A somewhere inside B, in
        order).
      window: frames of B around a match that count as the same moment; see `tcc.alignment.neighbor_confidence`.
      distance: sqeuclidean or cosine.
    Raises: SettingsError for another way or distance; else as `tcc.alignment.pairwise_distances`.
    """
    check_choice("way", way, WAYS)
    a_steps, b_steps, confidence = _match(a.values, b.values, way, window, distance)
    distances = pairwise_distances(a.values, b.values, distance=distance)[a_steps, b_steps]
    return Matches(a_steps, b_steps, distances, confidence)


def _match(
    a: np.ndarray, b: np.ndarray, way: str, window: int, distance: str
) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    if way == "nearest":
        found = nearest_neighbors(a, b, distance=distance)
        return np.arange(len(a)), found, neighbor_confidence(a, b, found, window=window, distance=distance)
    warp = dynamic_time_warping if way == "warp" else subsequence_time_warping
    path = warp(a, b, distance=distance)
    confidence = path_confidence(a, b, path, window=window, distance=distance)
    return path.query_indices, path.candidate_indices, confidence


def find_action(
    a: ClipSequence, parts: Sequence[Tuple[int, ClipSequence]], *, window: int, distance: str
) -> Tuple[Matches, int]:
    """Where in a longer clip the action of A happens, of which several parts were embedded each by itself.

    The part whose warping path has the smallest mean distance of a step; of equal ones the first.

    Args:
      a: embeddings [T, D].
      parts: (its first frame in the longer clip, embeddings) of each part.
      window, distance: see `match_clips`; the confidence compares with frames of the same part.
    Returns: matches, with frames of the longer clip, and which part they are in.
    """
    found = [match_clips(a, part, way="subsequence", window=window, distance=distance) for _, part in parts]
    best = int(np.argmin([matches.distances.mean() for matches in found]))
    return dataclasses.replace(found[best], b_steps=found[best].b_steps + parts[best][0]), best


def overlapping_parts(num_frames: int, length: int) -> List[Tuple[int, int]]:
    """Parts (start, end) of a clip in which an action of about `length` frames is looked for.

    They are as long as the action and half as long again, and start a quarter of their length apart; in a clip that is
    shorter they are the whole of it. Parts shorter than the action mislead: their mean is another.
    """
    parts = []
    for factor in (1, 3 / 2):
        size = min(num_frames, max(1, round(factor * length)))
        starts = [*range(0, num_frames - size, max(1, size // 4)), num_frames - size]
        parts += [(start, start + size) for start in starts]
    return list(dict.fromkeys(parts))


def write_matches(path: Path, matches: Matches, a: ClipRecord, b: ClipRecord) -> None:
    """Write matches as CSV: seconds and frame numbers of the source videos; an undefined confidence is empty."""
    a_frames, b_frames = a.frame_numbers, b.frame_numbers
    rows = (
        [
            f"{a.timestamps[i]:.9g}",
            f"{b.timestamps[j]:.9g}",
            int(a_frames[i]),
            int(b_frames[j]),
            f"{distance:.9g}",
            "" if np.isnan(confidence) else f"{confidence:.6f}",
        ]
        for i, j, distance, confidence in zip(matches.a_steps, matches.b_steps, matches.distances, matches.confidence)
    )
    write_rows(path, [_COLUMNS, *rows])
