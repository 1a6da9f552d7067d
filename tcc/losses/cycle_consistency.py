"""Temporal cycle-consistency (TCC): go to the soft nearest neighbor in another sequence and come back."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tcc.errors import ShapeError
from tcc.losses.cycle_back import check_cycle_back_loss, cycle_back_cost
from tcc.losses.inputs import frame_times, static_float32
from tcc.losses.similarity import l2_normalize, scaled_similarity
from tcc.losses.soft_nearest_neighbor import soft_nearest_neighbor


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
    huber_delta: float = 0.1,
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
      loss: regression_variance, regression, huber (these need times) or classification (does not).
      similarity, temperature: see `tcc.losses.scaled_similarity`.
      variance_weight, variance_floor: see `tcc.losses.cycle_back_regression_variance`.
      label_smoothing: see `tcc.losses.cycle_back_classification`.
      huber_delta: see `tcc.losses.cycle_back_huber`; in units of time, that is of the clip with normalize_indices.
      normalize_indices: time is frame index / sequence length; else the frame index itself.
      normalize_embeddings: divide each embedding by its L2 norm first.
    Returns: scalar float32; finite, as is its gradient, for finite embeddings.
    Raises: ShapeError unless B >= 2 and T >= 2 and the shapes fit; SettingsError for an unknown loss or similarity.
    Reference: Dwibedi et al., Temporal Cycle-Consistency Learning, CVPR 2019.

    >>> embeddings = tf.random.stateless_normal([4, 20, 128], seed=[0, 0])
    >>> value = cycle_consistency_loss(embeddings, loss="classification")
    """
    embeddings = checked_sequences(embeddings, loss)
    num_sequences, num_frames, _ = embeddings.shape
    times = frame_times(frame_indices, sequence_lengths, (num_sequences, num_frames), normalize=normalize_indices)
    if normalize_embeddings:
        embeddings = l2_normalize(embeddings)

    start, through = _ordered_pairs(num_sequences)
    query = tf.gather(embeddings, start)
    neighbor = soft_nearest_neighbor(
        query, tf.gather(embeddings, through), similarity=similarity, temperature=temperature
    )
    logits = scaled_similarity(neighbor, query, similarity=similarity, temperature=temperature)
    return cycle_back_cost(
        logits,
        tf.gather(times, start),
        loss=loss,
        label_smoothing=label_smoothing,
        variance_weight=variance_weight,
        variance_floor=variance_floor,
        huber_delta=huber_delta,
    )


def checked_sequences(embeddings, loss: str):
    """Embeddings as float32 [B, T, D], in which cycles can be walked and paid for by `loss`."""
    check_cycle_back_loss(loss)
    embeddings = static_float32("embeddings", embeddings, axes="B T D")
    num_sequences, num_frames, _ = embeddings.shape
    got = f"got shape {list(embeddings.shape)}"
    if num_sequences < 2:
        raise ShapeError(f"embeddings: a cycle needs two sequences, {got} (B={num_sequences}); pass B >= 2")
    if num_frames < 2:
        raise ShapeError(f"embeddings: a cycle needs two frames, {got} (T={num_frames}); pass T >= 2")
    return embeddings


def _ordered_pairs(num_sequences: int):
    start, through = np.nonzero(~np.eye(num_sequences, dtype=bool))
    return start.astype(np.int32), through.astype(np.int32)
