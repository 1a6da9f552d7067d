"""Frames of each clip matched in each other clip, by nearest neighbor and by dynamic time warping: found once, read by many."""

from __future__ import annotations

from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from tcc.alignment.distance import check_distance, ordered_by_squares, pairwise_distances
from tcc.alignment.dynamic_time_warping import cheapest_path
from tcc.alignment.nearest_neighbor import NearestInEach
from tcc.errors import SettingsError
from tcc.evaluation.clips import why_indistinct, why_unusable
from tcc.evaluation.result import left_out
from tcc.evaluation.threads import one_blas_thread
from tcc.sequences import ClipSequence

# Up to this size D distances of a pair are sums of squared differences, exact for equal frames; beyond, matrix products.
SMALL_SIZE = 256

Pairs = List[Tuple[int, int]]


class Warped(NamedTuple):
    """First matches on the warping path of clips i and j: of each frame of i in j [T_i], of each frame of j in i [T_j]."""

    forth: np.ndarray
    back: np.ndarray


class Matching:
    """Matches between whole clips, with or without labels, computed when first asked for.

    Attributes:
      clips: embeddings [T, D], of which those that are not finite are matched with nothing.
      why_not: for each clip why no frame of it can be told to be the nearest, or None.
    Args: distance: sqeuclidean or cosine.
    """

    def __init__(self, clips: Sequence[ClipSequence], *, distance: str) -> None:
        check_distance(distance)
        self.clips = clips
        self.why_not: List[Optional[str]] = [
            why_unusable(clip, distance=distance) or why_indistinct(clip) for clip in clips
        ]
        self._distance = distance
        self._finite = [n for n, clip in enumerate(clips) if why_unusable(clip, distance=distance) is None]
        self._nearest: Dict[int, Dict[int, np.ndarray]] = {}
        self._warped: Dict[Tuple[int, int], Warped] = {}
        self._centred: Dict[int, np.ndarray] = {}
        self._squares: Dict[int, np.ndarray] = {}

    def nearest(self, query: int, other: int) -> np.ndarray:
        """For each frame of one clip the nearest of the other, of equally near ones the first; int32 [T].

        Both clips must be finite; a constant one has all frames equally near.
        """
        if not self._nearest:
            search = NearestInEach([self.clips[n].values for n in self._finite], distance=self._distance)
            with one_blas_thread():
                for n in self._finite:
                    found = search.neighbors(self.clips[n].values).astype(np.int32)
                    self._nearest[n] = dict(zip(self._finite, found))
        return self._nearest[query][other]

    def warped(self, pairs: Pairs) -> Dict[Tuple[int, int], Warped]:
        """The first matches of each pair of clips on their warping path; all must be finite."""
        with one_blas_thread():
            for query, other in pairs:
                if (query, other) not in self._warped:
                    path = cheapest_path(self._distances(query, other))
                    self._warped[query, other] = Warped(path.first_match(), path.turned().first_match())
        return {pair: self._warped[pair] for pair in pairs}

    def left_out(self) -> List[Dict[str, str]]:
        """The clips that have a `why_not`, named with it."""
        return [left_out(f"clip {clip.name}", reason) for clip, reason in zip(self.clips, self.why_not) if reason]

    def usable(self, pairs: Pairs) -> Pairs:
        """Those pairs whose clips both have no `why_not`."""
        return [(i, j) for i, j in pairs if self.why_not[i] is None and self.why_not[j] is None]

    def _distances(self, query: int, other: int) -> np.ndarray:
        if self.clips[query].values.shape[1] <= SMALL_SIZE:
            return pairwise_distances(self.clips[query].values, self.clips[other].values, distance=self._distance)
        if not self._centred:
            self._centred = self._near_origin()
            self._squares = {n: np.einsum("td,td->t", frames, frames) for n, frames in self._centred.items()}
        distances = self._centred[query] @ self._centred[other].T
        distances *= -2
        distances += self._squares[query][:, None]
        distances += self._squares[other]
        return np.maximum(distances, 0, out=distances)

    def _near_origin(self) -> Dict[int, np.ndarray]:
        """Frames whose squared distances order as the distance does, moved to where those keep their digits."""
        frames = {n: ordered_by_squares(self.clips[n].values.astype(np.float64), self._distance) for n in self._finite}
        mean = np.concatenate(list(frames.values())).mean(axis=0)
        return {n: array - mean for n, array in frames.items()}


def ordered_pairs(num_clips: int) -> Pairs:
    """All (i, j) with i != j, in order."""
    return [(i, j) for i in range(num_clips) for j in range(num_clips) if i != j]


def draw_pairs(num_clips: int, num_pairs: int, *, seed: int) -> Pairs:
    """All ordered pairs of clips; where there are more than `num_pairs`, so many of them, drawn from default_rng([seed, N]).

    The draw depends on nothing else: embeddings of the same clips are measured on the same pairs.
    """
    if num_pairs < 1:
        raise SettingsError(f"dtw_pairs: must be at least 1, got {num_pairs}")
    in_all = num_clips * (num_clips - 1)
    if in_all <= num_pairs:
        return ordered_pairs(num_clips)
    drawn = np.sort(np.random.default_rng([seed, num_clips]).choice(in_all, num_pairs, replace=False))
    queries, others = drawn // (num_clips - 1), drawn % (num_clips - 1)
    return [(int(i), int(j + (j >= i))) for i, j in zip(queries, others)]
