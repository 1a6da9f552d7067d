"""Supervised loss: cross-entropy with labels that a person gave to frames."""

from __future__ import annotations

import tensorflow as tf

from tcc.errors import ShapeError
from tcc.losses.inputs import static_float32


def supervised_loss(logits, labels, *, label_smoothing: float = 0.0):
    """Mean softmax cross-entropy over the frames that have a label.

        loss = sum_{b,t: labels[b,t] >= 0} -sum_k target[b, t, k] log softmax(logits[b, t])[k] / number of such frames
        target = (1 - e) one_hot(labels) + e / K

    Args:
      logits: float [B, T, K], any float type; computed in float32.
      labels: int [B, T], phase of each frame, 0 .. K-1; negative: none, the frame is left out.
      label_smoothing: e in [0, 1].
    Returns: scalar float32; 0 with a zero gradient if no frame has a label.
    Raises: ShapeError unless the shapes fit.
    """
    logits = static_float32("logits", logits, axes="B T K")
    labels = tf.cast(labels, tf.int32)
    if tuple(labels.shape) != tuple(logits.shape[:2]):
        raise ShapeError(f"labels: expected {list(logits.shape[:2])}, got shape {list(labels.shape)}")
    labelled = tf.cast(labels >= 0, tf.float32)
    costs = softmax_cross_entropy(logits, labels, label_smoothing=label_smoothing)
    return tf.reduce_sum(labelled * costs) / tf.maximum(tf.reduce_sum(labelled), 1.0)


def softmax_cross_entropy(logits, labels, *, label_smoothing: float):
    """Cross-entropy of each row: float32 [..., K] and int32 [...] -> float32 [...]."""
    num_classes = int(logits.shape[-1])
    targets = (1.0 - label_smoothing) * tf.one_hot(labels, num_classes) + label_smoothing / num_classes
    return -tf.reduce_sum(targets * tf.nn.log_softmax(logits), axis=-1)
