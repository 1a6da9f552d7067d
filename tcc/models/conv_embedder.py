"""The embedder of the reference: a context window of features -> convolutions -> global max pool -> dense layers."""

from __future__ import annotations

from typing import Callable, List, Optional, Sequence, Tuple, Union

import numpy as np
import tensorflow as tf

from tcc.config import EmbedderConfig
from tcc.models.embedder_base import SequenceEmbedder, build_denses, build_norms
from tcc.models.layers import Conv2D, Conv3D, Dense, Layer, trainable_variables


class Embedder(SequenceEmbedder):
    """Each context window of features [num_context_frames, h, w, C] by itself -> its embedding [D].

    `config.convolution` says how the context frames meet. conv3d: every convolution is 3x3x3 over (context, h, w), as
    the reference. late: 3x3 on each frame by itself, and only the last convolution sees the channels of all context
    frames at once, which costs a fraction.

    Source: Dwibedi et al., Temporal Cycle-Consistency Learning, CVPR 2019, table 8.
    """

    def __init__(self, config: EmbedderConfig, *, num_context_frames: int, feature_channels: int, seed: int):
        super().__init__(config, num_context_frames=num_context_frames, feature_channels=feature_channels)
        rng = np.random.default_rng([seed, 1])
        self.convs = self._build_convolutions(rng)
        self.norms = build_norms(config, config.channels)
        widths = (config.channels[-1], *config.dense)
        self.denses = build_denses(widths, rng)
        self.output = Dense("emb_out0", widths[-1], config.embedding_size, rng=rng)

    def frame_vectors(
        self,
        windows: tf.Tensor,
        *,
        training: bool = False,
        dropout_masks: Sequence[tf.Tensor] = (),
        dtype: tf.DType = tf.float32,
    ) -> tf.Tensor:
        """Embeddings of context windows [N, num_context_frames, h, w, C], float32 [N, D]."""
        hidden = self._standardized(windows, dtype)
        convolve = self._convolve_all_at_once if self.config.convolution == "conv3d" else self._convolve_late
        return self._of_convolved(convolve(hidden, training), dropout_masks)

    def frame_part(self, features: tf.Tensor, *, dtype: tf.DType = tf.float32) -> tf.Tensor:
        """conv3d: the first convolution's sums over each frame; late: every convolution but the last."""
        hidden = self._standardized(features, dtype)
        if self.config.convolution == "conv3d":
            return self.convs[0].of_slices(hidden, self.num_context_frames)
        return self._convolve_frames(hidden, training=False)

    def windows_part(self, windows: tf.Tensor, *, dtype: tf.DType = tf.float32) -> tf.Tensor:
        if self.config.convolution == "late":
            return self._of_convolved(self._convolve_together(windows, training=False))
        hidden = self._activate(0, self.convs[0].of_convolved(windows), training=False)
        for index in range(1, len(self.convs)):
            hidden = self._convolve(index, hidden, training=False)
        return self._of_convolved(hidden)

    def over_time(
        self,
        vectors: tf.Tensor,
        *,
        training: bool = False,
        dropout_masks: Sequence[tf.Tensor] = (),
        frame_mask: Optional[tf.Tensor] = None,
        dtype: tf.DType = tf.float32,
    ) -> tf.Tensor:
        """The vectors as they are: no frame depends on one outside its window."""
        return vectors

    def clip_function(self, *, dtype: tf.DType = tf.float32) -> Callable[[np.ndarray], np.ndarray]:
        return lambda vectors: vectors

    def frame_mask_shapes(self, num_windows: int) -> List[Tuple[int, ...]]:
        """One mask for what enters each dense layer but the last."""
        widths = (self.config.channels[-1], *self.config.dense)
        return [(num_windows, width) for width in widths[:-1]] if self.config.dropout > 0 else []

    def time_mask_shapes(self, num_sequences: int, num_frames: int) -> List[Tuple[int, ...]]:
        return []

    def layers(self) -> List[Layer]:
        return [*self.convs, *self.norms, *self.denses, self.output]

    def regularized_variables(self) -> List[tf.Variable]:
        """Kernels and biases of convolutions and dense layers."""
        return trainable_variables([*self.convs, *self.denses, self.output])

    def _build_convolutions(self, rng: np.random.Generator) -> Sequence[Union[Conv2D, Conv3D]]:
        inputs = [self.feature_channels, *self.config.channels[:-1]]
        if self.config.convolution == "conv3d":
            return [
                Conv3D(f"emb_conv{i}", before, after, 3, rng=rng)
                for i, (before, after) in enumerate(zip(inputs, self.config.channels))
            ]
        inputs[-1] *= self.num_context_frames
        return [
            Conv2D(f"emb_conv{i}", before, after, 3, rng=rng)
            for i, (before, after) in enumerate(zip(inputs, self.config.channels))
        ]

    def _convolve_all_at_once(self, windows: tf.Tensor, training: bool) -> tf.Tensor:
        for index in range(len(self.convs)):
            windows = self._convolve(index, windows, training)
        return windows

    def _convolve_late(self, windows: tf.Tensor, training: bool) -> tf.Tensor:
        hidden = self._convolve_frames(tf.reshape(windows, [-1, *windows.shape[2:]]), training)
        return self._convolve_together(tf.reshape(hidden, [-1, self.num_context_frames, *hidden.shape[1:]]), training)

    def _convolve_frames(self, hidden: tf.Tensor, training: bool) -> tf.Tensor:
        for index in range(len(self.convs) - 1):
            hidden = self._convolve(index, hidden, training)
        return hidden

    def _convolve_together(self, windows: tf.Tensor, training: bool) -> tf.Tensor:
        height, width, channels = windows.shape[2:]
        hidden = tf.transpose(windows, [0, 2, 3, 1, 4])
        hidden = tf.reshape(hidden, [-1, height, width, self.num_context_frames * channels])
        return self._convolve(len(self.convs) - 1, hidden, training)[:, tf.newaxis]

    def _convolve(self, index: int, inputs: tf.Tensor, training: bool) -> tf.Tensor:
        return self._activate(index, self.convs[index](inputs), training)

    def _activate(self, index: int, outputs: tf.Tensor, training: bool) -> tf.Tensor:
        return tf.nn.relu(self.norms[index](outputs, training=training) if self.norms else outputs)

    def _of_convolved(self, hidden: tf.Tensor, dropout_masks: Sequence[tf.Tensor] = ()) -> tf.Tensor:
        """Global max pool and dense layers."""
        hidden = tf.cast(hidden, tf.float32)
        hidden = tf.reduce_max(hidden, axis=list(range(1, len(hidden.shape) - 1)))
        for index, dense in enumerate(self.denses):
            hidden = hidden * dropout_masks[index] if dropout_masks else hidden
            hidden = tf.nn.relu(dense(hidden))
        return self.output(hidden)
