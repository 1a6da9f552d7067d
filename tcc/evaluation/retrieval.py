"""Retrieval: do the nearest frames of all other clips show the same phase?"""

from __future__ import annotations

from typing import Any, Dict, List, Sequence

import numpy as np

from tcc.alignment.distance import ordered_by_squares
from tcc.alignment.nearest_neighbor import TIE_TOLERANCE
from tcc.errors import SettingsError
from tcc.evaluation.clips import check_clips, usable_across
from tcc.evaluation.result import RETRIEVAL, MetricResult, left_out, nothing_left
from tcc.evaluation.threads import one_blas_thread
from tcc.sequences import ClipSequence

METRIC = "retrieval"
_BLOCK_ELEMENTS = 1 << 21  # 16 MB of distances, or of differences, at a time


def retrieval(
    clips: Sequence[ClipSequence],
    *,
    phases: Sequence[str],
    num_frames: Sequence[int],
    distance: str = "sqeuclidean",
    split: str = "test",
) -> MetricResult:
    """Share of the K nearest frames in all other clips that have the query's phase, averaged over queries (AP@K).

    AP@K = 1/Q sum_q 1/K sum_{n in N_K(q)} [label(n) = label(q)]

    Each labelled frame of each clip is a query once, N_K(q) the K labelled frames of the other clips nearest to it; of
    equally near ones those of the earlier clip, then the earlier frames.

    Args:
      clips: embeddings [T, D] and labels [T]. phases: names of the labels 0, 1, ...
      num_frames: values of K.
      distance: sqeuclidean or cosine.
      split: name of the clips' split.
    Returns: MetricResult; value is AP@K of the smallest K, count the queries. details["retrieved"] has one entry for each
      K, details["chance"] what K frames drawn at random would reach. A K above the number of frames that a query can be
      compared with is left undefined.
    Raises: MetricUndefined if no K is left; ShapeError for unequal D or labels out of range; SettingsError for K below 1.
    """
    if not num_frames or min(num_frames) < 1:
        raise SettingsError(f"num_frames: must be at least 1, got {list(num_frames)}")
    check_clips("clips", clips, num_phases=len(phases))
    usable, undefined = usable_across(clips, distance=distance, labelled=True)
    if len(usable) < 2:
        raise nothing_left(METRIC, f"other clip ({len(usable)} of {len(clips)} clips can be used)", undefined)
    lengths = [len(clip) for clip in usable]
    available = sum(lengths) - max(lengths)
    possible = [k for k in sorted(set(num_frames)) if k <= available]
    fewer = [
        left_out(f"{k} frames", f"a query has only {available} labelled frames in other clips")
        for k in sorted(set(num_frames))
        if k > available
    ]
    undefined += fewer
    if not possible:
        raise nothing_left(METRIC, "number of frames", fewer)
    with one_blas_thread():
        hits = same_phase(usable, possible[-1], distance=distance)
    values = {k: float(hits[:, :k].mean()) for k in possible}
    return MetricResult(
        metric=METRIC,
        protocol=RETRIEVAL,
        split=split,
        value=values[possible[0]],
        count=len(hits),
        undefined=undefined,
        details={
            "unit": "share of frames",
            "count_of": "labelled frames",
            "distance": distance,
            "value_at_frames": possible[0],
            "chance": _chance(usable),
            "retrieved": [{"num_frames": k, "value": values.get(k)} for k in sorted(set(num_frames))],
            "clips": _of_each_clip(usable, hits[:, : possible[0]]),
        },
    )


def same_phase(clips: Sequence[ClipSequence], num_frames: int, *, distance: str) -> np.ndarray:
    """Whether each of the `num_frames` nearest frames of other clips has the query's phase; bool [Q, num_frames].

    Queries are all frames, clip by clip. Distances come from matrix products; those that may be among the nearest are
    computed again as sums of squared differences, which decide.
    """
    frames = ordered_by_squares(np.concatenate([clip.values for clip in clips]).astype(np.float64), distance)
    labels = np.concatenate([clip.labels for clip in clips])
    bounds = np.concatenate([[0], np.cumsum([len(clip) for clip in clips])])
    centred = frames - frames.mean(axis=0)
    squares = np.einsum("td,td->t", centred, centred)
    step = max(1, _BLOCK_ELEMENTS // len(frames))
    hits = []
    for start, end in zip(bounds[:-1], bounds[1:]):
        for first in range(start, end, step):
            query = slice(first, min(first + step, end))
            distances = centred[query] @ centred.T
            distances *= -2
            distances += squares
            distances += squares[query, None]
            distances[:, start:end] = np.inf
            found = _nearest(distances, frames[query], frames, num_frames, 2 * TIE_TOLERANCE * squares.max())
            hits.append(labels[found] == labels[query, None])
    return np.concatenate(hits)


def _nearest(
    distances: np.ndarray, query: np.ndarray, frames: np.ndarray, num_frames: int, tolerance: float
) -> np.ndarray:
    """The `num_frames` nearest frames of each query in order; of equally near ones the first. int64 [Q, num_frames]."""
    farthest = np.partition(distances, num_frames - 1, axis=1)[:, num_frames - 1]
    rows, columns = np.nonzero(distances <= farthest[:, None] + tolerance)
    exact = _squared_distances(query, rows, frames, columns)
    order = np.lexsort((columns, exact, rows))
    starts = np.searchsorted(rows, np.arange(len(query)))  # rows are in order, before and after
    return columns[order][starts[:, None] + np.arange(num_frames)]


def _squared_distances(query: np.ndarray, rows: np.ndarray, frames: np.ndarray, columns: np.ndarray) -> np.ndarray:
    exact = np.empty(len(rows))
    step = max(1, _BLOCK_ELEMENTS // frames.shape[1])
    for start in range(0, len(rows), step):
        block = slice(start, start + step)
        differences = query[rows[block]] - frames[columns[block]]
        exact[block] = np.einsum("td,td->t", differences, differences)
    return exact


def _chance(clips: Sequence[ClipSequence]) -> float:
    """Share of the frames of other clips that have a query's phase, averaged over queries."""
    num_phases = 1 + max(int(clip.labels.max()) for clip in clips)
    counts = np.stack([np.bincount(clip.labels, minlength=num_phases) for clip in clips])
    others = counts.sum(axis=0) - counts
    shares = others / others.sum(axis=1, keepdims=True)
    return float((shares * counts).sum() / counts.sum())


def _of_each_clip(clips: Sequence[ClipSequence], hits: np.ndarray) -> List[Dict[str, Any]]:
    ends = np.cumsum([len(clip) for clip in clips])[:-1]
    return [{"clip": clip.name, "value": float(own.mean())} for clip, own in zip(clips, np.split(hits, ends))]
