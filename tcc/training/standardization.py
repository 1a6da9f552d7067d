"""Mean and spread of each feature channel over the training clips."""

from __future__ import annotations

from typing import Any, Callable, Tuple

import numpy as np

from tcc.dataset import Clips, FeatureClips
from tcc.models import pool_to_grid
from tcc.stored_values import sum_in_pieces

_FRAMES_PER_CLIP = 8


def standardize(encoder: Any, source: Clips) -> None:
    """Set the embedder's standardization from the training clips, where it has one."""
    if encoder.embedder.standardization is not None:
        encoder.embedder.set_standardization(*channel_statistics(encoder, source))


def channel_statistics(encoder: Any, source: Clips) -> Tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each feature channel, each frame counted once; float64 [C].

    Stored features are all read; where the backbone has to be run, a few frames of each clip stand for it.
    """
    total, squares, count = np.zeros(1), np.zeros(1), 0
    features_of = _stored_features if isinstance(source, FeatureClips) else _backbone_features(encoder)
    for clip in range(len(source)):
        values = features_of(source, clip)
        clip_total, clip_squares = sum_in_pieces(values, _rows_and_squares)
        count += int(np.prod(values.shape[:-1]))
        total, squares = total + clip_total, squares + clip_squares
    mean = total / count
    return mean, np.sqrt(np.maximum(squares / count - np.square(mean), 0))


def _rows_and_squares(values: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    rows = values.astype(np.float64).reshape(-1, values.shape[-1])
    return rows, np.square(rows)


def _stored_features(source: Any, clip: int) -> Any:
    return source.values[clip]


def _backbone_features(encoder: Any) -> Callable[[Any, int], Any]:
    def features(source: Clips, clip: int) -> np.ndarray:
        spread = np.linspace(0, source.lengths[clip] - 1, _FRAMES_PER_CLIP).round().astype(np.int64)
        values = encoder.backbone(source.gather(clip, spread), training=False)
        return (values if encoder.grid is None else pool_to_grid(values, encoder.grid)).numpy()

    return features
