"""Phase agreement: do nearest neighbors in other clips lie in the same phase?"""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np

from tcc.alignment.nearest_neighbor import NearestInEach
from tcc.errors import MetricUndefined
from tcc.evaluation.clips import check_clips, usable_across
from tcc.evaluation.matching import Matching, draw_pairs
from tcc.evaluation.result import CROSS_CLIP, MetricResult, left_out, nothing_left
from tcc.evaluation.threads import one_blas_thread
from tcc.evaluation.trimming import trim_clips
from tcc.sequences import UNLABELLED, ClipSequence

METRIC = "phase_agreement"


def phase_agreement(
    clips: Sequence[ClipSequence],
    *,
    phases: Sequence[str],
    trim_start_seconds: float,
    trim_end_seconds: float,
    dtw_pairs: int,
    seed: int,
    distance: str = "sqeuclidean",
    split: str = "test",
    matching: Optional[Matching] = None,
) -> MetricResult:
    """Share of frames whose nearest neighbor in another clip lies in the same phase, averaged over ordered pairs.

    a_ij = 1/|i| sum_t [label_i(t) = label_j(nn_ij(t))]     value = mean over i != j of a_ij

    Frames without a label are left aside in both clips. A frame whose phase the other clip does not have counts as
    wrong; details["possible"] is the value that a perfect embedding would reach, and details["value_where_possible"]
    looks at the other frames only.

    Args:
      clips: embeddings [T, D] and labels [T]. phases: names of the labels 0, 1, ...
      trim_start_seconds, trim_end_seconds: for details["trimmed"] each clip loses 0 to this, drawn evenly, from its
        start and its end (`trim_clips`).
      dtw_pairs: for details["dtw"] at most so many ordered pairs are warped (`draw_pairs`).
      seed: of these draws.
      distance: sqeuclidean or cosine.
      split: name of the clips' split.
      matching: of the same clips by the same distance, where others read it too.
    Returns: MetricResult; value in [0, 1], count the ordered pairs. details["trimmed"] has the same on trimmed clips,
      details["dtw"] the same where a frame's match is its first one on the warping path of the two whole clips.
    Raises: MetricUndefined if no pair is left; ShapeError for unequal D or labels out of range.
    """
    check_clips("clips", clips, num_phases=len(phases))
    measured, undefined = _measure(clips, distance)
    return MetricResult(
        metric=METRIC,
        protocol=CROSS_CLIP,
        split=split,
        value=measured["value"],
        count=measured["count"],
        undefined=undefined,
        details={
            "unit": "share of frames",
            "count_of": "ordered pairs of clips",
            "distance": distance,
            "possible": measured["possible"],
            "value_where_possible": measured["value_where_possible"],
            "clips": measured["clips"],
            "dtw": _by_warping(matching or Matching(clips, distance=distance), dtw_pairs, seed),
            "trimmed": {
                "trim_start_seconds": trim_start_seconds,
                "trim_end_seconds": trim_end_seconds,
                "seed": seed,
                **_measure_or_reason(trim_clips(clips, trim_start_seconds, trim_end_seconds, seed=seed), distance),
            },
        },
    )


def _by_warping(matching: Matching, dtw_pairs: int, seed: int) -> Dict[str, Any]:
    clips, undefined = matching.clips, matching.left_out()
    drawn, shares = draw_pairs(len(clips), dtw_pairs, seed=seed), []
    for (i, j), matches in matching.warped(matching.usable(drawn)).items():
        found = clips[j].labels[matches.forth]
        both = (clips[i].labels != UNLABELLED) & (found != UNLABELLED)
        if both.any():
            shares.append(float(np.mean(found[both] == clips[i].labels[both])))
        else:
            undefined.append(left_out(f"pair {clips[i].name} -> {clips[j].name}", "no labelled frame meets another"))
    return {
        "value": float(np.mean(shares)) if shares else None,
        "count": len(shares),
        "pairs": len(drawn),
        "pairs_in_all": len(clips) * (len(clips) - 1),
        "undefined": undefined,
    }


def _measure_or_reason(clips: Sequence[ClipSequence], distance: str) -> Dict[str, Any]:
    try:
        measured, undefined = _measure(clips, distance)
    except MetricUndefined as reason:
        return {"value": None, "count": 0, "undefined": [{"what": "all", "reason": str(reason)}]}
    return {**measured, "undefined": undefined}


def _measure(clips: Sequence[ClipSequence], distance: str) -> Tuple[Dict[str, Any], List[Dict[str, str]]]:
    usable, undefined = usable_across(clips, distance=distance, labelled=True)
    if len(usable) < 2:
        raise nothing_left(
            METRIC, f"ordered pair of clips ({len(usable)} of {len(clips)} clips can be used)", undefined
        )
    with one_blas_thread():
        same, possible = _agreement(usable, distance)
    others = ~np.eye(len(usable), dtype=bool)
    shares = same / np.array([[len(clip)] for clip in usable])
    with np.errstate(invalid="ignore"):  # 0 / 0: no phase in common
        where_possible = (same / possible)[others]
    return {
        "value": float(shares[others].mean()),
        "count": int(others.sum()),
        "possible": float((possible / np.array([[len(clip)] for clip in usable]))[others].mean()),
        "value_where_possible": float(np.nanmean(where_possible)) if np.isfinite(where_possible).any() else None,
        "clips": [
            {"clip": clip.name, "value": float(shares[index][others[index]].mean())}
            for index, clip in enumerate(usable)
        ],
    }, undefined


def _agreement(clips: Sequence[ClipSequence], distance: str) -> Tuple[np.ndarray, np.ndarray]:
    """Frames of clip i whose neighbor in clip j has their phase, and frames whose phase clip j has; both [N, N]."""
    search = NearestInEach([clip.values for clip in clips], distance=distance)
    same, possible = np.zeros((2, len(clips), len(clips)))
    for i, query in enumerate(clips):
        for j, (other, neighbors) in enumerate(zip(clips, search.neighbors(query.values))):
            same[i, j] = np.count_nonzero(other.labels[neighbors] == query.labels)
            possible[i, j] = np.count_nonzero(np.isin(query.labels, other.labels))
    return same, possible
