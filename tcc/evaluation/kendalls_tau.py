"""Kendall's tau: do nearest neighbors in other clips keep the order of time?"""

from __future__ import annotations

from typing import Dict, List, NamedTuple, Optional, Sequence

import numpy as np
from scipy import stats

from tcc.alignment.distance import check_distance
from tcc.alignment.nearest_neighbor import NearestInEach
from tcc.errors import SettingsError
from tcc.evaluation.clips import CONSTANT, check_clips, is_constant, why_unusable
from tcc.evaluation.result import TCC_SVM, MetricResult, left_out, nothing_left
from tcc.evaluation.threads import one_blas_thread
from tcc.sequences import ClipSequence

METRIC = "kendalls_tau"

_LONGEST_BY_SIGNS = 1024  # frames; comparing all pairs of frames grows with the square, scipy sorts
_BLOCK_ELEMENTS = 1 << 22


class PairwiseTaus(NamedTuple):
    """Tau of each ordered pair of clips, [N, N], NaN where undefined (always on the diagonal); and the reasons."""

    taus: np.ndarray
    undefined: List[Dict[str, str]]


def kendalls_tau(
    clips: Sequence[ClipSequence],
    *,
    frame_stride: int,
    distance: str = "sqeuclidean",
    split: str = "test",
) -> MetricResult:
    """How well nearest neighbors keep the order of time, averaged over ordered pairs of clips. Needs no labels.

    tau = (C - D) / sqrt(n0 (n0 - ties)),  n0 = n (n - 1) / 2
    over the n frames of one clip: C pairs of frames whose nearest neighbors in the other clip come in the same
    order, D in the opposite one, `ties` with the same neighbor (tau-b).

    Args:
      clips: embeddings [T, D]; T may differ, D may not.
      frame_stride: use every n-th frame of both clips (frames, not seconds).
      distance: sqeuclidean or cosine.
      split: name of the clips' split.
    Returns: MetricResult; value in [-1, 1] is the mean over the defined pairs, count their number. A pair is
      undefined if one of its clips has an embedding that is not finite, fewer than two frames at this stride, or a
      constant embedding, or if all frames have the same nearest neighbor.
      details["clips"] has the median tau of each clip; a clip below 0 is listed in details["outliers"].
    Raises: MetricUndefined if no pair is left; ShapeError for unequal D; SettingsError for a stride below 1.
    Reference: Dwibedi et al., Temporal Cycle-Consistency Learning, CVPR 2019.
    """
    taus, undefined = pairwise_taus(clips, frame_stride=frame_stride, distance=distance)
    defined = np.isfinite(taus)
    count = int(defined.sum())
    if not count:
        raise nothing_left(METRIC, f"ordered pair of clips (of {len(clips)} clips)", undefined)
    medians = [_median_of_clip(taus, clip) for clip in range(len(clips))]
    return MetricResult(
        metric=METRIC,
        protocol=TCC_SVM,
        split=split,
        value=float(taus[defined].mean()),
        count=count,
        undefined=undefined,
        details={
            "unit": "tau-b",
            "count_of": "ordered pairs of clips",
            "frame_stride": frame_stride,
            "stride_seconds": _stride_seconds(clips, frame_stride),
            "distance": distance,
            "undefined_share": len(undefined) / (count + len(undefined)),
            "clips": [{"clip": clip.name, "median_tau": median} for clip, median in zip(clips, medians)],
            "outliers": [clip.name for clip, median in zip(clips, medians) if median is not None and median < 0],
        },
    )


def pairwise_taus(clips: Sequence[ClipSequence], *, frame_stride: int, distance: str = "sqeuclidean") -> PairwiseTaus:
    """Tau of each ordered pair (query clip, other clip), none of which need be defined; arguments as `kendalls_tau`."""
    if frame_stride < 1:
        raise SettingsError(f"frame_stride: must be at least 1 frame, got {frame_stride}")
    check_distance(distance)
    check_clips("clips", clips)
    strided = [clip.take(slice(None, None, frame_stride)) for clip in clips]
    reasons = [_why_without_order(clip, whole, distance) for clip, whole in zip(strided, clips)]
    usable = [index for index, reason in enumerate(reasons) if reason is None]
    taus = np.full((len(clips), len(clips)), np.nan)
    if len(usable) > 1:
        search = NearestInEach([strided[index].values for index in usable], distance=distance)
        with one_blas_thread():
            for query in usable:
                taus[query, usable] = taus_of_neighbors(search.neighbors(strided[query].values))
    np.fill_diagonal(taus, np.nan)
    undefined = [
        left_out(f"pair {clips[i].name} -> {clips[j].name}", _why_undefined(i, j, reasons, clips))
        for i, j in zip(*np.nonzero(np.isnan(taus)))
        if i != j
    ]
    return PairwiseTaus(taus, undefined)


def taus_of_neighbors(neighbors: np.ndarray) -> np.ndarray:
    """Tau-b between time and each row of neighbor indices [N, n]; float64 [N], NaN where a row is constant."""
    num_rows, num_frames = neighbors.shape
    if num_frames > _LONGEST_BY_SIGNS:
        time = np.arange(num_frames)
        varies = neighbors.min(axis=1) < neighbors.max(axis=1)
        return np.array([stats.kendalltau(time, row)[0] if v else np.nan for row, v in zip(neighbors, varies)])
    earlier, later = np.triu_indices(num_frames, k=1)
    step = max(1, _BLOCK_ELEMENTS // max(1, len(earlier)))
    order = np.ascontiguousarray(neighbors, dtype=np.int32)
    return np.concatenate([_taus(order[start : start + step], earlier, later) for start in range(0, num_rows, step)])


def _taus(order: np.ndarray, earlier: np.ndarray, later: np.ndarray) -> np.ndarray:
    before, after = order[:, earlier], order[:, later]
    concordant = np.count_nonzero(before < after, axis=1).astype(np.float64)
    discordant = np.count_nonzero(before > after, axis=1)
    untied = concordant + discordant
    with np.errstate(invalid="ignore"):  # 0 / 0: a constant row
        return (concordant - discordant) / np.sqrt(float(len(earlier)) * untied)


def _why_without_order(strided: ClipSequence, whole: ClipSequence, distance: str) -> Optional[str]:
    reason = why_unusable(strided, distance=distance) or why_unusable(whole, distance=distance)
    if reason:
        return reason
    if len(strided) < 2:
        return "fewer than two frames at this stride"
    return CONSTANT if is_constant(strided.values) else None


def _why_undefined(i: int, j: int, reasons: Sequence[Optional[str]], clips: Sequence[ClipSequence]) -> str:
    for index in (i, j):
        if reasons[index]:
            return f"{reasons[index]} ({clips[index].name})"
    return "all frames have the same nearest neighbor"


def _median_of_clip(taus: np.ndarray, clip: int) -> Optional[float]:
    """Median over the pairs that a clip is part of, as the query or as the other."""
    both = np.concatenate([taus[clip], taus[:, clip]])
    both = both[np.isfinite(both)]
    return float(np.median(both)) if len(both) else None


def _stride_seconds(clips: Sequence[ClipSequence], frame_stride: int) -> Optional[float]:
    steps = [np.diff(clip.timestamps) for clip in clips if len(clip) > 1]
    return float(np.median(np.concatenate(steps)) * frame_stride) if steps else None
