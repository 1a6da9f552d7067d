"""Embeddings of whole videos: every frame, with its context."""

from __future__ import annotations

from typing import Any, List

import numpy as np
import tensorflow as tf

from tcc.config import SamplingConfig
from tcc.dataset import Clips
from tcc.dataset.batches import clip_windows
from tcc.device import require_device
from tcc.progress import Progress, silent
from tcc.sequences import ClipSequence


def embed_clips(
    source: Clips, encoder: Any, *, sampling: SamplingConfig, batch_frames: int, progress: Progress = silent
) -> List[ClipSequence]:
    """Embed every frame of every clip in inference mode.

    Context frames before a clip's first frame are its first frame. Frames of all clips go through the encoder in
    batches of one size, the last one filled up; only one batch of inputs is in memory at a time, and how large it is
    does not matter to the result. What an embedder does over time is then done for one whole clip after another.

    Args:
      source: the clips.
      encoder: `tcc.models.Encoder`.
      sampling: number and distance of the context frames.
      batch_frames: frames embedded at a time.
      progress: told the share done.
    Returns: for each clip of the source, in its order, a ClipSequence with values float32 [T, D].
    Raises: DeviceError if no device is open.
    """
    require_device()
    compiled = tf.function(encoder.frame_vectors, autograph=False)
    over_time = encoder.clip_function()
    ends = np.cumsum(source.lengths)
    total = int(ends[-1]) if len(ends) else 0
    parts = []
    for start in range(0, total, batch_frames):
        count = min(batch_frames, total - start)
        windows = _windows(source, ends, start, start + count, sampling)
        padding = np.zeros((batch_frames - count, *windows.shape[1:]), windows.dtype)
        parts.append(compiled(tf.constant(np.concatenate([windows, padding]))).numpy()[:count])
        progress((start + count) / total, f"{start + count}/{total} frames")
    vectors = np.concatenate(parts) if parts else np.zeros((0, 0), np.float32)
    values = [over_time(clip) for clip in np.split(vectors, ends[:-1])] if parts else []
    return [
        ClipSequence(name, timestamps, labels, clip)
        for name, timestamps, labels, clip in zip(source.names, source.timestamps, source.labels, values)
    ]


def _windows(source: Clips, ends: np.ndarray, start: int, end: int, sampling: SamplingConfig) -> np.ndarray:
    """Inputs of the frames start .. end-1, counted through all clips one after another."""
    parts = []
    first_clip, last_clip = np.searchsorted(ends, [start, end - 1], side="right")
    for clip in range(first_clip, last_clip + 1):
        length = int(source.lengths[clip])
        clip_start = int(ends[clip]) - length
        frames = np.arange(max(start - clip_start, 0), min(end - clip_start, length))
        parts.append(source.gather(clip, clip_windows(frames, length, sampling)))
    return np.concatenate(parts)
