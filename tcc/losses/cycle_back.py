"""What a cycle back costs: which frame it ended on (classification), or how far away in time (regression).

Rows of logits are cycles. By default row t of [..., T, T] started in frame t; with `starts` [N], row i of [N, T] started in
frame starts[i] of its own sequence.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tcc.errors import SettingsError

CYCLE_BACK_LOSSES = ("regression_variance", "regression", "huber", "classification")


def cycle_back_cost(
    logits,
    times,
    *,
    loss: str,
    label_smoothing: float,
    variance_weight: float,
    variance_floor: float,
    huber_delta: float,
    starts=None,
):
    """The cost named `loss`; see the function of each one below."""
    if loss == "classification":
        return cycle_back_classification(logits, label_smoothing=label_smoothing, starts=starts)
    if loss == "regression":
        return cycle_back_regression(logits, times, starts=starts)
    if loss == "huber":
        return cycle_back_huber(logits, times, delta=huber_delta, starts=starts)
    return cycle_back_regression_variance(
        logits, times, variance_weight=variance_weight, variance_floor=variance_floor, starts=starts
    )


def check_cycle_back_loss(loss: str) -> None:
    """Raise SettingsError unless `loss` is one of CYCLE_BACK_LOSSES."""
    if loss not in CYCLE_BACK_LOSSES:
        raise SettingsError(f"loss: must be one of {', '.join(CYCLE_BACK_LOSSES)}; got {loss!r}")


def cycle_back_classification(logits, *, label_smoothing: float = 0.0, starts=None):
    """Mean cross-entropy of coming back to the very frame the cycle started from.

        cost[t] = -sum_s label[t, s] log softmax(logits[t])[s],   label = (1 - e) identity + e / T

    Args:
      logits: float32 [..., T, T]; row t: how likely the cycle that started in frame t ends in each frame.
      label_smoothing: e in [0, 1].
      starts: int [N] where logits are [N, T]: the frame that each row started from.
    Returns: scalar float32.
    Reference: Dwibedi et al., Temporal Cycle-Consistency Learning, CVPR 2019, section 3.2.
    """
    num_frames = int(logits.shape[-1])
    labels = np.eye(num_frames, dtype=np.float32) if starts is None else tf.one_hot(starts, num_frames)
    labels = (1.0 - label_smoothing) * labels + label_smoothing / num_frames
    return -tf.reduce_mean(tf.reduce_sum(labels * tf.nn.log_softmax(logits), axis=-1))


def cycle_back_regression(logits, times, *, starts=None):
    """Mean squared error of the time that the cycle comes back to.

        back[t] = sum_s softmax(logits[t])[s] times[s],   cost[t] = (times[t] - back[t])^2

    Args:
      logits: float32 [..., T, T].
      times: float32 [..., T], time of each frame (frames, or share of the clip).
      starts: int [N] where logits and times are [N, T]: the frame that each row started from.
    Returns: scalar float32.
    Reference: Dwibedi et al., Temporal Cycle-Consistency Learning, CVPR 2019, section 3.2.
    """
    error, _ = _error_and_variance(logits, times, starts)
    return tf.reduce_mean(tf.square(error))


def cycle_back_huber(logits, times, *, delta: float = 0.1, starts=None):
    """Mean Huber cost of the time that the cycle comes back to: squared up to an error of `delta`, linear beyond.

        e = |times[t] - back[t]|,   cost[t] = e^2 / 2 where e <= delta, else delta e - delta^2 / 2

    Args:
      logits, times, starts: see `cycle_back_regression`.
      delta: > 0, in units of `times`.
    Returns: scalar float32.
    Reference: loss regression_huber of the TCC code.
    """
    error, _ = _error_and_variance(logits, times, starts)
    distance = tf.abs(error)
    squared_part = tf.minimum(distance, delta)
    return tf.reduce_mean(0.5 * tf.square(squared_part) + delta * (distance - squared_part))


def cycle_back_regression_variance(
    logits, times, *, variance_weight: float = 0.001, variance_floor: float = 1e-6, starts=None
):
    """Mean squared error of the time come back to, over the spread of the way back.

        var[t] = max(sum_s softmax(logits[t])[s] (times[s] - back[t])^2, floor)
        cost[t] = (times[t] - back[t])^2 / var[t] + weight log var[t]

    Args:
      logits, times, starts: see `cycle_back_regression`.
      variance_weight: weight of the log variance.
      variance_floor: smallest variance, in squared units of `times`; without it a sure way back divides by zero.
    Returns: scalar float32.
    Reference: Dwibedi et al., Temporal Cycle-Consistency Learning, CVPR 2019, equation 6. The floor is ours.
    """
    error, variance = _error_and_variance(logits, times, starts)
    log_variance = tf.math.log(tf.maximum(variance, variance_floor))
    return tf.reduce_mean(tf.exp(-log_variance) * tf.square(error) + variance_weight * log_variance)


def _error_and_variance(logits, times, starts):
    if starts is None:
        start_times, times = times, times[..., tf.newaxis, :]
    else:
        start_times = tf.reduce_sum(tf.one_hot(starts, int(times.shape[-1])) * times, axis=-1)
    weights = tf.nn.softmax(logits)
    back = tf.reduce_sum(weights * times, axis=-1)
    variance = tf.reduce_sum(weights * tf.square(times - back[..., tf.newaxis]), axis=-1)
    return start_times - back, variance
