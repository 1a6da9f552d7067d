"""Dynamic time warping: the cheapest way to walk two sequences to their ends, or one through a part of the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Tuple

import numpy as np

from tcc.alignment.distance import pairwise_distances


@dataclass(frozen=True)
class WarpingPath:
    """The cheapest path: step p pairs frame query_indices[p] with frame candidate_indices[p].

    Attributes:
      query_indices, candidate_indices: int64 [P]; from (0, 0) to the last frames, each step 0 or 1 further in each. Of a
        subsequence from (0, s) to (Tq - 1, e), s <= e.
      cost: sum of the distances along the path.
    """

    query_indices: np.ndarray
    candidate_indices: np.ndarray
    cost: float

    def first_match(self) -> np.ndarray:
        """For each query frame the first candidate frame on its part of the path; int64 [Tq]."""
        _, first = np.unique(self.query_indices, return_index=True)
        return self.candidate_indices[first]

    def turned(self) -> WarpingPath:
        """The same path with query and candidates exchanged."""
        return WarpingPath(self.candidate_indices, self.query_indices, self.cost)


def dynamic_time_warping(query: np.ndarray, candidates: np.ndarray, *, distance: str = "sqeuclidean") -> WarpingPath:
    """Align two whole sequences.

    cost[i, j] = d(query_i, candidates_j) + min(cost[i-1, j-1], cost[i-1, j], cost[i, j-1])

    Of equally cheap ways the path takes the diagonal, then the step in the query.

    Args:
      query: [Tq, D]. candidates: [Tc, D]. distance: sqeuclidean or cosine.
    Returns: WarpingPath. Time and memory grow with Tq * Tc (16 bytes a cell and more for unequal lengths).
    Raises: as `pairwise_distances`.
    Reference: Sakoe and Chiba, Dynamic programming algorithm optimization for spoken word recognition, 1978.
    """
    return cheapest_path(pairwise_distances(query, candidates, distance=distance))


def subsequence_time_warping(
    query: np.ndarray, candidates: np.ndarray, *, distance: str = "sqeuclidean"
) -> WarpingPath:
    """Find where in a long sequence a short one happens, and align it with that part: all of the query, any candidates.

    cost[0, j] = d(query_0, candidates_j)        cost[i, j] as for `dynamic_time_warping`, i > 0
    end = argmin_j cost[Tq - 1, j]

    The path starts and ends where it likes in the candidates. Of equally cheap ends the first is taken; from there back
    the path takes the diagonal, then the step in the query, and starts as soon as it reaches query frame 0.

    Args:
      query: [Tq, D], the whole action. candidates: [Tc, D], in which it is looked for; Tc may also be smaller.
      distance: sqeuclidean or cosine.
    Returns: WarpingPath from (0, s) to (Tq - 1, e). There always is one: whether the action happens at all is told by
      its distances, not by the path.
    Raises: as `pairwise_distances`.
    Reference: Mueller, Information Retrieval for Music and Motion, 2007, chapter 4.
    """
    return cheapest_path(pairwise_distances(query, candidates, distance=distance), subsequence=True)


def cheapest_path(distances: np.ndarray, *, subsequence: bool = False) -> WarpingPath:
    """The same for a matrix of distances [Tq, Tc], finite."""
    num_query, num_candidates = distances.shape
    costs = _accumulate(distances, subsequence)
    ends = costs[num_query + 1 :, num_query]  # cost of each candidate frame as the last one
    end = int(ends.argmin()) if subsequence else num_candidates - 1
    query_indices, candidate_indices = _trace_back(costs, num_query - 1, end, subsequence)
    return WarpingPath(query_indices, candidate_indices, float(ends[end]))


def _accumulate(distances: np.ndarray, subsequence: bool) -> np.ndarray:
    """Costs by anti-diagonals: row i + j + 2, column i + 1 holds cell (i, j); a border of infinity around.

    The cells of one anti-diagonal do not depend on each other, so each is three array operations.
    """
    num_query, num_candidates = distances.shape
    diagonals = _skew(distances)
    costs = np.full((num_query + num_candidates + 1, num_query + 1), np.inf)
    if subsequence:
        costs[:, 0] = 0  # a way into every (0, j)
    costs[0, 0] = 0  # the way into (0, 0); without a subsequence no other cell has it as a neighbor
    for diagonal in range(num_query + num_candidates - 1):
        first, end = max(0, diagonal - num_candidates + 1), min(num_query, diagonal + 1)
        one_back, cells = costs[diagonal + 1], costs[diagonal + 2, first + 1 : end + 1]
        np.minimum(one_back[first:end], one_back[first + 1 : end + 1], out=cells)
        np.minimum(cells, costs[diagonal, first:end], out=cells)
        np.add(cells, diagonals[diagonal, first:end], out=cells)
    return costs


def _skew(distances: np.ndarray) -> np.ndarray:
    """Row i + j, column i holds cell (i, j): each anti-diagonal becomes one contiguous row."""
    num_query, num_candidates = distances.shape
    skewed = np.empty((num_query + num_candidates - 1, num_query))
    down, right = skewed.strides
    np.lib.stride_tricks.as_strided(skewed, (num_query, num_candidates), (down + right, down))[:] = distances
    return skewed


def _trace_back(costs: np.ndarray, i: int, j: int, subsequence: bool) -> Tuple[np.ndarray, np.ndarray]:
    """The path that ends at (i, j)."""
    path = [(i, j)]
    cost = costs.item
    while i or (j and not subsequence):
        diagonal, query_step, candidate_step = cost(i + j, i), cost(i + j + 1, i), cost(i + j + 1, i + 1)
        if diagonal <= query_step and diagonal <= candidate_step:
            i, j = i - 1, j - 1
        elif query_step <= candidate_step:
            i -= 1
        else:
            j -= 1
        path.append((i, j))
    steps = np.array(path[::-1], dtype=np.int64)
    return steps[:, 0], steps[:, 1]
