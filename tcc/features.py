"""Features of whole clips from a frozen backbone: once per frame, pooled to a small grid, float16."""

from __future__ import annotations

from typing import Any, Callable, Iterable, Iterator, List

import numpy as np
import tensorflow as tf

from tcc.device import require_device
from tcc.errors import ShapeError
from tcc.sequences import ClipSequence
from tcc.video.shards import ClipRecord, decode_jpegs


def compute_features(
    records: Iterable[ClipRecord], backbone: Any, *, grid: int, batch_frames: int
) -> Iterator[ClipSequence]:
    """Features of each clip's frames: values float16 [T, grid, grid, C].

    The backbone's output [h, w, C] is averaged over cells of equal area; h and w must be multiples of `grid`. The last
    batch is padded, so that every call has the same shape.

    Raises: ShapeError if `grid` does not divide the backbone's output.
    """
    require_device()
    extract = _extractor(backbone, grid)
    for record in records:
        features = _in_batches(extract, record.frames, batch_frames)
        yield ClipSequence(record.name, record.timestamps, record.frame_labels, features)


def _extractor(backbone: Any, grid: int) -> Callable[[Any], tf.Tensor]:
    @tf.function
    def extract(frames: tf.Tensor) -> tf.Tensor:
        return tf.cast(pool_to_grid(backbone(frames, training=False), grid), tf.float16)

    return extract


def pool_to_grid(features: Any, grid: int) -> tf.Tensor:
    """Average [N, h, w, C] over cells to [N, grid, grid, C]."""
    height, width = features.shape[1], features.shape[2]
    if height % grid or width % grid:
        raise ShapeError(f"[features] grid: {grid} does not divide the backbone's {height} x {width} output")
    window = [1, height // grid, width // grid, 1]
    return tf.nn.avg_pool2d(features, ksize=window[1:3], strides=window[1:3], padding="VALID")


def _in_batches(extract: Callable[[Any], tf.Tensor], jpegs: List[bytes], batch_frames: int) -> np.ndarray:
    parts = []
    for start in range(0, len(jpegs), batch_frames):
        frames = decode_jpegs(jpegs[start : start + batch_frames])
        padding = np.zeros((batch_frames - len(frames), *frames.shape[1:]), frames.dtype)
        parts.append(extract(np.concatenate([frames, padding])).numpy()[: len(frames)])
    return np.concatenate(parts)
