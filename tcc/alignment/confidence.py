"""How sure a match is: how much nearer than every frame elsewhere in the other sequence."""

from __future__ import annotations

import numpy as np

from tcc.alignment.distance import pairwise_distances
from tcc.alignment.dynamic_time_warping import WarpingPath
from tcc.errors import SettingsError


def neighbor_confidence(
    query: np.ndarray, candidates: np.ndarray, neighbors: np.ndarray, *, window: int, distance: str = "sqeuclidean"
) -> np.ndarray:
    """Confidence of each query frame's match, from 0 to 1.

    elsewhere(t) = min d(query_t, candidates_s) over all s with |s - m(t)| > window
    confidence(t) = max(0, 1 - d(query_t, candidates_m(t)) / elsewhere(t));   0 where both are 0

    Near 0 where some frame elsewhere is as near as the match, so that the match could as well be there: a repeated or
    constant stretch, or a frame like nothing in the other sequence, whose distances are all alike. Near 1 where the match
    is far nearer than all that lies elsewhere, hence also than the sequence's typical distances. Frames within the window
    count as the same moment.

    Args:
      query: [Tq, D]. candidates: [Tc, D].
      neighbors: int64 [Tq], m, the candidate frame that each query frame is matched with.
      window: candidate frames to either side of the match that count as the same moment.
      distance: sqeuclidean or cosine.
    Returns: float64 [Tq]; NaN where all candidates lie within the window, so that there is nothing to compare with.
    Raises: as `pairwise_distances`; SettingsError for a negative window.
    Reference: the ratio test of Lowe, Distinctive Image Features from Scale-Invariant Keypoints, 2004, section 7.1.
    """
    distances = pairwise_distances(query, candidates, distance=distance)
    return confidence_of_matches(distances, np.arange(len(distances)), neighbors, window=window)


def path_confidence(
    query: np.ndarray, candidates: np.ndarray, path: WarpingPath, *, window: int, distance: str = "sqeuclidean"
) -> np.ndarray:
    """The same for each step of a warping path, float64 [P]; the order of time may have led it past the nearest frame."""
    distances = pairwise_distances(query, candidates, distance=distance)
    return confidence_of_matches(distances, path.query_indices, path.candidate_indices, window=window)


def confidence_of_matches(
    distances: np.ndarray, query_indices: np.ndarray, candidate_indices: np.ndarray, *, window: int
) -> np.ndarray:
    """The same for a matrix of distances [Tq, Tc] and any pairs of frames, int64 [P] each: float64 [P]."""
    if window < 0:
        raise SettingsError(f"window: must be at least 0 frames, got {window}")
    matched = distances[query_indices, candidate_indices]
    elsewhere = _nearest_elsewhere(distances, query_indices, candidate_indices, window)
    undefined = np.isinf(elsewhere)
    # max(0, 1 - a / b) without dividing by zero: b is at least a where it counts.
    largest = np.maximum(matched, elsewhere)
    share = np.divide(matched, largest, out=np.ones_like(matched), where=(largest > 0) & ~undefined)
    return np.where(undefined, np.nan, 1 - share)


def _nearest_elsewhere(
    distances: np.ndarray, query_indices: np.ndarray, candidate_indices: np.ndarray, window: int
) -> np.ndarray:
    """Smallest distance to a candidate frame outside the window of each match; infinity where there is none."""
    border = np.full((len(distances), 1), np.inf)
    up_to = np.concatenate([border, np.minimum.accumulate(distances, axis=1)], axis=1)  # column s: candidates before s
    from_on = np.concatenate([np.minimum.accumulate(distances[:, ::-1], axis=1)[:, ::-1], border], axis=1)
    before = up_to[query_indices, np.maximum(candidate_indices - window, 0)]
    after = from_on[query_indices, np.minimum(candidate_indices + window + 1, distances.shape[1])]
    return np.minimum(before, after)
