"""Cycles through a few sequences drawn at random, instead of through every other one: longer ones, and fewer."""

from __future__ import annotations

from typing import Tuple

import numpy as np
import tensorflow as tf

from tcc.errors import SettingsError, ShapeError
from tcc.losses.cycle_back import cycle_back_cost
from tcc.losses.cycle_consistency import checked_sequences
from tcc.losses.inputs import frame_times
from tcc.losses.similarity import l2_normalize, scaled_similarity
from tcc.losses.soft_nearest_neighbor import soft_nearest_neighbor


def stochastic_cycle_loss(
    embeddings,
    *,
    cycles,
    starts,
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
    """Mean cost of given cycles: from a frame to its soft nearest neighbor in sequence after sequence, and back.

        neighbor_0 = x[cycles[i, 0], starts[i]]
        neighbor_c = soft nearest neighbor of neighbor_{c-1} in x[cycles[i, c]],   c = 1 .. L-1
        logits[i] = scaled similarity of neighbor_{L-1} to all frames of x[cycles[i, L]], where the cycle began

    Args:
      embeddings: float [B, T, D], any float type; computed in float32.
      cycles: int [N, L + 1], sequences in the order of the walk, the last one the first; draw them with `draw_cycles`.
      starts: int [N], frame of sequence cycles[i, 0] that cycle i starts from.
      Everything else: see `tcc.losses.cycle_consistency_loss`.
    Returns: scalar float32; finite, as is its gradient, for finite embeddings.
    Raises: ShapeError as `cycle_consistency_loss`, and if cycles or starts do not fit; SettingsError for an unknown loss
      or similarity.
    Reference: Dwibedi et al., Temporal Cycle-Consistency Learning, CVPR 2019; stochastic matching of its code.
    """
    embeddings = checked_sequences(embeddings, loss)
    num_sequences, num_frames, size = embeddings.shape
    cycles, starts = _checked_cycles(cycles, starts, num_sequences)
    times = frame_times(frame_indices, sequence_lengths, (num_sequences, num_frames), normalize=normalize_indices)
    if normalize_embeddings:
        embeddings = l2_normalize(embeddings)

    sequences = [tf.gather(embeddings, cycles[:, step]) for step in range(cycles.shape[1])]
    frames = tf.reshape(embeddings, [num_sequences * num_frames, size])
    neighbor = tf.gather(frames, cycles[:, 0] * num_frames + starts)[:, tf.newaxis]
    for through in sequences[1:-1]:
        neighbor = soft_nearest_neighbor(neighbor, through, similarity=similarity, temperature=temperature)
    logits = scaled_similarity(neighbor, sequences[-1], similarity=similarity, temperature=temperature)
    return cycle_back_cost(
        logits[:, 0],
        tf.gather(times, cycles[:, 0]),
        loss=loss,
        label_smoothing=label_smoothing,
        variance_weight=variance_weight,
        variance_floor=variance_floor,
        huber_delta=huber_delta,
        starts=starts,
    )


def draw_cycles(
    rng: np.random.Generator, *, num_sequences: int, num_frames: int, num_cycles: int, cycle_length: int
) -> Tuple[np.ndarray, np.ndarray]:
    """Cycles for `stochastic_cycle_loss`, each through different sequences drawn uniformly, from a uniform frame.

    Args:
      rng: where the draw comes from; the same numbers give the same cycles in every NumPy.
      num_sequences: B.
      num_frames: T.
      num_cycles: N.
      cycle_length: L, different sequences in a cycle.
    Returns: cycles int32 [N, L + 1], whose last entry is the first again, and starts int32 [N].
    Raises: SettingsError unless 2 <= cycle_length <= num_sequences and there is a cycle and a frame.
    """
    if not 2 <= cycle_length <= num_sequences:
        raise SettingsError(
            f"cycle_length: a cycle goes through 2 different sequences or more, of {num_sequences} in the batch; "
            f"got {cycle_length}; change it, or the batch size"
        )
    if num_cycles < 1 or num_frames < 1:
        raise SettingsError(f"num_cycles, num_frames: must be 1 or more; got {num_cycles}, {num_frames}")
    # Of NumPy's draws only `random` is the same in every version.
    orders = np.argsort(rng.random((num_cycles, num_sequences)), axis=1, kind="stable")
    cycles = np.concatenate([orders[:, :cycle_length], orders[:, :1]], axis=1)
    starts = np.floor(rng.random(num_cycles) * num_frames)
    return cycles.astype(np.int32), starts.astype(np.int32)


def _checked_cycles(cycles, starts, num_sequences: int):
    cycles, starts = tf.cast(cycles, tf.int32), tf.cast(starts, tf.int32)
    if len(cycles.shape) != 2 or not 3 <= cycles.shape[1] <= num_sequences + 1:
        raise ShapeError(
            f"cycles: expected [N, L + 1] with 2 <= L <= {num_sequences} sequences, got shape {list(cycles.shape)}; "
            "draw them with draw_cycles"
        )
    if tuple(starts.shape) != (cycles.shape[0],):
        raise ShapeError(f"starts: expected [{cycles.shape[0]}], got shape {list(starts.shape)}")
    return cycles, starts
