"""A gated recurrent unit as a layer: unrolled, with its state given and not kept."""

from __future__ import annotations

from typing import Sequence

import numpy as np
import tensorflow as tf

from tcc.models.layers import Layer, glorot_uniform


def orthogonal(rng: np.random.Generator, shape: Sequence[int]) -> np.ndarray:
    """Float32 matrix with orthonormal rows (or columns, where there are fewer of them), as Keras' `orthogonal`.

    Reference: Saxe et al., Exact solutions to the nonlinear dynamics of learning in deep linear networks, ICLR 2014.
    """
    long, short = max(shape), min(shape)
    columns, triangle = np.linalg.qr(rng.standard_normal((long, short)))
    columns = columns * np.sign(np.diag(triangle))
    return (columns if shape[0] == long else columns.T).astype(np.float32)


class GRU(Layer):
    """Sequences [B, T, in] and a first state [B, units] -> the states after each time step [B, T, units].

    z = sigmoid(x Wz + bz + h Uz + cz)            how much of the state stays
    r = sigmoid(x Wr + br + h Ur + cr)            how much of it the candidate sees
    g = tanh(x Wg + bg + r (h Ug + cg))           candidate
    h' = z h + (1 - z) g
    kernel = [Wz Wr Wg] [in, 3 units], recurrent_kernel = [Uz Ur Ug] [units, 3 units], bias = [b, c] [2, 3 units]: order
    and form of Keras' GRU and of cuDNN's. T is static, and the loop over it is unrolled: no While for the device.
    Reference: Cho et al., Learning Phrase Representations using RNN Encoder-Decoder, EMNLP 2014.
    """

    WEIGHTS = ("kernel", "recurrent_kernel", "bias")

    def __init__(self, key: str, in_units: int, units: int, *, rng: np.random.Generator):
        super().__init__(key)
        self.units = units
        self.kernel = tf.Variable(glorot_uniform(rng, (in_units, 3 * units)), name="kernel")
        self.recurrent_kernel = tf.Variable(orthogonal(rng, (units, 3 * units)), name="recurrent_kernel")
        self.bias = tf.Variable(tf.zeros([2, 3 * units]), name="bias")

    def __call__(self, inputs: tf.Tensor, state: tf.Tensor) -> tf.Tensor:
        num_frames, in_units = inputs.shape[1:]
        input_bias, state_bias = tf.unstack(self.bias)
        projected = tf.matmul(tf.reshape(inputs, [-1, in_units]), self.kernel) + input_bias
        projected = tf.reshape(projected, [-1, num_frames, 3 * self.units])
        states = []
        for step in tf.unstack(projected, axis=1):
            state = _next_state(step, tf.matmul(state, self.recurrent_kernel) + state_bias, state)
            states.append(state)
        return tf.stack(states, axis=1)


def _next_state(from_input: tf.Tensor, from_state: tf.Tensor, state: tf.Tensor) -> tf.Tensor:
    input_z, input_r, input_g = tf.split(from_input, 3, axis=1)
    state_z, state_r, state_g = tf.split(from_state, 3, axis=1)
    kept = tf.sigmoid(input_z + state_z)
    candidate = tf.tanh(input_g + tf.sigmoid(input_r + state_r) * state_g)
    return kept * state + (1.0 - kept) * candidate
