"""How near a frame's nearest frame usually is, so that a frame unlike anything seen can be told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional, Sequence

import numpy as np

from tcc.alignment import NearestInEach
from tcc.sequences import ClipSequence

_MOST_CLIPS = 200


@dataclass(frozen=True)
class Thresholds:
    """Distances of the training clips' frames to the nearest frame in the other training clips.

    Attributes:
      median, quantile_95: of those distances; None where they are undefined.
      num_frames: how many frames they rest on.
      reason: why they are undefined; else empty.
    """

    median: Optional[float]
    quantile_95: Optional[float]
    num_frames: int
    reason: str = ""

    def unlike(self, distances: np.ndarray) -> np.ndarray:
        """Which frames, by distance to their nearest training frame, are unlike anything seen: bool, d > quantile_95.

        By definition about one in twenty of the training clips' own frames is. None is where the threshold is undefined.
        """
        if self.quantile_95 is None:
            return np.zeros(len(distances), bool)
        return distances > self.quantile_95


def measure_thresholds(clips: Sequence[ClipSequence], *, distance: str) -> Thresholds:
    """Median and 95 % quantile of d(t), over all frames t of the clips:

    d(t) = min over all other clips c and their frames s of distance(t, c_s)

    Of more than 200 clips, 200 spread evenly over them are asked for their frames' neighbors in all others.

    Args:
      clips: embeddings [T, D] of each.
      distance: sqeuclidean or cosine.
    Returns: Thresholds; undefined for fewer than two clips.
    Raises: MetricUndefined if embeddings are not finite, or of length zero with `cosine`.
    """
    if len(clips) < 2:
        return Thresholds(None, None, 0, f"{len(clips)} clip: a frame's nearest in another clip takes two")
    nearest = NearestInEach([clip.values for clip in clips], distance=distance)
    asked = np.unique(np.linspace(0, len(clips) - 1, min(len(clips), _MOST_CLIPS)).round().astype(int))
    found = np.concatenate([np.delete(nearest.distances(clips[n].values), n, axis=0).min(axis=0) for n in asked])
    return Thresholds(float(np.median(found)), float(np.quantile(found, 0.95)), len(found))
