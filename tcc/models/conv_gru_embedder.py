"""The convolutional GRU embedder: each frame by convolutions, then the sequence, forwards in time, by GRU layers."""

from __future__ import annotations

from typing import Callable, List, Optional, Sequence, Tuple

import numpy as np
import tensorflow as tf

from tcc.config import EmbedderConfig
from tcc.models.embedder_base import SequenceEmbedder, build_convolutions, build_norms
from tcc.models.gru import GRU
from tcc.models.layers import Layer, named_variables, trainable_variables

# Frames of a clip that go through the recurrence in one call; the state is carried from call to call.
_FRAMES_PER_CALL = 32


class ConvGRUEmbedder(SequenceEmbedder):
    """3x3 convolutions, BN, ReLU on each frame -> global max pool -> GRU layers over time -> embeddings.

    The last GRU layer has D units, and its states are the embeddings, as in the reference: a frame's embedding depends
    on all frames before it and on none after it. A sequence begins with a state of zeros; sequences have any length.

    Source: `ConvGRUEmbedder` of the TCC code, which fails as shipped: it asks for a layer that current Keras lacks, and
    reads an option that does not exist.
    """

    def __init__(self, config: EmbedderConfig, *, num_context_frames: int, feature_channels: int, seed: int):
        super().__init__(config, num_context_frames=num_context_frames, feature_channels=feature_channels)
        rng = np.random.default_rng([seed, 1])
        self.convs = build_convolutions((feature_channels, *config.channels), rng)
        self.norms = build_norms(config, config.channels)
        widths = (config.channels[-1], *config.gru_units)
        self.grus = [
            GRU(f"emb_gru{i}", before, after, rng=rng) for i, (before, after) in enumerate(zip(widths, widths[1:]))
        ]

    def frame_vectors(
        self,
        windows: tf.Tensor,
        *,
        training: bool = False,
        dropout_masks: Sequence[tf.Tensor] = (),
        dtype: tf.DType = tf.float32,
    ) -> tf.Tensor:
        """The frames after convolutions and pooling, float32 [N, channels[-1]]."""
        hidden = self._standardized(windows, dtype)
        hidden = tf.reshape(hidden, [-1, *hidden.shape[2:]])
        for index, conv in enumerate(self.convs):
            hidden = conv(hidden)
            hidden = tf.nn.relu(self.norms[index](hidden, training=training) if self.norms else hidden)
        return tf.reduce_max(tf.cast(hidden, tf.float32), axis=[1, 2])

    def over_time(
        self,
        vectors: tf.Tensor,
        *,
        training: bool = False,
        dropout_masks: Sequence[tf.Tensor] = (),
        frame_mask: Optional[tf.Tensor] = None,
        dtype: tf.DType = tf.float32,
    ) -> tf.Tensor:
        """The states of the last GRU layer; frames that fill a sequence up come last and so reach no other."""
        return self.advance(vectors, self.first_states(vectors.shape[0]), dropout_masks=dropout_masks)[0]

    def first_states(self, num_sequences: int) -> List[tf.Tensor]:
        """What `advance` begins a sequence with: zeros [B, units] for each GRU layer."""
        return [tf.zeros([num_sequences, gru.units]) for gru in self.grus]

    def advance(
        self, vectors: tf.Tensor, states: Sequence[tf.Tensor], *, dropout_masks: Sequence[tf.Tensor] = ()
    ) -> Tuple[tf.Tensor, List[tf.Tensor]]:
        """Go on with sequences: a piece of them, after the pieces before it.

        Args:
          vectors: [B, T, W], `frame_vectors` of the next T frames.
          states: from the call before, or `first_states`.
          dropout_masks: one for what enters each GRU layer; in training with dropout only.
        Returns: embeddings [B, T, D], and the states after the last frame.
        """
        hidden, last_states = vectors, []
        for index, (gru, state) in enumerate(zip(self.grus, states)):
            hidden = gru(hidden * dropout_masks[index] if dropout_masks else hidden, state)
            last_states.append(hidden[:, -1])
        return hidden, last_states

    def clip_function(self, *, dtype: tf.DType = tf.float32) -> Callable[[np.ndarray], np.ndarray]:
        advance = tf.function(self.advance, autograph=False)

        def embed(vectors: np.ndarray) -> np.ndarray:
            states, parts = self.first_states(1), []
            for start in range(0, len(vectors), _FRAMES_PER_CALL):
                piece = vectors[start : start + _FRAMES_PER_CALL]
                padding = np.zeros((_FRAMES_PER_CALL - len(piece), piece.shape[1]), np.float32)
                embeddings, states = advance(tf.constant(np.concatenate([piece, padding])[np.newaxis]), states)
                parts.append(embeddings.numpy()[0, : len(piece)])
            return np.concatenate(parts)

        return embed

    def frame_mask_shapes(self, num_windows: int) -> List[Tuple[int, ...]]:
        return []

    def time_mask_shapes(self, num_sequences: int, num_frames: int) -> List[Tuple[int, ...]]:
        """One mask for what enters each GRU layer."""
        if self.config.dropout == 0:
            return []
        widths = (self.config.channels[-1], *self.config.gru_units)
        return [(num_sequences, num_frames, width) for width in widths[:-1]]

    def layers(self) -> List[Layer]:
        return [*self.convs, *self.norms, *self.grus]

    def regularized_variables(self) -> List[tf.Variable]:
        """Kernels and biases of convolutions and GRU layers; not the recurrent kernels, as the reference."""
        recurrent = {variable.ref() for key, variable in named_variables(self.grus).items() if "recurrent" in key}
        return [var for var in trainable_variables([*self.convs, *self.grus]) if var.ref() not in recurrent]
