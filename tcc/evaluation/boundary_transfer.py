"""Boundary transfer: how far off is a phase boundary that nearest neighbors carry from one clip to another?"""

from __future__ import annotations

from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from tcc.alignment.nearest_neighbor import NearestInEach
from tcc.evaluation.clips import NO_LABEL, check_clips, key_event_name, phase_boundary, phase_runs, usable_across
from tcc.evaluation.matching import Matching, draw_pairs
from tcc.evaluation.result import CROSS_CLIP, MetricResult, left_out, nothing_left
from tcc.evaluation.threads import one_blas_thread
from tcc.evaluation.trimming import trim_clips
from tcc.sequences import ClipSequence

METRIC = "boundary_transfer"


class _Boundary(NamedTuple):
    """Last frame of a phase, first frame of the next."""

    before: int
    after: int


class _Transfers(NamedTuple):
    """Error in seconds, [N, N, K - 1], NaN where there is no such transfer; and what was left out."""

    errors: np.ndarray
    undefined: List[Dict[str, str]]


def boundary_transfer(
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
    """Median error in seconds of phase boundaries transferred to another clip by nearest neighbor.

    Boundary k of clip i lies between a, the last frame of phase k, and b, the first frame of phase k + 1:
      b_i(k) = (time_i(a) + time_i(b)) / 2
    In clip j it is put where the neighbors of these two frames lie, and the error is the distance to j's own boundary:
      e_ij(k) = | (time_j(nn_ij(a)) + time_j(nn_ij(b))) / 2 - b_j(k) |
    value = median of e_ij(k) over all i != j and k. A clip transferred to itself has error 0 at any frame rate.

    Args: as for `phase_agreement`.
    Returns: MetricResult; value in seconds, count the transfers. details has mean, quartiles, each boundary, and the
      same median on trimmed clips and by warping: there the two frames lie in j where their first matches on the
      warping path of the whole clips are. Boundaries next to a phase that is missing, repeated or out of order are left out.
    Raises: MetricUndefined if there are fewer than two phases or no boundary that two clips have; ShapeError for
      unequal D or labels out of range.
    """
    check_clips("clips", clips, num_phases=len(phases))
    if len(phases) < 2:
        raise nothing_left(METRIC, f"boundary (it takes two phases, there are {len(phases)})", [])
    transfers = _transfer(clips, phases, distance)
    errors = transfers.errors[np.isfinite(transfers.errors)]
    if not len(errors):
        raise nothing_left(METRIC, f"boundary that two of {len(clips)} clips have", transfers.undefined)
    trimmed = _transfer(trim_clips(clips, trim_start_seconds, trim_end_seconds, seed=seed), phases, distance)
    return MetricResult(
        metric=METRIC,
        protocol=CROSS_CLIP,
        split=split,
        value=float(np.median(errors)),
        count=len(errors),
        undefined=transfers.undefined,
        details={
            "unit": "seconds",
            "count_of": "boundaries transferred, over ordered pairs of clips",
            "distance": distance,
            **_spread(errors),
            "boundaries": [
                {"boundary": key_event_name(phases, k), **_median_and_count(transfers.errors[:, :, k])}
                for k in range(len(phases) - 1)
            ],
            "dtw": _by_warping(matching or Matching(clips, distance=distance), phases, dtw_pairs, seed),
            "trimmed": {
                "trim_start_seconds": trim_start_seconds,
                "trim_end_seconds": trim_end_seconds,
                "seed": seed,
                **_median_and_count(trimmed.errors),
                "undefined": trimmed.undefined,
            },
        },
    )


def _transfer(clips: Sequence[ClipSequence], phases: Sequence[str], distance: str) -> _Transfers:
    usable, undefined = usable_across(clips, distance=distance, labelled=False)
    boundaries = []
    for clip in usable:
        found, reasons = _boundaries(clip, phases)
        boundaries.append(found)
        undefined += reasons
    errors = np.full((len(usable), len(usable), len(phases) - 1), np.nan)
    if len(usable) < 2:
        return _Transfers(errors, undefined)
    search = NearestInEach([clip.values for clip in usable], distance=distance)
    with one_blas_thread():
        for i, clip in enumerate(usable):
            events = [k for k, boundary in enumerate(boundaries[i]) if boundary]
            if events:
                frames = np.array([boundaries[i][k] for k in events])
                neighbors = search.neighbors(clip.values[frames.ravel()]).reshape(len(usable), len(events), 2)
                errors[i][:, events] = _errors(usable, boundaries, neighbors, events)
            errors[i, i] = np.nan
    return _Transfers(errors, undefined)


def _by_warping(matching: Matching, phases: Sequence[str], dtw_pairs: int, seed: int) -> Dict[str, Any]:
    clips, undefined = matching.clips, matching.left_out()
    boundaries = [_boundaries(clip, phases)[0] for clip in clips]
    drawn, errors = draw_pairs(len(clips), dtw_pairs, seed=seed), []
    for (i, j), matches in matching.warped(matching.usable(drawn)).items():
        for boundary, own in zip(boundaries[i], boundaries[j]):
            if boundary and own:
                found = matches.forth[list(boundary)]
                errors.append(abs(clips[j].timestamps[found].mean() - _time(clips[j], own)))
    if not errors:
        undefined.append(left_out("all", "no boundary that both clips of a pair have"))
    return {
        "value": float(np.median(errors)) if errors else None,
        "count": len(errors),
        "pairs": len(drawn),
        "pairs_in_all": len(clips) * (len(clips) - 1),
        "undefined": undefined,
    }


def _errors(
    clips: Sequence[ClipSequence],
    boundaries: Sequence[Sequence[Optional[_Boundary]]],
    neighbors: np.ndarray,
    events: Sequence[int],
) -> np.ndarray:
    """Error of each event in each clip, [N, len(events)]; `neighbors` [N, len(events), 2]."""
    transferred = np.stack([clip.timestamps[found].mean(axis=1) for clip, found in zip(clips, neighbors)])
    truth = [[_time(clip, own[k]) for k in events] for clip, own in zip(clips, boundaries)]
    return np.abs(transferred - np.array(truth))


def _time(clip: ClipSequence, boundary: Optional[_Boundary]) -> float:
    return clip.timestamps[list(boundary)].mean() if boundary else np.nan


def _boundaries(clip: ClipSequence, phases: Sequence[str]) -> Tuple[List[Optional[_Boundary]], List[Dict[str, str]]]:
    runs = phase_runs(clip.labels)
    if not runs:
        return [None] * (len(phases) - 1), [left_out(f"clip {clip.name}", NO_LABEL)]
    found: List[Optional[_Boundary]] = []
    undefined = []
    for k in range(len(phases) - 1):
        boundary = phase_boundary(runs, k, phases)
        if isinstance(boundary, str):
            undefined.append(left_out(f"clip {clip.name}, boundary {key_event_name(phases, k)}", boundary))
            found.append(None)
        else:
            found.append(_Boundary(*boundary))
    return found, undefined


def _spread(errors: np.ndarray) -> Dict[str, Any]:
    lower, upper = np.percentile(errors, [25, 75])
    return {"mean": float(errors.mean()), "quartiles": [float(lower), float(upper)]}


def _median_and_count(errors: np.ndarray) -> Dict[str, Any]:
    errors = errors[np.isfinite(errors)]
    return {"value": float(np.median(errors)) if len(errors) else None, "count": len(errors)}
