"""The layers of a transformer: normalization of each vector, attention between the frames of a sequence, encoder layer."""

from __future__ import annotations

from typing import List, Optional, Sequence

import numpy as np
import tensorflow as tf

from tcc.models.layers import Dense, Layer

# Added to the score of a frame that only fills up: its weight is exactly 0.
_OUT_OF_SIGHT = -30000.0
# Frames whose scores are in memory at a time: [B, heads, 256, T] numbers, so that memory grows with T and not T^2.
_QUERIES_PER_BLOCK = 256


def positional_encoding(positions: np.ndarray, width: int) -> np.ndarray:
    """Float32 [S, width] from positions [S], which need not be whole numbers.

    Channel c holds sin(p / 10000^(c / width)) where c is even, else cos(p / 10000^(c / width)). The exponent is that
    of c itself; in Vaswani et al. (Attention Is All You Need, NIPS 2017) two channels share one.
    """
    channels = np.arange(width)
    angles = np.asarray(positions, np.float64)[:, np.newaxis] / 10000.0 ** (channels / width)
    return np.where(channels % 2 == 0, np.sin(angles), np.cos(angles)).astype(np.float32)


class LayerNorm(Layer):
    """gamma (x - mean) / sqrt(variance + epsilon) + beta, mean and variance over the last axis.

    Reference: Ba et al., Layer Normalization, 2016.
    """

    WEIGHTS = ("gamma", "beta")

    def __init__(self, key: str, units: int, *, epsilon: float = 1e-5):
        super().__init__(key)
        self.epsilon = epsilon
        self.gamma = tf.Variable(tf.ones([units]), name="gamma")
        self.beta = tf.Variable(tf.zeros([units]), name="beta")

    def __call__(self, inputs: tf.Tensor) -> tf.Tensor:
        centered = inputs - tf.reduce_mean(inputs, axis=-1, keepdims=True)
        variance = tf.reduce_mean(tf.square(centered), axis=-1, keepdims=True)
        return self.gamma * centered * tf.math.rsqrt(variance + self.epsilon) + self.beta


class EncoderLayer(tf.Module):
    """x + dropout(attention(LN x)), then x + dropout(feed_forward(LN x)): [B, T, width] -> the same.

    attention: for each head, softmax(q k^T / sqrt(width / heads)) v over the frames, q, k, v linear in LN x; the heads
    side by side go through a linear layer. feed_forward: linear, ReLU, linear, on each frame.
    Reference: Vaswani et al., NIPS 2017, with the normalization before each part (Xiong et al., ICML 2020).
    """

    def __init__(self, key: str, width: int, *, heads: int, feed_forward: int, rng: np.random.Generator):
        super().__init__(name=key)
        self.heads = heads
        self.attention_norm = LayerNorm(f"{key}_attention_norm", width)
        self.query, self.key, self.value, self.joined = (
            Dense(f"{key}_{part}", width, width, rng=rng) for part in ("query", "key", "value", "joined")
        )
        self.forward_norm = LayerNorm(f"{key}_forward_norm", width)
        self.forward_in = Dense(f"{key}_forward_in", width, feed_forward, rng=rng)
        self.forward_out = Dense(f"{key}_forward_out", feed_forward, width, rng=rng)

    def __call__(
        self,
        inputs: tf.Tensor,
        frame_mask: Optional[tf.Tensor],
        dropout_masks: Sequence[tf.Tensor] = (),
        *,
        dtype: tf.DType = tf.float32,
    ) -> tf.Tensor:
        """The layer's output, float32.

        Args:
          frame_mask: [B, T], 0 for frames that no frame may look at; None: there are none.
          dropout_masks: none or two [B, T, width].
          dtype: what matrices are multiplied in; sums over the layers, normalizations and softmax are float32.
        """
        attended = tf.cast(self._attend(tf.cast(self.attention_norm(inputs), dtype), frame_mask), tf.float32)
        hidden = inputs + (attended * dropout_masks[0] if dropout_masks else attended)
        forward = tf.nn.relu(apply_dense(self.forward_in, tf.cast(self.forward_norm(hidden), dtype)))
        forward = tf.cast(apply_dense(self.forward_out, forward), tf.float32)
        return hidden + (forward * dropout_masks[1] if dropout_masks else forward)

    def denses(self) -> List[Dense]:
        """The linear layers."""
        return [self.query, self.key, self.value, self.joined, self.forward_in, self.forward_out]

    def layers(self) -> List[Layer]:
        """All layers, in an order that never changes."""
        return [self.attention_norm, *self.denses()[:4], self.forward_norm, *self.denses()[4:]]

    def _attend(self, inputs: tf.Tensor, frame_mask: Optional[tf.Tensor]) -> tf.Tensor:
        query, key, value = (self._by_head(apply_dense(part, inputs)) for part in (self.query, self.key, self.value))
        query = query / tf.cast(np.sqrt(query.shape[-1]), query.dtype)
        bias = None if frame_mask is None else _OUT_OF_SIGHT * (1.0 - frame_mask[:, tf.newaxis, tf.newaxis])
        blocks: List[tf.Tensor] = []
        for start in range(0, inputs.shape[1], _QUERIES_PER_BLOCK):
            # One block after another: all at once would fill the memory with scores.
            with tf.control_dependencies(blocks[-1:]):
                block = tf.identity(query[:, :, start : start + _QUERIES_PER_BLOCK])
                scores = tf.cast(tf.matmul(block, key, transpose_b=True), tf.float32)
                weights = tf.nn.softmax(scores if bias is None else scores + bias)
                blocks.append(tf.matmul(tf.cast(weights, value.dtype), value))
        joined = tf.transpose(tf.concat(blocks, axis=2), [0, 2, 1, 3])
        return apply_dense(self.joined, tf.reshape(joined, [-1, *inputs.shape[1:]]))

    def _by_head(self, inputs: tf.Tensor) -> tf.Tensor:
        num_frames, width = inputs.shape[1:]
        return tf.transpose(tf.reshape(inputs, [-1, num_frames, self.heads, width // self.heads]), [0, 2, 1, 3])


def apply_dense(dense: Dense, inputs: tf.Tensor) -> tf.Tensor:
    """A dense layer on each vector of [B, T, in]."""
    outputs = dense(tf.reshape(inputs, [-1, inputs.shape[-1]]))
    return tf.reshape(outputs, [-1, inputs.shape[1], outputs.shape[-1]])
