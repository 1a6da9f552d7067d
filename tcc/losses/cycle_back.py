"""What a cycle back costs: which frame it ended on (classification), or how far away in time (regression)."""

from __future__ import annotations

import numpy as np
import tensorflow as tf


def cycle_back_classification(logits, *, label_smoothing: float = 0.0):
    """Mean cross-entropy of coming back to the very frame the cycle started from.

        cost[t] = -sum_s label[t, s] log softmax(logits[t])[s],   label = (1 - e) identity + e / T

    Args:
      logits: float32 [..., T, T]; row t: how likely the cycle that started in frame t ends in each frame.
      label_smoothing: e in [0, 1].
    Returns: scalar float32.
    Reference: Dwibedi et al., Temporal Cycle-Consistency Learning, CVPR 2019, section 3.2.
    """
    num_frames = int(logits.shape[-1])
    labels = (1.0 - label_smoothing) * np.eye(num_frames, dtype=np.float32) + label_smoothing / num_frames
    return -tf.reduce_mean(tf.reduce_sum(labels * tf.nn.log_softmax(logits), axis=-1))


def cycle_back_regression(logits, times):
    """Mean squared error of the time that the cycle comes back to.

        back[t] = sum_s softmax(logits[t])[s] times[s],   cost[t] = (times[t] - back[t])^2

    Args:
      logits: float32 [..., T, T].
      times: float32 [..., T], time of each frame (frames, or share of the clip).
    Returns: scalar float32.
    Reference: Dwibedi et al., Temporal Cycle-Consistency Learning, CVPR 2019, section 3.2.
    """
    back, _ = _time_and_variance(logits, times)
    return tf.reduce_mean(tf.square(times - back))


def cycle_back_regression_variance(logits, times, *, variance_weight: float = 0.001, variance_floor: float = 1e-6):
    """Mean squared error of the time come back to, over the spread of the way back.

        var[t] = max(sum_s softmax(logits[t])[s] (times[s] - back[t])^2, floor)
        cost[t] = (times[t] - back[t])^2 / var[t] + weight log var[t]

    Args:
      logits: float32 [..., T, T].
      times: float32 [..., T], time of each frame (frames, or share of the clip).
      variance_weight: weight of the log variance.
      variance_floor: smallest variance, in squared units of `times`; without it a sure way back divides by zero.
    Returns: scalar float32.
    Reference: Dwibedi et al., Temporal Cycle-Consistency Learning, CVPR 2019, equation 6. The floor is ours.
    """
    back, variance = _time_and_variance(logits, times)
    log_variance = tf.math.log(tf.maximum(variance, variance_floor))
    return tf.reduce_mean(tf.exp(-log_variance) * tf.square(times - back) + variance_weight * log_variance)


def _time_and_variance(logits, times):
    weights = tf.nn.softmax(logits)
    back = tf.reduce_sum(weights * times[..., tf.newaxis, :], axis=-1)
    distances = times[..., tf.newaxis, :] - back[..., tf.newaxis]
    return back, tf.reduce_sum(weights * tf.square(distances), axis=-1)
