"""What the losses take in: embeddings of a static shape, and where in its clip each frame stands."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tcc.errors import ShapeError
from tcc.losses.similarity import as_float32
from tcc.shapes import check_rank


def static_float32(name: str, array, *, axes: str):
    """`array` as a float32 tensor whose rank was checked and whose shape is known; `axes` names them, as in "B T D"."""
    array = as_float32(tf.convert_to_tensor(array))
    check_rank(name, array, len(axes.split()), axes=axes)
    if None in tuple(array.shape):
        raise ShapeError(f"{name}: the shape must be static, got {list(array.shape)}; set it before the loss")
    return array


def positions_and_lengths(frame_indices, sequence_lengths, shape):
    """Frame numbers and lengths of clips, as float32.

    Args:
      frame_indices: int or float [..., T]; None: 0 .. T-1.
      sequence_lengths: int or float [...]; None: T.
      shape: (..., T), what frame_indices has to be.
    Returns: float32 [..., T] and float32 [...].
    Raises: ShapeError if one of them has another shape.
    """
    shape = tuple(int(size) for size in shape)
    if frame_indices is None:
        frame_indices = np.broadcast_to(np.arange(shape[-1], dtype=np.float32), shape)
    if sequence_lengths is None:
        sequence_lengths = np.full(shape[:-1], shape[-1], dtype=np.float32)
    positions = tf.cast(frame_indices, tf.float32)
    lengths = tf.cast(sequence_lengths, tf.float32)
    for name, array, expected in (
        ("frame_indices", positions, shape),
        ("sequence_lengths", lengths, shape[:-1]),
    ):
        if tuple(array.shape) != expected:
            raise ShapeError(f"{name}: expected {list(expected)}, got shape {list(array.shape)}")
    return positions, lengths


def frame_times(frame_indices, sequence_lengths, shape, *, normalize: bool):
    """Time of each frame, float32 [..., T]: its share of the clip, or its number in the clip."""
    positions, lengths = positions_and_lengths(frame_indices, sequence_lengths, shape)
    return positions / lengths[..., tf.newaxis] if normalize else positions
