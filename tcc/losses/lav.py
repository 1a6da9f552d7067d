"""LAV, learning by aligning videos: soft-DTW between two sequences, and frames far apart in time kept apart."""

from __future__ import annotations

import tensorflow as tf

from tcc.errors import SettingsError, ShapeError
from tcc.losses import similarity
from tcc.losses.inputs import positions_and_lengths, static_float32
from tcc.losses.soft_dtw import soft_dtw

NEAR_WEIGHTS = ("one", "inverse")


def lav_loss(
    embeddings,
    *,
    frame_indices=None,
    sequence_lengths=None,
    gamma: float = 0.1,
    sigma: float = 10.0,
    margin: float = 2.0,
    alpha: float = 0.5,
    l2_normalize: bool = True,
    soft_dtw_normalize: bool = False,
    normalize_indices: bool = True,
    idm_near_weight: str = "one",
):
    """Mean over pairs of sequences of soft-DTW plus a regularization that keeps a sequence from collapsing.

        loss(x, y) = (soft_dtw(|x_i - y_j|^2) + alpha (I(x) + I(y))) / T,   I: see `contrastive_idm`

    Pairs are the sequences (0, 1), (2, 3), ...; the order within a pair does not matter. The value may be negative.

    Args:
      embeddings: float [B, T, D] with even B, any float type; computed in float32.
      frame_indices, sequence_lengths, sigma, margin, normalize_indices, idm_near_weight: see `contrastive_idm`.
      gamma: see `tcc.losses.soft_dtw`.
      alpha: weight of the regularization.
      l2_normalize: divide each embedding by its L2 norm first, as the method does in its network.
      soft_dtw_normalize: subtract (soft_dtw(x, x) + soft_dtw(y, y)) / 2, so that equal sequences cost 0.
    Returns: scalar float32; finite, as is its gradient, for finite embeddings.
    Raises: ShapeError unless B is even and the shapes fit; SettingsError for an unknown idm_near_weight or gamma <= 0.
    Reference: Haresh et al., Learning by Aligning Videos in Time, CVPR 2021, as its code has it.
    """
    embeddings = static_float32("embeddings", embeddings, axes="B T D")
    num_sequences, num_frames, _ = embeddings.shape
    if num_sequences < 2 or num_sequences % 2:
        raise ShapeError(
            f"embeddings: sequences are aligned in pairs, got shape {list(embeddings.shape)} (B={num_sequences}); "
            "pass an even B"
        )
    if l2_normalize:
        embeddings = similarity.l2_normalize(embeddings)
    regularization = contrastive_idm(
        embeddings,
        frame_indices=frame_indices,
        sequence_lengths=sequence_lengths,
        sigma=sigma,
        margin=margin,
        normalize_indices=normalize_indices,
        near_weight=idm_near_weight,
    )
    alignment = _alignment_cost(embeddings[0::2], embeddings[1::2], gamma, soft_dtw_normalize)
    # The mean over sequences is half of the mean over pairs of two sequences each.
    return (tf.reduce_mean(alignment) + 2.0 * alpha * tf.reduce_mean(regularization)) / float(num_frames)


def contrastive_idm(
    embeddings,
    *,
    frame_indices=None,
    sequence_lengths=None,
    sigma: float = 10.0,
    margin: float = 2.0,
    normalize_indices: bool = True,
    near_weight: str = "one",
):
    """Contrastive inverse difference moment: frames near in time are pulled together, the others pushed apart.

        I(x) = sum_{i,j: far}   (1 + (t_i - t_j)^2) max(0, margin - |x_i - x_j|^2)
             + sum_{i,j: near}  |x_i - x_j|^2,             far: |s_i - s_j| > sigma

    Args:
      embeddings: float [B, T, D], any float type; computed in float32, not normalized here.
      frame_indices: int or float [B, T], s, position of each frame in its clip; default 0 .. T-1.
      sequence_lengths: int or float [B], frames in the whole clip; default T.
      sigma: frames of the clip; two frames so far apart or less are near.
      margin: squared distance beyond which far frames cost nothing.
      normalize_indices: t is frame index / sequence length, as in the method's code; else the frame index itself.
      near_weight: one, as in the method's code, or inverse: near frames weigh 1 / (1 + (t_i - t_j)^2).
    Returns: float32 [B].
    Raises: ShapeError unless the shapes fit; SettingsError for an unknown near_weight.
    Reference: Haresh et al., Learning by Aligning Videos in Time, CVPR 2021, as its code has it.
    """
    embeddings = static_float32("embeddings", embeddings, axes="B T D")
    if near_weight not in NEAR_WEIGHTS:
        raise SettingsError(f"idm_near_weight: must be one of {', '.join(NEAR_WEIGHTS)}; got {near_weight!r}")
    positions, lengths = positions_and_lengths(frame_indices, sequence_lengths, embeddings.shape[:2])
    apart = tf.abs(positions[:, :, tf.newaxis] - positions[:, tf.newaxis, :])
    far = tf.cast(apart > sigma, tf.float32)
    time_weight = 1.0 + tf.square(apart / lengths[:, tf.newaxis, tf.newaxis] if normalize_indices else apart)
    distances = similarity.squared_distances(embeddings, embeddings)
    pull = distances if near_weight == "one" else distances / time_weight
    push = time_weight * tf.nn.relu(margin - distances)
    return tf.reduce_sum(far * push + (1.0 - far) * pull, axis=[1, 2])


def _alignment_cost(first, second, gamma: float, normalize: bool):
    between = similarity.squared_distances(first, second)
    if not normalize:
        return soft_dtw(between, gamma=gamma)
    within = [similarity.squared_distances(sequence, sequence) for sequence in (first, second)]
    costs = tf.unstack(soft_dtw(tf.stack([between, *within]), gamma=gamma))
    return costs[0] - 0.5 * (costs[1] + costs[2])
