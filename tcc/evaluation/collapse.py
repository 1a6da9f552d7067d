"""Collapse: embeddings that no longer tell the frames of a clip apart, a number beside each table of metrics."""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Sequence

import numpy as np

from tcc.evaluation.clips import check_clips, is_constant, why_unusable
from tcc.evaluation.kendalls_tau import pairwise_taus
from tcc.evaluation.matching import Matching, ordered_pairs
from tcc.evaluation.result import COLLAPSE, MetricResult, left_out, nothing_left
from tcc.evaluation.threads import one_blas_thread
from tcc.sequences import ClipSequence

METRIC = "collapse"


def collapse(
    clips: Sequence[ClipSequence],
    *,
    frame_stride: int,
    distance: str = "sqeuclidean",
    split: str = "test",
    matching: Optional[Matching] = None,
) -> MetricResult:
    """How evenly nearest neighbors spread over the frames of other clips: 0 where one frame is the neighbor of all.

    h_ij = - sum_s share_s ln share_s / ln min(T_i, T_j)
    where share_s is the share of i's frames whose nearest neighbor in j is frame s     value = mean over i != j of h_ij

    A pair with a constant clip counts as 0: all its frames are equally near. Needs no labels.

    Args:
      clips: embeddings [T, D].
      frame_stride: of Kendall's tau, whose undefined share is told.
      distance: sqeuclidean or cosine, of nearest neighbors.
      split: name of the clips' split.
      matching: of the same clips by the same distance, where others read it too.
    Returns: MetricResult; value in [0, 1], low is collapsed; count the ordered pairs. value is None where no two clips have
      two finite frames or more. details has
        embedding_variance    mean over the dimensions of the variance over all frames
        embedding_spread      embedding_variance / mean square; 0 where all frames are one point
        embedding_rank        (sum l)^2 / sum l^2 of the eigenvalues l of the covariance of all frames
        effective_rank        exp(- sum q ln q), q = l / sum l
        variance_over_time    mean over clips of the trace of the covariance over the clip's frames
        share_within_clips    of the squared distances to the mean of all frames, the share that is to the clips' own means
        undefined_tau_share   share of ordered pairs without a Kendall's tau
        constant_clips        names
      Without any variance the ranks and shares are None.
    Raises: MetricUndefined if no clip is finite; ShapeError for unequal D.
    """
    check_clips("clips", clips)
    reasons = [why_unusable(clip, distance=distance) for clip in clips]
    undefined = [left_out(f"clip {clip.name}", reason) for clip, reason in zip(clips, reasons) if reason]
    finite = [n for n, reason in enumerate(reasons) if reason is None]
    if not finite:
        raise nothing_left(METRIC, "clip", undefined)
    entropies = _entropies(clips, finite, matching or Matching(clips, distance=distance))
    if not entropies:
        undefined.append(left_out("all", "no two clips with two frames or more are left"))
    taus = pairwise_taus(clips, frame_stride=frame_stride, distance=distance)
    in_all = len(clips) * (len(clips) - 1)
    return MetricResult(
        metric=METRIC,
        protocol=COLLAPSE,
        split=split,
        value=float(np.mean(entropies)) if entropies else None,
        count=len(entropies),
        undefined=undefined,
        details={
            "unit": "share of the largest entropy",
            "count_of": "ordered pairs of clips",
            "distance": distance,
            **embedding_spread([clips[n].values for n in finite]),
            "undefined_tau_share": len(taus.undefined) / in_all if in_all else None,
            "constant_clips": [clips[n].name for n in finite if is_constant(clips[n].values)],
        },
    )


def embedding_spread(embeddings: Sequence[np.ndarray]) -> Dict[str, Optional[float]]:
    """Variance, ranks and shares as `collapse` has them, of finite embeddings [T, D] of at least one clip."""
    frames = np.concatenate(list(embeddings)).astype(np.float64)
    square = float(np.square(frames).mean())
    frames -= frames.mean(axis=0)
    bounds = np.cumsum([len(clip) for clip in embeddings])[:-1]
    traces = [float(np.square(clip - clip.mean(axis=0)).sum(axis=1).mean()) for clip in np.split(frames, bounds)]
    within = float(np.dot(traces, [len(clip) for clip in embeddings]))
    total = float(np.square(frames).sum())
    varies = not is_constant(np.concatenate(list(embeddings)))
    return {
        "embedding_variance": total / frames.size,
        "embedding_spread": total / frames.size / square if square else 0.0,
        **(_ranks(frames) if varies else {"embedding_rank": None, "effective_rank": None}),
        "variance_over_time": float(np.mean(traces)),
        "share_within_clips": within / total if varies else None,
    }


def _ranks(centred: np.ndarray) -> Dict[str, Optional[float]]:
    """From the eigenvalues of the smaller of the two products of the frames, which are those of the covariance."""
    with one_blas_thread():
        gram = centred @ centred.T if len(centred) < centred.shape[1] else centred.T @ centred
        shares = np.maximum(np.linalg.eigvalsh(gram), 0)
    shares /= shares.sum()
    return {"embedding_rank": float(1 / np.square(shares).sum()), "effective_rank": float(np.exp(_entropy(shares)))}


def _entropies(clips: Sequence[ClipSequence], finite: Sequence[int], matching: Matching) -> List[float]:
    """h of each ordered pair of finite clips with two frames or more."""
    usable, entropies = set(finite), []
    for i, j in ordered_pairs(len(clips)):
        fewer = min(len(clips[i]), len(clips[j]))
        if fewer < 2 or i not in usable or j not in usable:
            continue
        if matching.why_not[i] or matching.why_not[j]:  # constant
            entropies.append(0.0)
        else:
            counts: Any = np.bincount(matching.nearest(i, j))
            entropies.append(_entropy(counts / len(clips[i])) / float(np.log(fewer)))
    return entropies


def _entropy(shares: np.ndarray) -> float:
    present = shares[shares > 0]
    # A minus before the sum would make the entropy of a single share -0.
    return float((present * np.log(1 / present)).sum())
