"""Two clips aligned for show: which pair, and which frame goes with which."""

from __future__ import annotations

import dataclasses
import itertools
import math
from dataclasses import dataclass
from typing import Container, List, Optional, Sequence, Tuple, TypeVar

import numpy as np

from tcc.alignment import nearest_neighbors, pairwise_distances
from tcc.alignment.dynamic_time_warping import cheapest_path
from tcc.errors import VideoError
from tcc.sequences import ClipSequence

LONGEST = 400  # steps of a clip that are aligned; a longer clip is thinned out evenly
_CLIPS_TRIED = 16
_GOOD_SHARE = 1 / 3
Item = TypeVar("Item")


@dataclass(frozen=True)
class AlignedPair:
    """A reference clip and another one, with the warping path between them.

    Attributes:
      reference, other: the clips, thinned out to at most LONGEST steps.
      reference_steps, other_steps: int64, the steps of the whole clips that were kept.
      path: indices into the thinned-out reference and other, both int64 [P], never decreasing.
      matches: int64 [T], for each thinned-out reference step the middle one of its matches in the other clip.
      distances: float64 [T, T'], between the thinned-out clips.
      relative_cost: mean distance along the path / mean of all distances; small is well aligned, 1 is no better than
        chance.
      shift_seconds: mean over the path of |time in the reference - time in the other|: how far apart the two clips are
        when they are played side by side as filmed.
    """

    reference: ClipSequence
    other: ClipSequence
    reference_steps: np.ndarray
    other_steps: np.ndarray
    path: Tuple[np.ndarray, np.ndarray]
    matches: np.ndarray
    distances: np.ndarray
    relative_cost: float
    shift_seconds: float

    def nearest(self, *, distance: str) -> np.ndarray:
        """For each reference step the nearest step of the other clip, free to go back in time; int64 [T]."""
        return nearest_neighbors(self.reference.values, self.other.values, distance=distance)

    def turned(self) -> AlignedPair:
        """The same pair seen from the other clip."""
        columns, rows = self.path
        return dataclasses.replace(
            self,
            reference=self.other,
            other=self.reference,
            reference_steps=self.other_steps,
            other_steps=self.reference_steps,
            path=(rows, columns),
            matches=_matches(rows, columns),
            distances=self.distances.T,
        )


def align_pair(reference: ClipSequence, other: ClipSequence, *, distance: str = "sqeuclidean") -> AlignedPair:
    """Align two clips of embeddings [T, D] by dynamic time warping.

    Raises: as `tcc.alignment.dynamic_time_warping`.
    """
    steps = _kept_steps(reference), _kept_steps(other)
    thin_reference, thin_other = reference.take(steps[0]), other.take(steps[1])
    distances = pairwise_distances(thin_reference.values, thin_other.values, distance=distance)
    path = cheapest_path(distances)
    return _pair(thin_reference, thin_other, (path.query_indices, path.candidate_indices), distances, steps)


def pair_of_matches(
    reference: ClipSequence,
    other: ClipSequence,
    path: Tuple[np.ndarray, np.ndarray],
    *,
    distance: str = "sqeuclidean",
) -> AlignedPair:
    """Two whole clips that were matched before.

    Args:
      reference, other: embeddings [T, D].
      path: frames of the reference, each at least once and in order, and of the other clip; int64 [P] both.
      distance: sqeuclidean or cosine.
    """
    distances = pairwise_distances(reference.values, other.values, distance=distance)
    return _pair(reference, other, path, distances, (np.arange(len(reference)), np.arange(len(other))))


def _pair(
    reference: ClipSequence,
    other: ClipSequence,
    path: Tuple[np.ndarray, np.ndarray],
    distances: np.ndarray,
    steps: Tuple[np.ndarray, np.ndarray],
) -> AlignedPair:
    rows, columns = path
    return AlignedPair(
        reference=reference,
        other=other,
        reference_steps=steps[0],
        other_steps=steps[1],
        path=(rows, columns),
        matches=_matches(rows, columns),
        distances=distances,
        relative_cost=float(distances[rows, columns].mean() / (distances.mean() or math.inf)),
        shift_seconds=_shift(reference, other, rows, columns),
    )


def align_all(
    clips: Sequence[ClipSequence], *, distance: str = "sqeuclidean", playable: Optional[Container[str]] = None
) -> List[AlignedPair]:
    """Align every two of the clips, those that align best first; the reference is the longer clip.

    At most 16 clips are tried, spread evenly over the lengths; ties go by name, so that the same clips give the same pairs. No
    label is looked at.

    Args:
      clips: embeddings [T, D] of each. playable: names of the clips that have frames; None: all.
    Raises: VideoError if fewer than two clips can be aligned.
    """
    usable = [clip for clip in clips if _usable(clip) and (playable is None or clip.name in playable)]
    if len(usable) < 2:
        raise VideoError(
            f"an aligned video takes two clips with frames and finite embeddings of two steps or more; there are "
            f"{len(usable)} of {len(clips)}: give the test split more clips"
        )
    tried = spread(sorted(usable, key=lambda clip: (-len(clip), clip.name)), _CLIPS_TRIED)
    pairs = [align_pair(first, second, distance=distance) for first, second in itertools.combinations(tried, 2)]
    return sorted(pairs, key=lambda pair: pair.relative_cost)


def choose_pair(pairs: Sequence[AlignedPair]) -> AlignedPair:
    """The pair that shows an alignment best: of the third of the pairs that align best, the one furthest apart in time.

    Args: pairs: as `align_all` gives them.
    """
    good = pairs[: math.ceil(len(pairs) * _GOOD_SHARE)]
    return max(good, key=lambda pair: pair.shift_seconds)


def spread(items: Sequence[Item], most: int) -> List[Item]:
    """At most so many of the items, evenly spread, the first and the last among them."""
    if len(items) <= most:
        return list(items)
    return [items[index] for index in np.linspace(0, len(items) - 1, most).round().astype(int)]


def _matches(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """For each row the middle one of its columns on the path."""
    on_path = [columns[rows == row] for row in range(rows[-1] + 1)]
    return np.array([found[len(found) // 2] for found in on_path])


def _shift(reference: ClipSequence, other: ClipSequence, rows: np.ndarray, columns: np.ndarray) -> float:
    times = reference.timestamps - reference.timestamps[0], other.timestamps - other.timestamps[0]
    return float(np.abs(times[0][rows] - times[1][columns]).mean())


def _usable(clip: ClipSequence) -> bool:
    # A frame of length zero has no cosine distance.
    return len(clip) > 1 and bool(np.isfinite(clip.values).all()) and bool(clip.values.any(axis=-1).all())


def _kept_steps(clip: ClipSequence) -> np.ndarray:
    return np.array(spread(range(len(clip)), LONGEST))
