"""Which frames of a clip enter a step: pure index arithmetic in NumPy, random only through the generator given."""

from __future__ import annotations

from typing import Any, Optional

import numpy as np

from tcc.errors import ShapeError


def sample_frame_indices(length: int, num_frames: int, *, random_offset: int, rng: np.random.Generator) -> np.ndarray:
    """Frames drawn uniformly without replacement from `random_offset` on, in the order of time.

    A clip with fewer than num_frames + random_offset frames gives 0, 1, 2, ... and repeats its last frame; the indices
    say so, where the reference lets them run past the end.

    Args:
      length: frames in the clip.
      num_frames: T, how many to draw.
      random_offset: first frame that may be drawn.
      rng: where the draw comes from.
    Returns: int64 [T], never decreasing, within [0, length - 1].
    Raises: ShapeError if the clip has no frame.
    Reference: strategy offset_uniform of the TCC code.
    """
    if length < 1:
        raise ShapeError(f"length: a clip needs at least one frame, got {length}")
    if length - random_offset < num_frames:
        return np.minimum(np.arange(num_frames), length - 1)
    return random_offset + np.sort(random_order(length - random_offset, rng)[:num_frames])


def random_order(count: int, rng: np.random.Generator) -> np.ndarray:
    """A permutation of 0 .. count-1 that is the same in every NumPy: of its draws, only `random` is that stable."""
    return np.argsort(rng.random(count), kind="stable")


def context_offsets(num_context_frames: int, context_stride: int) -> np.ndarray:
    """Distances from a frame to its context frames, oldest first, the frame itself (0) last; int64."""
    return context_stride * np.arange(1 - num_context_frames, 1)


def context_indices(
    frame_indices: Any, *, num_context_frames: int, context_stride: int, length: Optional[int] = None
) -> np.ndarray:
    """Each frame's context window: the frames before it, `context_stride` apart, and the frame itself.

    Args:
      frame_indices: int [...].
      num_context_frames: frames embedded together for one time step.
      context_stride: their distance, in sampled frames.
      length: clamp to the frames 0 .. length-1 of the clip; None: do not clamp.
    Returns: int64 [..., num_context_frames], oldest first.
    """
    frames = np.asarray(frame_indices, np.int64)[..., np.newaxis]
    indices = frames + context_offsets(num_context_frames, context_stride)
    return indices if length is None else np.clip(indices, 0, length - 1)


def positive_indices(frame_indices: Any, *, window: int, rng: np.random.Generator) -> np.ndarray:
    """For each anchor a frame shortly before it, uniform over the `window` frames before; frame 0 is its own positive.

    Args:
      frame_indices: int [...], the anchors, not negative.
      window: how far before its anchor a positive may lie, in sampled frames.
      rng: where the draw comes from.
    Returns: int64 [...], within [max(0, anchor - window), anchor - 1] (0 for anchor 0).
    Reference: single-view TCN in the TCC code, whose positives may be negative.
    """
    anchors = np.asarray(frame_indices, np.int64)
    choices = np.maximum(np.minimum(anchors, window), 1)
    back = 1 + np.floor(rng.random(anchors.shape) * choices).astype(np.int64)
    return np.maximum(anchors - back, 0)
