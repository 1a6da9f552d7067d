"""Alignment: how far from the truth are matches in another clip, where the true progress of each frame is known?"""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from tcc.errors import ShapeError
from tcc.evaluation.clips import check_clips
from tcc.evaluation.matching import Matching, Pairs, draw_pairs, ordered_pairs
from tcc.evaluation.result import ALIGNMENT, MetricResult, left_out, nothing_left
from tcc.sequences import ClipSequence

METRIC = "alignment"
NO_PROGRESS = "true progress is not known"
_ERRORS = ("progress_error", "time_error_seconds", "cycle_error_seconds")

Truth = Mapping[str, np.ndarray]


class _Matches(NamedTuple):
    """Frames of j for each frame of i, frames of i for each frame of j."""

    forth: np.ndarray
    back: np.ndarray


class _Clip(NamedTuple):
    """Time and true progress of each frame, float64 [T]; progress is NaN where it is not known."""

    times: np.ndarray
    progress: np.ndarray


def alignment(
    clips: Sequence[ClipSequence],
    *,
    truth: Truth,
    dtw_pairs: int,
    seed: int,
    distance: str = "sqeuclidean",
    split: str = "test",
    matching: Optional[Matching] = None,
) -> MetricResult:
    """Mean absolute error of the true progress of nearest neighbors in other clips; needs no labels.

    For each ordered pair (i, j), each frame t of i with known progress p_i(t) and its match s in j:
      progress error   | p_i(t) - p_j(s) |
      time error       | time_j(s) - time_j(p_i(t)) |   seconds; time_j(p) is when j has progress p
      cycle error      | time_i(r) - time_i(t) |        seconds; r is the match of s in i
    Each is a mean over the frames of a pair, then over pairs. Between frames of known progress time_j(p) is interpolated
    linearly; a progress that j keeps for a while has all its times, of which the nearest counts.

    Args:
      clips: embeddings [T, D].
      truth: for each clip name its progress in [0, 1] at the clip's timestamps, float64 [T], NaN where it is not known; it
        never falls. A clip that is missing is left out.
      dtw_pairs: at most so many ordered pairs are warped (`draw_pairs`). seed: of that draw.
      distance: sqeuclidean or cosine.
      split: name of the clips' split.
      matching: of the same clips by the same distance, where others read it too.
    Returns: MetricResult; value is the progress error of nearest neighbors, a share of the action, count the ordered pairs.
      details["nearest_neighbor"] and details["dtw"] have all three errors; with "dtw" the match of a frame is the first one
      on the warping path of i and j, both ways.
    Raises: MetricUndefined if no pair is left; ShapeError for unequal D, and for progress of another length, out of [0, 1]
      or falling.
    """
    check_clips("clips", clips)
    matching = matching or Matching(clips, distance=distance)
    known = [_Clip(clip.timestamps, _progress(clip, truth)) for clip in clips]
    is_known = [not np.isnan(clip.progress).all() for clip in known]
    undefined = matching.left_out()
    undefined += [left_out(f"clip {clip.name}", NO_PROGRESS) for clip, told in zip(clips, is_known) if not told]
    everything = ordered_pairs(len(clips))
    usable = [(i, j) for i, j in matching.usable(everything) if is_known[i] and is_known[j]]
    nearest = _mean_errors(known, usable, lambda i, j: _Matches(matching.nearest(i, j), matching.nearest(j, i)))
    if nearest["progress_error"] is None:
        raise nothing_left(METRIC, f"ordered pair of clips (of {len(clips)} clips)", undefined)
    drawn = draw_pairs(len(clips), dtw_pairs, seed=seed)
    chosen = sorted(set(drawn) & set(usable))
    paths = matching.warped(chosen)
    warped = _mean_errors(known, chosen, lambda i, j: _Matches(*paths[i, j]))
    return MetricResult(
        metric=METRIC,
        protocol=ALIGNMENT,
        split=split,
        value=nearest["progress_error"],
        count=nearest["pairs"],
        undefined=undefined,
        details={
            "unit": "share of the action",
            "count_of": "ordered pairs of clips",
            "distance": distance,
            "nearest_neighbor": {**nearest, "pairs_in_all": len(everything)},
            "dtw": {**warped, "pairs_in_all": len(everything)},
        },
    )


def times_of_progress(times: np.ndarray, progress: np.ndarray, wanted: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """First and last time at which a clip has each wanted progress; NaN where it never has, or the wanted one is NaN.

    Args: times [T], progress [T] known and never falling. wanted: [N].
    """
    after, before = np.searchsorted(progress, wanted, "left"), np.searchsorted(progress, wanted, "right") - 1
    reached = (after < len(progress)) & (before >= 0)
    after, before = np.minimum(after, len(progress) - 1), np.maximum(before, 0)
    low, high = times[after].astype(np.float64), times[before].astype(np.float64)
    between = reached & (before < after)
    rise = progress[after[between]] - progress[before[between]]
    share = (wanted[between] - progress[before[between]]) / rise
    low[between] = high[between] + share * (low[between] - high[between])
    high[between] = low[between]
    low[~reached], high[~reached] = np.nan, np.nan
    return low, high


def _progress(clip: ClipSequence, truth: Truth) -> np.ndarray:
    """The checked progress of a clip, NaN where it is not known."""
    if clip.name not in truth:
        return np.full(len(clip), np.nan)
    progress = np.asarray(truth[clip.name], np.float64)
    if progress.shape != (len(clip),):
        raise ShapeError(f"truth: clip {clip.name}: expected [{len(clip)}], got shape {list(progress.shape)}")
    known = progress[~np.isnan(progress)]
    if len(known) and (known.min() < 0 or known.max() > 1 or (np.diff(known) < 0).any()):
        fall = max(0.0, -np.diff(known, prepend=known[0]).min())
        raise ShapeError(
            f"truth: clip {clip.name}: progress must lie in [0, 1] and never fall, got {known.min():g}..{known.max():g} and a"
            f" fall of {fall:g}"
        )
    return progress


def _mean_errors(clips: Sequence[_Clip], pairs: Pairs, match: Any) -> Dict[str, Any]:
    """The three errors as means over pairs, and how many pairs, frames and frames without a time they are over."""
    rows: List[np.ndarray] = []
    frames = never_reached = unknown = 0
    for i, j in pairs:
        errors = _errors(clips[i], clips[j], match(i, j))
        missing = np.isnan(errors)
        frames += errors.shape[1]
        unknown += int(missing[0].sum())
        never_reached += int(missing[1].sum())
        sums = np.where(missing, 0, errors).sum(axis=1)
        with np.errstate(invalid="ignore"):  # 0 / 0: no frame of the pair has this error
            rows.append(sums / (~missing).sum(axis=1))
    table = np.array(rows).reshape(-1, len(_ERRORS))
    means = [column[~np.isnan(column)] for column in table.T]
    return {
        **{name: float(column.mean()) if len(column) else None for name, column in zip(_ERRORS, means)},
        "pairs": int((~np.isnan(table[:, 0])).sum()),
        "frames": frames,
        "frames_matched_where_progress_is_unknown": unknown,
        "frames_whose_progress_is_never_reached": never_reached,
    }


def _errors(own: _Clip, other: _Clip, matches: _Matches) -> np.ndarray:
    """Progress, time and cycle error of each frame with known progress, [3, N]; NaN where it has none."""
    frames = np.flatnonzero(~np.isnan(own.progress))
    found = matches.forth[frames]
    wanted, known = own.progress[frames], ~np.isnan(other.progress)
    low, high = times_of_progress(other.times[known], other.progress[known], wanted)
    times = other.times[found]
    return np.stack(
        [
            np.abs(wanted - other.progress[found]),
            np.maximum(np.maximum(low - times, times - high), 0),
            np.abs(own.times[matches.back[found]] - own.times[frames]),
        ]
    )
