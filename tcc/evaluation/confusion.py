"""Predicted against true phases: which are taken for which, and how well each is found."""

from __future__ import annotations

from typing import List, Sequence

import numpy as np

from tcc.sequences import ClipSequence


def confusion_of(labels: np.ndarray, predictions: np.ndarray, num_phases: int) -> np.ndarray:
    """Frames of each true phase (rows) by predicted phase (columns), int64 [K, K]."""
    counts = np.zeros((num_phases, num_phases), dtype=np.int64)
    np.add.at(counts, (labels, predictions), 1)
    return counts


def balanced_accuracy(labels: np.ndarray, predictions: np.ndarray) -> float:
    """Macro-averaged accuracy: the share of a phase's frames that are predicted right, mean over the phases that occur."""
    return float(np.mean([np.mean(predictions[labels == phase] == phase) for phase in np.unique(labels)]))


def phases_without_frame(clips: Sequence[ClipSequence], phases: Sequence[str]) -> List[str]:
    """Names of the phases that no frame of the clips has."""
    present = set(np.concatenate([clip.labels for clip in clips]).tolist())
    return [name for index, name in enumerate(phases) if index not in present]
