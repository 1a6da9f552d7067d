"""The temporal transformer embedder: each frame by dense layers, then the whole sequence by attention."""

from __future__ import annotations

from typing import Callable, List, Optional, Sequence, Tuple

import numpy as np
import tensorflow as tf

from tcc.config import EmbedderConfig
from tcc.models.attention import EncoderLayer, apply_dense, positional_encoding
from tcc.models.embedder_base import SequenceEmbedder, build_denses, build_norms
from tcc.models.layers import Dense, Layer, trainable_variables

# Clips are filled up to this length times a power of two, so that few lengths have to be compiled.
_SHORTEST = 64


class TransformerEmbedder(SequenceEmbedder):
    """Global max pool -> dense layers, BN, ReLU -> linear -> + position -> encoder layers -> linear, for each frame.

    Frame i of S is at the position i (num_frames - 1) / (S - 1): a sequence of any length spans the positions of a
    training sequence, and in training a frame's position is its index. Every frame sees all frames of its sequence.
    All encoder layers begin with the same random weights.

    Source: Chen et al., Frame-wise Action Representations for Long Videos via Sequence Contrastive Learning, CVPR 2022,
    as its code (CARL) has it. Its defaults are channels of the features 2048, config.dense 512, 512 and config.dropout
    0.1.
    """

    def __init__(
        self, config: EmbedderConfig, *, num_context_frames: int, feature_channels: int, num_frames: int, seed: int
    ):
        super().__init__(config, num_context_frames=num_context_frames, feature_channels=feature_channels)
        self.num_frames = num_frames
        rng, width = np.random.default_rng([seed, 1]), config.transformer_width
        self.denses = build_denses((feature_channels, *config.dense), rng)
        self.norms = build_norms(config, config.dense)
        self.projection = Dense("emb_projection", (feature_channels, *config.dense)[-1], width, rng=rng)
        self.encoder_layers = [
            EncoderLayer(
                f"emb_layer{i}",
                width,
                heads=config.transformer_heads,
                feed_forward=config.transformer_feed_forward,
                rng=np.random.default_rng([seed, 2]),
            )
            for i in range(config.transformer_layers)
        ]
        self.output = Dense("emb_out0", width, config.embedding_size, rng=rng)

    def frame_vectors(
        self,
        windows: tf.Tensor,
        *,
        training: bool = False,
        dropout_masks: Sequence[tf.Tensor] = (),
        dtype: tf.DType = tf.float32,
    ) -> tf.Tensor:
        """The frames after pooling and dense layers, float32 [N, transformer_width]."""
        hidden = tf.reduce_max(self._standardized(windows, tf.float32), axis=[1, 2, 3])
        for index, dense in enumerate(self.denses):
            hidden = dense(hidden * dropout_masks[index] if dropout_masks else hidden)
            hidden = tf.nn.relu(self._normalize(index, hidden, training))
        return self.projection(hidden)

    def over_time(
        self,
        vectors: tf.Tensor,
        *,
        training: bool = False,
        dropout_masks: Sequence[tf.Tensor] = (),
        frame_mask: Optional[tf.Tensor] = None,
        dtype: tf.DType = tf.float32,
    ) -> tf.Tensor:
        """Embeddings of sequences whose frames take the positions from the first to the last, the filled up ones too."""
        return self._encode(vectors, self._positions(vectors.shape[1]), frame_mask, dropout_masks, dtype)

    def clip_function(self, *, dtype: tf.DType = tf.float32) -> Callable[[np.ndarray], np.ndarray]:
        encode = tf.function(
            lambda vectors, positions, frame_mask: self._encode(vectors, positions, frame_mask, dtype=dtype),
            autograph=False,
        )

        def embed(vectors: np.ndarray) -> np.ndarray:
            length = len(vectors)
            padding = ((0, filled_length(length) - length), (0, 0))
            filled, positions = np.pad(vectors, padding), np.pad(self._positions(length), padding)
            frame_mask = (np.arange(len(filled)) < length).astype(np.float32)
            sequence = tf.constant(filled[np.newaxis]), tf.constant(positions), tf.constant(frame_mask[np.newaxis])
            return encode(*sequence).numpy()[0, :length]

        return embed

    def frame_mask_shapes(self, num_windows: int) -> List[Tuple[int, ...]]:
        """One mask for what enters each dense layer before the linear one."""
        widths = (self.feature_channels, *self.config.dense)
        return [(num_windows, width) for width in widths[:-1]] if self.config.dropout > 0 else []

    def time_mask_shapes(self, num_sequences: int, num_frames: int) -> List[Tuple[int, ...]]:
        """One mask after the position is added, and two for each encoder layer, for what each of its parts adds."""
        count = 1 + 2 * len(self.encoder_layers) if self.config.dropout > 0 else 0
        return [(num_sequences, num_frames, self.config.transformer_width)] * count

    def layers(self) -> List[Layer]:
        inner = [layer for encoder_layer in self.encoder_layers for layer in encoder_layer.layers()]
        return [*self.denses, *self.norms, self.projection, *inner, self.output]

    def regularized_variables(self) -> List[tf.Variable]:
        """Kernels and biases of all dense layers, those of the encoder layers among them."""
        inner = [dense for encoder_layer in self.encoder_layers for dense in encoder_layer.denses()]
        return trainable_variables([*self.denses, self.projection, *inner, self.output])

    def _encode(
        self,
        vectors: tf.Tensor,
        positions: tf.Tensor,
        frame_mask: Optional[tf.Tensor],
        dropout_masks: Sequence[tf.Tensor] = (),
        dtype: tf.DType = tf.float32,
    ) -> tf.Tensor:
        hidden = vectors + positions
        hidden = hidden * dropout_masks[0] if dropout_masks else hidden
        for index, encoder_layer in enumerate(self.encoder_layers):
            hidden = encoder_layer(hidden, frame_mask, dropout_masks[1 + 2 * index : 3 + 2 * index], dtype=dtype)
        return apply_dense(self.output, hidden)

    def _positions(self, length: int) -> np.ndarray:
        return positional_encoding(np.linspace(0, self.num_frames - 1, length), self.config.transformer_width)

    def _normalize(self, index: int, hidden: tf.Tensor, training: bool) -> tf.Tensor:
        if not self.norms:
            return hidden
        images = hidden[:, tf.newaxis, tf.newaxis]
        return tf.reshape(self.norms[index](images, training=training), [-1, hidden.shape[-1]])


def filled_length(length: int) -> int:
    """The length that a clip is filled up to: 64, 128, 256, ..."""
    filled = _SHORTEST
    while filled < length:
        filled *= 2
    return filled
