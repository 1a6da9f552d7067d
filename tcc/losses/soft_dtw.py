"""Soft dynamic time warping: the cost of all monotonic ways through a table of costs, cheap ways counting most."""

from __future__ import annotations

import tensorflow as tf

from tcc.errors import SettingsError, ShapeError
from tcc.losses.similarity import as_float32

# Stands for infinity in cells outside the table: large enough to win no minimum, small enough to be added up and divided.
_OUTSIDE = 1e30


def soft_dtw(cost, *, gamma: float = 0.1):
    """Soft-DTW of tables of costs.

        R(i, j) = C(i, j) + softmin(R(i-1, j-1), R(i-1, j), R(i, j-1)),   R(0, 0) = 0, else infinite outside the table
        softmin(a, b, c) = -gamma log(exp(-a / gamma) + exp(-b / gamma) + exp(-c / gamma))
        value = R(n, m)

    The value may be negative: it is below the hard DTW cost by up to gamma log(number of monotonic ways). Its gradient with
    respect to `cost` is the expected alignment, see `soft_dtw_alignment`; there is no second derivative.

    Args:
      cost: float [..., n, m], any float type; computed in float32. The n + m - 1 anti-diagonals are unrolled in the graph.
      gamma: > 0; smaller is nearer to hard DTW.
    Returns: float32 [...]; finite, as is its gradient, for costs below 1e25.
    Raises: ShapeError unless there are two axes and both are static; SettingsError unless gamma > 0.
    Reference: Cuturi and Blondel, Soft-DTW, ICML 2017.
    """
    cost = _checked(cost, gamma)

    @tf.custom_gradient
    def value_of(table):
        value, shares = _forward(table, gamma)

        def gradient(upstream):
            return upstream[..., tf.newaxis, tf.newaxis] * _expected_alignment(shares)

        return value, gradient

    return value_of(cost)


def soft_dtw_alignment(cost, *, gamma: float = 0.1):
    """Expected alignment: the chance of each cell to lie on a way, where a way's weight is exp(-its cost / gamma).

    Args:
      cost, gamma: see `soft_dtw`.
    Returns: float32 [..., n, m], within [0, 1], 1 in the first and in the last cell; a constant for gradients.
    Raises: as `soft_dtw`.
    Reference: Cuturi and Blondel, Soft-DTW, ICML 2017, algorithm 2.
    """
    _, shares = _forward(tf.stop_gradient(_checked(cost, gamma)), gamma)
    return _expected_alignment(shares)


def _checked(cost, gamma: float):
    cost = as_float32(tf.convert_to_tensor(cost))
    if len(cost.shape) < 2 or None in tuple(cost.shape) or 0 in tuple(cost.shape):
        raise ShapeError(f"cost: expected [..., n, m] of a static shape with n, m >= 1, got shape {list(cost.shape)}")
    if not gamma > 0:
        raise SettingsError(f"gamma: must be greater than 0; got {gamma}")
    return cost


def _forward(cost, gamma: float):
    """Value [...], and for each anti-diagonal k the shares [3, ..., n] of the cells (i, k - i) by predecessor.

    A predecessor is the cell before in both sequences, in the first (i - 1), or in the second.
    """
    diagonals = tf.unstack(_skew(cost), axis=-1)
    outside = tf.fill(diagonals[0].shape, _OUTSIDE)
    edge = outside[..., :1]
    before_both = tf.concat([tf.zeros_like(edge), outside[..., 1:]], axis=-1)
    before_first = before_second = outside
    shares = []
    for diagonal in diagonals:
        predecessors = tf.stack([before_both, before_first, before_second])
        least = tf.reduce_min(predecessors, axis=0)
        weights = tf.exp((least - predecessors) / gamma)
        total = tf.reduce_sum(weights, axis=0)
        shares.append(weights / total)
        before_both = before_first
        before_second = diagonal + (least - gamma * tf.math.log(total))
        before_first = tf.concat([edge, before_second[..., :-1]], axis=-1)
    return before_second[..., -1], shares


def _expected_alignment(shares):
    """Each cell, from the last to the first, hands its weight to its predecessors by their shares."""
    zero = tf.zeros_like(shares[-1][0, ..., :1])
    weight = tf.concat([tf.zeros_like(shares[-1][0, ..., 1:]), zero + 1.0], axis=-1)
    skipping = tf.zeros_like(weight)
    diagonals = []
    for share in reversed(shares):
        diagonals.append(weight)
        both, first, second = tf.unstack(share * weight)
        weight = second + tf.concat([(first + skipping)[..., 1:], zero], axis=-1)
        skipping = both
    return _unskew(tf.stack(diagonals[::-1], axis=-1))


def _skew(cost):
    """Row i shifted right by i: [..., n, m] -> [..., n, n + m - 1], column k being the anti-diagonal i + j = k."""
    *leading, rows, columns = cost.shape
    padded = tf.pad(cost, [[0, 0]] * (len(leading) + 1) + [[0, rows]], constant_values=_OUTSIDE)
    flat = tf.reshape(padded, [*leading, rows * (rows + columns)])[..., :-rows]
    return tf.reshape(flat, [*leading, rows, rows + columns - 1])


def _unskew(skewed):
    *leading, rows, diagonals = skewed.shape
    flat = tf.reshape(skewed, [*leading, rows * diagonals])
    padded = tf.pad(flat, [[0, 0]] * len(leading) + [[0, rows]])
    return tf.reshape(padded, [*leading, rows, diagonals + 1])[..., : diagonals - rows + 1]
