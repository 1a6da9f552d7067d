"""Which moment of one video goes with which of another, and how sure that is."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Tuple

import numpy as np

from tcc.alignment import (
    dynamic_time_warping,
    nearest_neighbors,
    neighbor_confidence,
    pairwise_distances,
    path_confidence,
    subsequence_time_warping,
)
from tcc.config import check_choice
from tcc.sequences import ClipSequence
from tcc.video.files import atomic_file
from tcc.video.shards import ClipRecord

WAYS = ("warp", "nearest", "subsequence")
_COLUMNS = ("a_seconds", "b_seconds", "a_frame", "b_frame", "distance", "confidence")


@dataclass(frozen=True)
class Matches:
    """Pairs of sampled frames of two clips, A and B, in the order of A.

    Attributes:
      a_steps, b_steps: int64 [P]; each frame of A is in at least one pair.
      distances: float64 [P]. confidence: float64 [P], 0 to 1; NaN where it is undefined.
    """

    a_steps: np.ndarray
    b_steps: np.ndarray
    distances: np.ndarray
    confidence: np.ndarray


def match_clips(a: ClipSequence, b: ClipSequence, *, way: str, window: int, distance: str) -> Matches:
    """Match every frame of A with frames of B.

    Args:
      a, b: embeddings [T, D].
      way: warp (both from end to end, in order), nearest (each frame by itself), subsequence (A somewhere inside B, in
        order).
      window: frames of B around a match that count as the same moment; see `tcc.alignment.neighbor_confidence`.
      distance: sqeuclidean or cosine.
    Raises: SettingsError for another way or distance; else as `tcc.alignment.pairwise_distances`.
    """
    check_choice("way", way, WAYS)
    a_steps, b_steps, confidence = _match(a.values, b.values, way, window, distance)
    distances = pairwise_distances(a.values, b.values, distance=distance)[a_steps, b_steps]
    return Matches(a_steps, b_steps, distances, confidence)


def _match(
    a: np.ndarray, b: np.ndarray, way: str, window: int, distance: str
) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    if way == "nearest":
        found = nearest_neighbors(a, b, distance=distance)
        return np.arange(len(a)), found, neighbor_confidence(a, b, found, window=window, distance=distance)
    warp = dynamic_time_warping if way == "warp" else subsequence_time_warping
    path = warp(a, b, distance=distance)
    confidence = path_confidence(a, b, path, window=window, distance=distance)
    return path.query_indices, path.candidate_indices, confidence


def write_matches(path: Path, matches: Matches, a: ClipRecord, b: ClipRecord) -> None:
    """Write matches as CSV: seconds and frame numbers of the source videos; an undefined confidence is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(_COLUMNS)
    for step in range(len(matches.a_steps)):
        i, j = int(matches.a_steps[step]), int(matches.b_steps[step])
        confidence = matches.confidence[step]
        writer.writerow(
            [
                f"{a.timestamps[i]:.9g}",
                f"{b.timestamps[j]:.9g}",
                _frame_number(a, i),
                _frame_number(b, j),
                f"{matches.distances[step]:.9g}",
                "" if np.isnan(confidence) else f"{confidence:.6f}",
            ]
        )
    with atomic_file(path) as file:
        file.write(text.getvalue().encode())


def _frame_number(record: ClipRecord, step: int) -> int:
    return step if record.source_frames is None else int(record.source_frames[step])
