"""Features of whole clips from a frozen backbone: once per frame, pooled to a small grid, float16."""

from __future__ import annotations

from typing import Any, Iterator, Sequence

import numpy as np
import tensorflow as tf

from tcc.device import require_device
from tcc.models import pool_to_grid
from tcc.progress import Progress, silent
from tcc.training.precision import check_precision
from tcc.video.shards import ClipRecord, decode_jpegs


def compute_features(
    records: Sequence[ClipRecord],
    backbone: Any,
    *,
    grid: int,
    batch_frames: int,
    mirrored: bool = False,
    precision: str = "float32",
    progress: Progress = silent,
) -> Iterator[np.ndarray]:
    """Features of the clips' frames, one clip after another, in parts: float16 [n, grid, grid, C], n <= batch_frames.

    The backbone computes in `precision`; its output [h, w, C] is averaged over the cells of a grid in float32. A clip's
    last batch is padded, so that every call has the same shape. With `mirrored` each frame is mirrored left to right before
    the backbone sees it. Only one part is in memory at a time; `tcc.sequences.write_sequences` takes them as they come.

    Raises: DeviceError if no device is open; SettingsError if it cannot compute in that precision.
    """
    check_precision(precision, require_device().kind)
    dtype = tf.dtypes.as_dtype(precision)

    @tf.function
    def extract(frames: tf.Tensor) -> tf.Tensor:
        features = tf.cast(backbone(frames, training=False, dtype=dtype), tf.float32)
        return tf.cast(pool_to_grid(features, grid), tf.float16)

    done, total = 0, sum(len(record) for record in records)
    for record in records:
        for start in range(0, len(record), batch_frames):
            frames = decode_jpegs(record.frames[start : start + batch_frames])
            frames = frames[:, :, ::-1] if mirrored else frames
            padding = np.zeros((batch_frames - len(frames), *frames.shape[1:]), frames.dtype)
            yield extract(np.concatenate([frames, padding])).numpy()[: len(frames)]
            done += len(frames)
            progress(done / total, f"{done}/{total} frames")
