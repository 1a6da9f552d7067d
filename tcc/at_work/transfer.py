"""Phases of new clips, carried over from labelled ones, as tables."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Iterable, List, Sequence, Tuple

import numpy as np

from tcc.alignment import NearestInEach, transfer_phases
from tcc.alignment.phase_transfer import stretches
from tcc.at_work.model_folder import TrainedModel
from tcc.sequences import UNLABELLED, ClipSequence
from tcc.video.files import write_rows
from tcc.video.shards import ClipRecord

_PHASE_COLUMNS = ("clip", "seconds", "frame", "phase", "confidence", "unlike")
_LABEL_COLUMNS = ("clip", "start_seconds", "end_seconds", "phase")


@dataclass(frozen=True)
class ClipPhases:
    """The phases of one clip's T sampled frames.

    Attributes:
      name: of the clip.
      timestamps: float64 [T], seconds in the video. frame_numbers: int64 [T], number of each frame in the video.
      phases: int64 [T]. confidence: float64 [T]; see `tcc.alignment.transfer_phases`.
      unlike: bool [T], farther from all training clips than 95 % of their own frames are from each other.
    """

    name: str
    timestamps: np.ndarray
    frame_numbers: np.ndarray
    phases: np.ndarray
    confidence: np.ndarray
    unlike: np.ndarray


class SeenFrames:
    """Tells frames that are like those of a model's training clips from others."""

    def __init__(self, model: TrainedModel) -> None:
        self._thresholds = model.thresholds
        clips = [clip.values for clip in model.references]
        self._nearest = NearestInEach(clips, distance=model.settings.evaluation.distance)

    def unlike(self, clip: ClipSequence) -> np.ndarray:
        """Which frames of an embedded clip are unlike anything that the model was trained on, bool [T]."""
        return self._thresholds.unlike(self._nearest.distances(clip.values).min(axis=0))


class PhaseTransfer:
    """Carries phases from labelled clips to any number of others.

    Args:
      model: whose training clips say what is unlike them.
      references: embeddings of the labelled clips, by the same model.
    """

    def __init__(self, model: TrainedModel, references: Sequence[ClipSequence]) -> None:
        self._distance = model.settings.evaluation.distance
        self._seen = SeenFrames(model)
        self._references = list(references)

    def phases_of(self, clip: ClipSequence, record: ClipRecord) -> ClipPhases:
        """Phases of an embedded clip and its frames.

        Raises: LabelError if no reference has a label; MetricUndefined if embeddings are not finite.
        """
        found = transfer_phases(clip.values, self._references, distance=self._distance)
        return ClipPhases(
            clip.name, clip.timestamps, record.frame_numbers, found.phases, found.confidence, self._seen.unlike(clip)
        )


def segments_of(clip: ClipPhases, *, clock_seconds: float) -> List[Tuple[float, float, int]]:
    """(start, end, phase) of the stretches of one phase, in seconds, half-open; frames that are unlike have none.

    A boundary lies midway between the last frame before it and the first one behind it; the clip's last stretch ends a
    tick of the clock behind its last frame.
    """
    times = clip.timestamps
    found = []
    for run in stretches(np.where(clip.unlike, UNLABELLED, clip.phases)):
        start = times[run.first] if run.first == 0 else (times[run.first - 1] + times[run.first]) / 2
        last = run.last == len(times) - 1
        end = times[run.last] + clock_seconds if last else (times[run.last] + times[run.last + 1]) / 2
        if end > start:  # a frame that a slow source repeats may change its phase between two equal times
            found.append((float(start), float(end), run.phase))
    return found


def write_phases(path: Path, clips: Iterable[ClipPhases], phases: Sequence[str]) -> None:
    """Write every sampled frame's phase as CSV; unlike is 1 or 0."""
    rows = (
        [clip.name, f"{seconds:.9g}", int(number), phases[phase], f"{confidence:.6f}", int(unlike)]
        for clip in clips
        for seconds, number, phase, confidence, unlike in zip(
            clip.timestamps, clip.frame_numbers, clip.phases, clip.confidence, clip.unlike
        )
    )
    write_rows(path, [_PHASE_COLUMNS, *rows])


def write_labels(path: Path, clips: Iterable[ClipPhases], phases: Sequence[str], *, clock_seconds: float) -> None:
    """Write segments as CSV that `[videos] labels` reads."""
    rows = (
        [clip.name, f"{start:.9g}", f"{end:.9g}", phases[phase]]
        for clip in clips
        for start, end, phase in segments_of(clip, clock_seconds=clock_seconds)
    )
    write_rows(path, [_LABEL_COLUMNS, *rows])
