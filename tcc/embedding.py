"""Embeddings of whole videos: every frame, with its context."""

from __future__ import annotations

from typing import Any, List, Optional, Tuple

import numpy as np
import tensorflow as tf

from tcc.config import SamplingConfig
from tcc.dataset import Clips
from tcc.dataset.batches import clip_windows
from tcc.device import require_device
from tcc.progress import Progress, silent
from tcc.sequences import ClipSequence
from tcc.training.precision import check_precision

# Products of matrices with fewer rows are summed in another order, and the last bits differ.
_FEWEST_FRAMES = 8
# The first layers of a backbone need hundreds of times the memory of its features.
_FRAMES_PER_BACKBONE_CALL = 32


def embed_clips(
    source: Clips,
    encoder: Any,
    *,
    sampling: SamplingConfig,
    batch_frames: int,
    precision: str = "float32",
    progress: Progress = silent,
) -> List[ClipSequence]:
    """Embed every frame of every clip in inference mode.

    Context frames before a clip's first frame are its first frame. Frames of all clips are read, and go through the
    backbone, once and in batches of one size, the last one filled up; what came of so many frames before a batch as
    context reaches back is kept. How large a batch is changes the result by rounding at most, and how long a clip is
    matters only to the memory that its embeddings take. What an embedder does over time is then done for one whole clip
    after another.

    Args:
      source: the clips.
      encoder: `tcc.models.Encoder`.
      sampling: number and distance of the context frames.
      batch_frames: frames embedded at a time, but never fewer than 8.
      precision: what networks compute in: float32, bfloat16.
      progress: told the share done.
    Returns: for each clip of the source, in its order, a ClipSequence with values float32 [T, D].
    Raises: DeviceError if no device is open; SettingsError if it cannot compute in that precision.
    """
    check_precision(precision, require_device().kind)
    dtype = tf.dtypes.as_dtype(precision)
    rolling = _RollingEncoder(encoder, sampling, max(batch_frames, _FEWEST_FRAMES), dtype)
    ends = np.cumsum(source.lengths)
    total = int(ends[-1]) if len(ends) else 0
    vectors = np.zeros((total, 0), np.float32)
    for start in range(0, total, rolling.batch_frames):
        end = min(start + rolling.batch_frames, total)
        part = rolling.advance(*_read(source, ends, start, end, sampling))
        vectors = vectors if start else np.empty((total, part.shape[1]), np.float32)
        vectors[start:end] = part
        progress(end / total, f"{end}/{total} frames")
    over_time = encoder.clip_function(dtype=dtype)
    values = [over_time(clip) for clip in np.split(vectors, ends[:-1])] if total else []
    return [
        ClipSequence(name, timestamps, labels, clip)
        for name, timestamps, labels, clip in zip(source.names, source.timestamps, source.labels, values)
    ]


def _read(
    source: Clips, ends: np.ndarray, start: int, end: int, sampling: SamplingConfig
) -> Tuple[np.ndarray, np.ndarray]:
    """The frames start .. end-1, counted through all clips one after another.

    Returns: their values [n, ...], and their context windows [n, num_context_frames] counted from `start`.
    """
    values, windows = [], []
    first_clip, last_clip = np.searchsorted(ends, [start, end - 1], side="right")
    for clip in range(first_clip, last_clip + 1):
        length = int(source.lengths[clip])
        clip_start = int(ends[clip]) - length
        frames = np.arange(max(start - clip_start, 0), min(end - clip_start, length))
        values.append(source.gather(clip, frames))
        windows.append(clip_windows(frames, length, sampling) + (clip_start - start))
    return np.concatenate(values), np.concatenate(windows)


class _RollingEncoder:
    """Vectors of frames that come in batches, one behind the other; what can be done frame by frame is done once.

    What came of the frames right before a batch, as far as context reaches, is carried over to it. They may be another
    clip's: no window asks for those.
    """

    def __init__(self, encoder: Any, sampling: SamplingConfig, batch_frames: int, dtype: tf.DType):
        self.batch_frames = batch_frames
        self._reach = sampling.context_stride * (sampling.num_context_frames - 1)
        self._kept: Optional[tf.Tensor] = None
        self._extract = tf.function(lambda frames: encoder.frame_part(frames, dtype=dtype), autograph=False)
        self._embed = tf.function(
            lambda known, windows: encoder.windows_part(tf.gather(known, windows), dtype=dtype), autograph=False
        )

    def advance(self, frames: np.ndarray, windows: np.ndarray) -> np.ndarray:
        """Go on with the next frames [n, ...]; fewer than `batch_frames` only at the end.

        Args:
          windows: int [n, num_context_frames], context of each, counted from the first of these frames.
        Returns: float32 [n, W].
        """
        features = self._features(_filled(frames, self.batch_frames))
        if self._kept is None:
            self._kept = tf.zeros([self._reach, *features.shape[1:]], features.dtype)
        known = tf.concat([self._kept, features], axis=0)
        self._kept = known[self.batch_frames :]
        places = _filled((windows + self._reach).astype(np.int32), self.batch_frames)
        return self._embed(known, tf.constant(places)).numpy()[: len(frames)]

    def _features(self, frames: np.ndarray) -> tf.Tensor:
        size = _FRAMES_PER_BACKBONE_CALL
        if len(frames) <= size:
            return self._extract(tf.constant(frames))
        pieces = [frames[start : start + size] for start in range(0, len(frames), size)]
        return tf.concat([self._extract(tf.constant(_filled(piece, size))) for piece in pieces], axis=0)[: len(frames)]


def _filled(values: np.ndarray, count: int) -> np.ndarray:
    """Values with zeros behind them, `count` in all."""
    padding = np.zeros((count - len(values), *values.shape[1:]), values.dtype)
    return np.concatenate([values, padding]) if len(padding) else values
