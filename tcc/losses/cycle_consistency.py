"""Temporal cycle-consistency (TCC): go to the soft nearest neighbor in another sequence and come back."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tcc.errors import SettingsError, ShapeError
from tcc.losses.cycle_back import cycle_back_classification, cycle_back_regression, cycle_back_regression_variance
from tcc.losses.similarity import as_float32, l2_normalize, scaled_similarity
from tcc.losses.soft_nearest_neighbor import soft_nearest_neighbor
from tcc.shapes import check_rank

CYCLE_BACK_LOSSES = ("regression_variance", "regression", "classification")


def cycle_consistency_loss(
    embeddings,
    *,
    frame_indices=None,
    sequence_lengths=None,
    loss: str = "regression_variance",
    similarity: str = "negative_squared_l2",
    temperature: float = 0.1,
    variance_weight: float = 0.001,
    variance_floor: float = 1e-6,
    label_smoothing: float = 0.1,
    normalize_indices: bool = True,
    normalize_embeddings: bool = False,
):
    """Mean cost of the cycles of every frame through every other sequence of the batch.

    For each ordered pair of sequences (u, v) and frame t of u: the soft nearest neighbor of u[t] in v is compared with
    all frames of u; `loss` says what coming back elsewhere than to t costs.

    Args:
      embeddings: float [B, T, D], any float type; computed in float32.
      frame_indices: int or float [B, T], position of each frame in its clip; default 0 .. T-1.
      sequence_lengths: int or float [B], frames in the whole clip; default T.
      loss: regression_variance, regression (both need times) or classification (does not).
      similarity, temperature: see `tcc.losses.scaled_similarity`.
      variance_weight, variance_floor: see `tcc.losses.cycle_back_regression_variance`.
      label_smoothing: see `tcc.losses.cycle_back_classification`.
      normalize_indices: time is frame index / sequence length; else the frame index itself.
      normalize_embeddings: divide each embedding by its L2 norm first.
    Returns: scalar float32; finite, as is its gradient, for finite embeddings.
    Raises: ShapeError unless B >= 2 and T >= 2 and the shapes fit; SettingsError for an unknown loss or similarity.
    Reference: Dwibedi et al., Temporal Cycle-Consistency Learning, CVPR 2019.

    >>> embeddings = tf.random.stateless_normal([4, 20, 128], seed=[0, 0])
    >>> value = cycle_consistency_loss(embeddings, loss="classification")
    """
    embeddings = as_float32(tf.convert_to_tensor(embeddings))
    check_rank("embeddings", embeddings, 3, axes="B T D")
    num_sequences, num_frames, _ = embeddings.shape
    _check_sizes(num_sequences, num_frames, embeddings.shape, loss)
    times = _times(frame_indices, sequence_lengths, num_sequences, num_frames, normalize_indices)
    if normalize_embeddings:
        embeddings = l2_normalize(embeddings)

    start, through = _ordered_pairs(num_sequences)
    query = tf.gather(embeddings, start)
    neighbor = soft_nearest_neighbor(
        query, tf.gather(embeddings, through), similarity=similarity, temperature=temperature
    )
    logits = scaled_similarity(neighbor, query, similarity=similarity, temperature=temperature)
    if loss == "classification":
        return cycle_back_classification(logits, label_smoothing=label_smoothing)
    times = tf.gather(times, start)
    if loss == "regression":
        return cycle_back_regression(logits, times)
    return cycle_back_regression_variance(logits, times, variance_weight=variance_weight, variance_floor=variance_floor)


def _check_sizes(num_sequences, num_frames, shape, loss) -> None:
    if loss not in CYCLE_BACK_LOSSES:
        raise SettingsError(f"loss: must be one of {', '.join(CYCLE_BACK_LOSSES)}; got {loss!r}")
    if num_sequences is None or num_frames is None or shape[2] is None:
        raise ShapeError(f"embeddings: the shape must be static, got {list(shape)}; set it before the loss")
    if num_sequences < 2:
        raise ShapeError(
            f"embeddings: a cycle needs two sequences, got shape {list(shape)} (B={num_sequences}); pass B >= 2"
        )
    if num_frames < 2:
        raise ShapeError(f"embeddings: a cycle needs two frames, got shape {list(shape)} (T={num_frames}); pass T >= 2")


def _times(frame_indices, sequence_lengths, num_sequences, num_frames, normalize_indices):
    if frame_indices is None:
        frame_indices = np.tile(np.arange(num_frames, dtype=np.float32), (num_sequences, 1))
    if sequence_lengths is None:
        sequence_lengths = np.full(num_sequences, num_frames, dtype=np.float32)
    times = tf.cast(frame_indices, tf.float32)
    lengths = tf.cast(sequence_lengths, tf.float32)
    if tuple(times.shape) != (num_sequences, num_frames):
        raise ShapeError(f"frame_indices: expected [{num_sequences}, {num_frames}], got shape {list(times.shape)}")
    if tuple(lengths.shape) != (num_sequences,):
        raise ShapeError(f"sequence_lengths: expected [{num_sequences}], got shape {list(lengths.shape)}")
    return times / lengths[:, tf.newaxis] if normalize_indices else times


def _ordered_pairs(num_sequences: int):
    start, through = np.nonzero(~np.eye(num_sequences, dtype=bool))
    return start.astype(np.int32), through.astype(np.int32)
