"""Distances between the frames of two sequences."""

from __future__ import annotations

import numpy as np
from scipy.spatial.distance import cdist

from tcc.errors import MetricUndefined, SettingsError, ShapeError
from tcc.shapes import check_rank, check_same_axis

DISTANCES = ("sqeuclidean", "cosine")


def pairwise_distances(query: np.ndarray, candidates: np.ndarray, *, distance: str = "sqeuclidean") -> np.ndarray:
    """Distance of every query frame to every candidate frame.

    sqeuclidean: d(q, c) = sum_d (q_d - c_d)^2        cosine: d(q, c) = 1 - q.c / (|q| |c|)

    Args:
      query: [Tq, D]. candidates: [Tc, D]. distance: one of DISTANCES.
    Returns: float64 [Tq, Tc], never negative.
    Raises: ShapeError for other ranks, no frames or different D; MetricUndefined for frames that are not finite, or of
      length zero with `cosine`; SettingsError for another distance.
    """
    checked = check_embeddings("query", query, distance), check_embeddings("candidates", candidates, distance)
    check_same_axis("query", query, "candidates", candidates, axis=1, what="embedding size D")
    # Not by matrix product: of one pair of sequences that saves little, and this is exact near zero and for equal frames.
    return cdist(*checked, metric=distance)


def ordered_by_squares(array: np.ndarray, distance: str) -> np.ndarray:
    """Frames [T, D] whose squared Euclidean distances order as `distance` does.

    Between vectors of length 1 the squared distance is 2 - 2 cos: one order for both distances.
    """
    return array / np.linalg.norm(array, axis=1, keepdims=True) if distance == "cosine" else array


def check_distance(distance: str) -> None:
    """Raise SettingsError unless `distance` is one of DISTANCES."""
    if distance not in DISTANCES:
        raise SettingsError(f"distance: must be one of {', '.join(DISTANCES)}; got {distance!r}")


def check_embeddings(name: str, array: np.ndarray, distance: str) -> np.ndarray:
    """`array` [T, D] in float64. Raises as `pairwise_distances`."""
    check_distance(distance)
    check_rank(name, array, 2, axes="T D")
    if not len(array):
        raise ShapeError(f"{name}: no frames, got shape {list(array.shape)}; pass at least one")
    array = np.asarray(array, dtype=np.float64)
    finite = np.isfinite(array).all(axis=1)
    if not finite.all():
        raise MetricUndefined(
            f"{name}: {np.count_nonzero(~finite)} of {len(array)} frames are not finite; leave them out"
        )
    empty = ~array.any(axis=1)
    if distance == "cosine" and empty.any():
        raise MetricUndefined(
            f"{name}: {np.count_nonzero(empty)} of {len(array)} frames have length zero, which has no cosine distance; "
            "use sqeuclidean"
        )
    return array
