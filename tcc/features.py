"""Features of whole clips from a frozen backbone: once per frame, pooled to a small grid, float16."""

from __future__ import annotations

from typing import Any, Callable, Iterable, Iterator, List

import numpy as np
import tensorflow as tf

from tcc.device import require_device
from tcc.models import pool_to_grid
from tcc.sequences import ClipSequence
from tcc.video.shards import ClipRecord, decode_jpegs


def compute_features(
    records: Iterable[ClipRecord], backbone: Any, *, grid: int, batch_frames: int, mirrored: bool = False
) -> Iterator[ClipSequence]:
    """Features of each clip's frames: values float16 [T, grid, grid, C].

    The backbone's output [h, w, C] is averaged over the cells of a grid. The last batch is padded, so that every call has
    the same shape. With `mirrored` each frame is mirrored left to right before the backbone sees it.
    """
    require_device()
    extract = _extractor(backbone, grid)
    for record in records:
        features = _in_batches(extract, record.frames, batch_frames, mirrored)
        yield ClipSequence(record.name, record.timestamps, record.frame_labels, features)


def _extractor(backbone: Any, grid: int) -> Callable[[Any], tf.Tensor]:
    @tf.function
    def extract(frames: tf.Tensor) -> tf.Tensor:
        return tf.cast(pool_to_grid(backbone(frames, training=False), grid), tf.float16)

    return extract


def _in_batches(
    extract: Callable[[Any], tf.Tensor], jpegs: List[bytes], batch_frames: int, mirrored: bool
) -> np.ndarray:
    parts = []
    for start in range(0, len(jpegs), batch_frames):
        frames = decode_jpegs(jpegs[start : start + batch_frames])
        frames = frames[:, :, ::-1] if mirrored else frames
        padding = np.zeros((batch_frames - len(frames), *frames.shape[1:]), frames.dtype)
        parts.append(extract(np.concatenate([frames, padding])).numpy()[: len(frames)])
    return np.concatenate(parts)
