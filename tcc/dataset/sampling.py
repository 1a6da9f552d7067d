"""Which frames of a clip enter a step: pure index arithmetic in NumPy, random only through the generator given."""

from __future__ import annotations

import math
from typing import Any, NamedTuple, Optional, Tuple

import numpy as np

from tcc.config import SamplingConfig
from tcc.errors import ShapeError


def draw_frame_indices(length: int, sampling: SamplingConfig, rng: np.random.Generator) -> np.ndarray:
    """The frames of a clip for one step, int64 [T], by the strategy that the settings name."""
    if sampling.strategy == "segment_uniform":
        return sample_segments(length, sampling.num_frames, rng=rng)
    if sampling.strategy == "stride":
        return sample_stride(length, sampling.num_frames, stride=sampling.stride, rng=rng)
    return sample_frame_indices(length, sampling.num_frames, random_offset=sampling.random_offset, rng=rng)


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
    _check_length(length)
    if length - random_offset < num_frames:
        return np.minimum(np.arange(num_frames), length - 1)
    return random_offset + np.sort(random_order(length - random_offset, rng)[:num_frames])


def sample_segments(length: int, num_frames: int, *, rng: np.random.Generator) -> np.ndarray:
    """One frame, drawn uniformly, of each of `num_frames` segments of equal length that the clip is cut into.

    Segment i holds the frames from floor(i length / T) up to, not including, floor((i + 1) length / T).
    A clip with fewer frames than segments gives 0, 1, 2, ... and repeats its last frame.

    Args:
      length: frames in the clip.
      num_frames: T, how many to draw.
      rng: where the draw comes from.
    Returns: int64 [T], increasing unless the clip is too short, within [0, length - 1].
    Raises: ShapeError if the clip has no frame.
    Reference: segment_uniform of the LAV code, which draws early frames more often where T does not divide the length.
    """
    _check_length(length)
    if length < num_frames:
        return np.minimum(np.arange(num_frames), length - 1)
    bounds = np.arange(num_frames + 1) * length // num_frames
    return bounds[:-1] + np.floor(rng.random(num_frames) * np.diff(bounds)).astype(np.int64)


def sample_stride(length: int, num_frames: int, *, stride: int, rng: np.random.Generator) -> np.ndarray:
    """Frames `stride` apart from a random first one on; the last frame is repeated where the clip ends before them.

    Args:
      length: frames in the clip.
      num_frames: T, how many to take.
      stride: their distance.
      rng: where the first frame comes from, uniform over those that leave room for T strides (0 where none does).
    Returns: int64 [T], never decreasing, within [0, length - 1].
    Raises: ShapeError if the clip has no frame.
    Reference: strategy stride of the TCC code.
    """
    _check_length(length)
    first = _random_integer(0, max(length - stride * num_frames, 1) - 1, rng)
    return np.minimum(first + stride * np.arange(num_frames), length - 1)


class View(NamedTuple):
    """One of two views of a clip.

    Attributes:
      frames: int64 [T], never decreasing, within the clip; padding repeats the last frame.
      valid: bool [T], False for padding.
    """

    frames: np.ndarray
    valid: np.ndarray


def sample_two_views(
    length: int, num_frames: int, *, region: float, overlap: float, rng: np.random.Generator
) -> Tuple[View, View]:
    """Two random subsets of two windows of a clip that overlap.

    For each view r ~ U(1, region), and its window has w = ceil(r n) frames, n = min(length, T). The first window lies
    anywhere in the clip; the second begins within (1 - overlap) n frames of the first frame drawn from the first, as
    far as the clip reaches. Of a window's frames n are drawn uniformly without replacement. What is drawn beyond the
    end of a clip that is shorter than the window, and what lacks of T, is padding.

    Args:
      length: frames in the clip.
      num_frames: T, frames of a view.
      region: largest r, at least 1.
      overlap: share of n that the two windows have in common, about, at least.
      rng: where the draws come from.
    Returns: both views. A clip of a few frames may give a view of padding alone.
    Raises: ShapeError if the clip has no frame.
    Reference: time_augment of the CARL code in its FineGym form.
    """
    _check_length(length)
    count = min(length, num_frames)
    first_width, second_width = (math.ceil((1.0 + (region - 1.0) * rng.random()) * count) for _ in range(2))
    first = _sample_window(_random_integer(0, max(length - first_width, 0), rng), first_width, count, rng)
    reach = int((1.0 - overlap) * count)
    highest = max(min(length - second_width, int(first[0]) + reach), 0)
    lowest = min(max(int(first[0]) - reach, 0), highest)
    second = _sample_window(_random_integer(lowest, highest, rng), second_width, count, rng)
    return _pad(first, length, num_frames), _pad(second, length, num_frames)


def _sample_window(start: int, width: int, count: int, rng: np.random.Generator) -> np.ndarray:
    return start + np.sort(random_order(width, rng)[:count])


def _pad(drawn: np.ndarray, length: int, num_frames: int) -> View:
    frames = np.full(num_frames, length, np.int64)
    frames[: len(drawn)] = drawn
    return View(np.minimum(frames, length - 1), frames < length)


def _random_integer(low: int, high: int, rng: np.random.Generator) -> int:
    """Uniform over low .. high, both included."""
    return low + int(rng.random() * (high - low + 1))


def _check_length(length: int) -> None:
    if length < 1:
        raise ShapeError(f"length: a clip needs at least one frame, got {length}")


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
