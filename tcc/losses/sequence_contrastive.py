"""Sequence contrastive loss (SCL): a frame is like the frames of another view of its video by how near they are in time."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tcc.errors import SettingsError, ShapeError
from tcc.losses import similarity
from tcc.losses.inputs import positions_and_lengths, static_float32

NEGATIVES = ("other_view", "batch_other_view", "own_video", "batch")
# Added to the logit of what is left out: no softmax sees it, and it can be multiplied by zero.
_LEFT_OUT = -1e30


def sequence_contrastive_loss(
    embeddings,
    *,
    frame_indices=None,
    sequence_lengths=None,
    mask=None,
    temperature: float = 0.1,
    variance: float = 10.0,
    epsilon: float = 1e-6,
    negatives: str = "other_view",
    l2_normalize: bool = True,
):
    """Divergence between how near frames are in time and how alike they are, over the frames of both views.

        q_rc = exp(-(s_r - s_c)^2 / (2 variance)) / sum_{k in O(r)} ...        c in O(r): frames of the other view
        p_rc = exp(x_r . x_c / temperature) / sum_{k in N(r)} exp(x_r . x_k / temperature)
        loss = mean_r sum_{c in O(r)} q_rc (log q_rc - log(p_rc + epsilon))

    N(r) is what `negatives` says: other_view, O(r); batch_other_view, all frames of the batch but r's own view; own_video,
    both views, r included; batch, all frames. Where the two clips differ in length, s_r is stretched to the other's.

    Args:
      embeddings: float [B, 2, T, D], two views of each video; any float type; computed in float32.
      frame_indices: int or float [B, 2, T], s, position of each frame in its clip; default 0 .. T-1.
      sequence_lengths: int or float [B, 2], frames in the whole clip; default T.
      mask: bool or number [B, 2, T], 0 for frames that are padding; they change nothing. Default: all are valid.
      temperature: > 0; smaller makes the softmax harder.
      variance: of the labels, in squared frames.
      epsilon: bounds the cost of a pair; below it gradients fade. May be 0.
      negatives: one of the four above.
      l2_normalize: divide each embedding by its L2 norm first.
    Returns: scalar float32; finite, as is its gradient, for finite embeddings. 0 if no frame is valid.
    Raises: ShapeError unless there are two views and the shapes fit; SettingsError for unknown negatives.
    Reference: Chen et al., Frame-wise Action Representations for Long Videos via Sequence Contrastive Learning, CVPR 2022.
    """
    embeddings = static_float32("embeddings", embeddings, axes="B V T D")
    num_videos, num_views, num_frames, size = embeddings.shape
    if num_views != 2:
        raise ShapeError(f"embeddings: expected two views [B, 2, T, D], got shape {list(embeddings.shape)}")
    if negatives not in NEGATIVES:
        raise SettingsError(f"negatives: must be one of {', '.join(NEGATIVES)}; got {negatives!r}")
    shape = (num_videos, 2, num_frames)
    positions, lengths = positions_and_lengths(frame_indices, sequence_lengths, shape)
    valid = _valid_frames(mask, shape)
    if l2_normalize:
        embeddings = similarity.l2_normalize(embeddings)

    # Frames that meet in one softmax form a group: those of a video, or those of the batch.
    num_groups = 1 if negatives.startswith("batch") else num_videos
    num_rows = 2 * num_frames * num_videos // num_groups
    rows = tf.reshape(embeddings, [num_groups, num_rows, size])
    valid = tf.reshape(valid, [num_groups, num_rows])
    nearness = _nearness(positions, lengths, variance, (num_groups, num_rows))
    positives, contrasted = _pairs(num_videos // num_groups, num_frames, negatives)
    columns = valid[:, tf.newaxis, :]

    logits = tf.matmul(rows, rows, transpose_b=True) / temperature
    log_similar = tf.nn.log_softmax(_keep(logits, contrasted * columns))
    if epsilon:
        log_similar = tf.math.log(tf.exp(log_similar) + epsilon)
    log_near = tf.nn.log_softmax(_keep(nearness, positives * columns))
    near = tf.exp(log_near) * positives * columns
    costs = tf.reduce_sum(near * (log_near - log_similar), axis=-1)
    return tf.reduce_sum(valid * costs) / tf.maximum(tf.reduce_sum(valid), 1.0)


def _valid_frames(mask, shape):
    if mask is None:
        return tf.ones(shape)
    valid = tf.cast(tf.cast(mask, tf.bool), tf.float32)
    if tuple(valid.shape) != shape:
        raise ShapeError(f"mask: expected {list(shape)}, got shape {list(valid.shape)}")
    return valid


def _pairs(num_videos: int, num_frames: int, negatives: str):
    """Which columns are a row's positives, and which are in its softmax: float32 [R, R], R = num_videos 2 num_frames."""
    video, view = np.divmod(np.arange(2 * num_videos * num_frames) // num_frames, 2)
    same_video = video[:, np.newaxis] == video
    same_view = same_video & (view[:, np.newaxis] == view)
    positives = same_video & ~same_view
    contrasted = {
        "other_view": positives,
        "batch_other_view": ~same_view,
        "own_video": same_video,
        "batch": np.ones_like(same_video),
    }[negatives]
    return positives.astype(np.float32), contrasted.astype(np.float32)


def _keep(logits, kept):
    return logits * kept + _LEFT_OUT * (1.0 - kept)


def _nearness(positions, lengths, variance: float, shape):
    lengths = tf.reshape(tf.broadcast_to(lengths[..., tf.newaxis], positions.shape), shape)
    positions = tf.reshape(positions, shape)
    stretch = lengths[:, tf.newaxis, :] / lengths[:, :, tf.newaxis]
    apart = positions[:, :, tf.newaxis] * stretch - positions[:, tf.newaxis, :]
    return -tf.square(apart) / (2.0 * variance)
