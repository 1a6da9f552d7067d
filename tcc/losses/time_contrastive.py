"""Time-contrastive loss (TCN, single view): a frame is closer to a frame nearby than to all others of its video."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tcc.errors import ShapeError
from tcc.losses.similarity import as_float32
from tcc.shapes import check_rank


def time_contrastive_loss(anchors, positives, *, l2_weight: float = 0.002):
    """N-pairs loss of each video's anchors and positives, averaged over the videos; videos are never mixed.

    Args:
      anchors: float [B, T, D], any float type; computed in float32.
      positives: float [B, T, D]; positives[b, t] is a frame near anchors[b, t], the other T - 1 are its negatives.
      l2_weight: weight of the regularization, see `n_pairs_loss`.
    Returns: scalar float32.
    Raises: ShapeError unless both have the same shape [B, T, D] with T >= 2.
    Reference: Sermanet et al., Time-Contrastive Networks, ICRA 2018; Sohn, NIPS 2016.
    """
    anchors, positives = tf.convert_to_tensor(anchors), tf.convert_to_tensor(positives)
    check_rank("anchors", anchors, 3, axes="B T D")
    _check_pairs(anchors, positives)
    return tf.reduce_mean(_n_pairs(as_float32(anchors), as_float32(positives), None, l2_weight))


def n_pairs_loss(anchors, positives, *, labels=None, l2_weight: float = 0.002):
    """Cross-entropy of finding an anchor's positive among all positives, plus a pull of embeddings to zero.

        logits[i, j] = anchors[i] . positives[j]
        loss = mean_i(-sum_j target[i, j] log softmax(logits[i])[j])
               + l2_weight / 4 (mean_i |anchors[i]|^2 + mean_i |positives[i]|^2)

    target[i] is uniform over the j with labels[j] == labels[i].

    Args:
      anchors: float [N, D], any float type; computed in float32.
      positives: float [N, D].
      labels: int [N], which pairs show the same thing; default: every pair its own.
      l2_weight: weight of the regularization.
    Returns: scalar float32.
    Raises: ShapeError unless both have the same shape [N, D] with N >= 2.
    Reference: Sohn, Improved Deep Metric Learning with Multi-class N-pair Loss Objective, NIPS 2016.
    """
    anchors, positives = tf.convert_to_tensor(anchors), tf.convert_to_tensor(positives)
    check_rank("anchors", anchors, 2, axes="N D")
    _check_pairs(anchors, positives)
    return _n_pairs(as_float32(anchors), as_float32(positives), labels, l2_weight)


def _check_pairs(anchors, positives) -> None:
    if tuple(anchors.shape) != tuple(positives.shape):
        raise ShapeError(
            f"anchors and positives differ in shape: got {list(anchors.shape)} and {list(positives.shape)}"
        )
    if anchors.shape[-2] < 2:
        raise ShapeError(f"anchors: a contrast needs two pairs, got shape {list(anchors.shape)}; pass two or more")


def _n_pairs(anchors, positives, labels, l2_weight):
    logits = tf.matmul(anchors, positives, transpose_b=True)
    targets = _targets(labels, int(anchors.shape[-2]))
    cross_entropy = -tf.reduce_mean(tf.reduce_sum(targets * tf.nn.log_softmax(logits), axis=-1), axis=-1)
    squares = [tf.reduce_mean(tf.reduce_sum(tf.square(item), axis=-1), axis=-1) for item in (anchors, positives)]
    return cross_entropy + 0.25 * l2_weight * (squares[0] + squares[1])


def _targets(labels, num_pairs: int):
    if labels is None:
        return np.eye(num_pairs, dtype=np.float32)
    labels = tf.convert_to_tensor(labels)
    same = tf.cast(labels[:, tf.newaxis] == labels[tf.newaxis, :], tf.float32)
    return same / tf.reduce_sum(same, axis=-1, keepdims=True)
