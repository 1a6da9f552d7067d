"""The nearest frame of another sequence, or of each of many."""

from __future__ import annotations

from typing import Sequence

import numpy as np

from tcc.alignment.distance import check_embeddings, ordered_by_squares, pairwise_distances

# Squared distances by matrix product carry rounding errors of some 1e-15 of the largest squared length; two candidates
# closer together than this share of it are equally near.
TIE_TOLERANCE = 1e-13
_BLOCK_ELEMENTS = 1 << 21  # 16 MB of distances at a time


def nearest_neighbors(query: np.ndarray, candidates: np.ndarray, *, distance: str = "sqeuclidean") -> np.ndarray:
    """For each query frame the index of the nearest candidate frame; of equally near ones the first.

    nn(t) = argmin_s d(query_t, candidates_s)

    Args:
      query: [Tq, D]. candidates: [Tc, D]. distance: sqeuclidean or cosine.
    Returns: int64 [Tq], indices into candidates.
    Raises: as `pairwise_distances`.
    """
    rows = max(1, _BLOCK_ELEMENTS // max(1, len(candidates)))
    blocks = [query[start : start + rows] for start in range(0, max(1, len(query)), rows)]
    return np.concatenate([pairwise_distances(block, candidates, distance=distance).argmin(axis=1) for block in blocks])


class NearestInEach:
    """Finds the nearest frame in each of N sequences with one matrix product for all.

    Args:
      sequences: N arrays [T_n, D], T_n at least 1. distance: sqeuclidean or cosine.
    Raises: as `pairwise_distances`.
    """

    def __init__(self, sequences: Sequence[np.ndarray], *, distance: str = "sqeuclidean") -> None:
        self._distance = distance
        self._frames = frames = [_prepare(f"sequence {n}", array, distance) for n, array in enumerate(sequences)]
        # A shift changes no distance and keeps small ones from drowning in rounding far from the origin.
        self._shift = np.concatenate(frames).mean(axis=0)
        self._longest = max(len(array) for array in frames)
        self._columns = np.zeros((self._shift.size, len(frames), self._longest))
        self._squares = np.full((len(frames), self._longest), np.inf)
        for n, array in enumerate(frames):
            centred = array - self._shift
            self._columns[:, n, : len(array)] = -2 * centred.T
            self._squares[n, : len(array)] = np.einsum("td,td->t", centred, centred)
        self._largest = self._squares[np.isfinite(self._squares)].max()

    def neighbors(self, query: np.ndarray) -> np.ndarray:
        """For each frame of `query` [Tq, D] the first of the nearest frames in each sequence; int64 [N, Tq]."""
        query = _prepare("query", query, self._distance) - self._shift
        tolerance = TIE_TOLERANCE * max(self._largest, np.einsum("td,td->t", query, query).max())
        columns = self._columns.reshape(len(self._columns), -1)
        rows = max(1, _BLOCK_ELEMENTS // columns.shape[1])
        found = np.empty((len(self._squares), len(query)), dtype=np.int64)
        for start in range(0, len(query), rows):
            block = slice(start, start + rows)
            # |query|^2 is the same for every candidate: left out.
            distances = (query[block] @ columns).reshape(-1, *self._squares.shape)
            distances += self._squares
            nearest = distances.min(axis=2, keepdims=True)
            nearest += tolerance
            found[:, block] = (distances <= nearest).argmax(axis=2).T
        return found

    def distances(self, query: np.ndarray) -> np.ndarray:
        """Distance of each frame of `query` [Tq, D] to those; float64 [N, Tq], exact also near zero."""
        neighbors = self.neighbors(query)
        query = _prepare("query", query, self._distance)
        found = np.empty(neighbors.shape)
        for n, (frames, nearest) in enumerate(zip(self._frames, neighbors)):
            difference = query - frames[nearest]
            found[n] = np.einsum("td,td->t", difference, difference)
        return found / 2 if self._distance == "cosine" else found


def _prepare(name: str, array: np.ndarray, distance: str) -> np.ndarray:
    return ordered_by_squares(check_embeddings(name, array, distance), distance)
