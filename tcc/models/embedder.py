"""The embedder: a context window of features -> convolutions -> global max pool -> dense layers -> one embedding."""

from __future__ import annotations

from typing import Dict, List, Sequence, Tuple, Union

import numpy as np
import tensorflow as tf

from tcc.config import EmbedderConfig
from tcc.errors import SettingsError, ShapeError
from tcc.models.layers import BatchNorm, Conv2D, Conv3D, Dense, Layer, named_variables, trainable_variables
from tcc.shapes import check_rank

# A channel that hardly varies over the training clips is shifted only: dividing would amplify rounding.
_SMALLEST_STD = 1e-6


class Standardization(Layer):
    """(features - mean) / std per channel; the identity until both are set."""

    WEIGHTS = ("mean", "std")

    def __init__(self, key: str, channels: int):
        super().__init__(key)
        self.mean = tf.Variable(tf.zeros([channels]), trainable=False, name="mean")
        self.std = tf.Variable(tf.ones([channels]), trainable=False, name="std")

    def __call__(self, inputs: tf.Tensor) -> tf.Tensor:
        return (inputs - self.mean) / self.std


class Embedder(tf.Module):
    """Context windows of features [N, num_context_frames, h, w, C] -> embeddings [N, D].

    `config.convolution` says how the context frames meet. conv3d: every convolution is 3x3x3 over (context, h, w), as
    the reference. late: 3x3 on each frame by itself, and only the last convolution sees the channels of all context
    frames at once, which costs a fraction.

    Source: Dwibedi et al., Temporal Cycle-Consistency Learning, CVPR 2019, table 8.
    """

    def __init__(self, config: EmbedderConfig, *, num_context_frames: int, feature_channels: int, seed: int):
        super().__init__(name="embedder")
        self.config = config
        self.num_context_frames = num_context_frames
        self.feature_channels = feature_channels
        rng = np.random.default_rng([seed, 1])
        self.standardization = Standardization("emb_standardize", feature_channels) if config.standardize else None
        self.convs = self._build_convolutions(rng)
        self.norms = [BatchNorm(f"emb_bn{i}", size) for i, size in enumerate(config.channels) if config.batch_norm]
        widths = (config.channels[-1], *config.dense)
        self.denses = [
            Dense(f"emb_fc{i}", before, after, rng=rng) for i, (before, after) in enumerate(zip(widths, widths[1:]))
        ]
        self.output = Dense("emb_out0", widths[-1], config.embedding_size, rng=rng)

    def __call__(
        self,
        features: tf.Tensor,
        *,
        training: bool = False,
        dropout_masks: Sequence[tf.Tensor] = (),
        dtype: tf.DType = tf.float32,
    ) -> tf.Tensor:
        """Embeddings of context windows.

        Args:
          features: [N, num_context_frames, h, w, C], float of any width.
          dtype: what the convolutions compute in; all after the pooling is float32.
          training: normalize by the batch's own statistics, update the moving ones, and apply `dropout_masks`.
          dropout_masks: drawn by `draw_dropout_masks`; needed in training where config.dropout > 0, else left out.
        Returns: float32 [N, D].
        Raises: ShapeError if features do not fit, or the number of masks is not what the layers need.
        """
        self._check(features, len(dropout_masks), training)
        hidden = features
        if self.standardization is not None:
            hidden = self.standardization(tf.cast(features, tf.float32))
        convolve = self._convolve_all_at_once if self.config.convolution == "conv3d" else self._convolve_late
        hidden = tf.cast(convolve(tf.cast(hidden, dtype), training), tf.float32)
        hidden = tf.reduce_max(hidden, axis=list(range(1, len(hidden.shape) - 1)))
        for index, dense in enumerate(self.denses):
            hidden = hidden * dropout_masks[index] if dropout_masks else hidden
            hidden = tf.nn.relu(dense(hidden))
        return self.output(hidden)

    def dropout_mask_shapes(self, num_windows: int) -> List[Tuple[int, int]]:
        """Shapes of the dropout masks for N = `num_windows`, one per dense layer; none where config.dropout is 0."""
        widths = (self.config.channels[-1], *self.config.dense)
        return [(num_windows, width) for width in widths[:-1]] if self.config.dropout > 0 else []

    def set_standardization(self, mean: np.ndarray, std: np.ndarray) -> None:
        """Take over each feature channel's mean and standard deviation over the training clips, both [C].

        Raises: SettingsError if config.standardize is off or the numbers are not finite; ShapeError if a size differs.
        """
        if self.standardization is None:
            raise SettingsError("standardize: is off for this embedder; set it to true to standardize features")
        mean, std = np.asarray(mean, np.float32), np.asarray(std, np.float32)
        for name, values in (("mean", mean), ("std", std)):
            if values.shape != (self.feature_channels,):
                raise ShapeError(f"{name}: expected [{self.feature_channels}] channels, got {list(values.shape)}")
        if not (np.isfinite(mean).all() and np.isfinite(std).all() and (std >= 0).all()):
            raise SettingsError("mean and std: must be finite and std not negative; look for broken features")
        self.standardization.mean.assign(mean)
        self.standardization.std.assign(np.where(std < _SMALLEST_STD, np.float32(1), std))

    def layers(self) -> List[Layer]:
        """All layers, in an order that never changes."""
        first: List[Layer] = [] if self.standardization is None else [self.standardization]
        return [*first, *self.convs, *self.norms, *self.denses, self.output]

    def named_variables(self) -> Dict[str, tf.Variable]:
        """Every variable by its key "<layer>/<weight>"."""
        return named_variables(self.layers())

    def trained_variables(self) -> List[tf.Variable]:
        """What the optimizer may change, in a stable order."""
        return trainable_variables(self.layers())

    def regularized_variables(self) -> List[tf.Variable]:
        """Kernels and biases of convolutions and dense layers.

        The reference adds weight x the MEAN over these variables of each one's sum of squares.
        """
        return trainable_variables([*self.convs, *self.denses, self.output])

    def _build_convolutions(self, rng: np.random.Generator) -> List[Union[Conv2D, Conv3D]]:
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
        hidden = tf.reshape(windows, [-1, *windows.shape[2:]])
        for index in range(len(self.convs) - 1):
            hidden = self._convolve(index, hidden, training)
        height, width, channels = hidden.shape[1:]
        hidden = tf.reshape(hidden, [-1, self.num_context_frames, height, width, channels])
        hidden = tf.transpose(hidden, [0, 2, 3, 1, 4])
        hidden = tf.reshape(hidden, [-1, height, width, self.num_context_frames * channels])
        return self._convolve(len(self.convs) - 1, hidden, training)[:, tf.newaxis]

    def _convolve(self, index: int, inputs: tf.Tensor, training: bool) -> tf.Tensor:
        outputs = self.convs[index](inputs)
        return tf.nn.relu(self.norms[index](outputs, training=training) if self.norms else outputs)

    def _check(self, features: tf.Tensor, num_masks: int, training: bool) -> None:
        check_rank("features", features, 5, axes="N context h w C")
        expected = (self.num_context_frames, self.feature_channels)
        if (features.shape[1], features.shape[-1]) != expected:
            raise ShapeError(
                f"features: expected {expected[0]} context frames and {expected[1]} channels, "
                f"got shape {list(features.shape)}"
            )
        needed = len(self.dropout_mask_shapes(1)) if training else 0
        if num_masks != needed:
            raise ShapeError(
                f"dropout_masks: expected {needed} with training={training} and dropout={self.config.dropout}, "
                f"got {num_masks}; draw them with draw_dropout_masks"
            )


def draw_dropout_masks(
    shapes: Sequence[Tuple[int, ...]], *, dropout: float, rng: np.random.Generator
) -> List[np.ndarray]:
    """Scaled keep masks, float32: 0 with probability `dropout`, else 1 / (1 - dropout)."""
    return [((rng.random(shape) >= dropout) / (1.0 - dropout)).astype(np.float32) for shape in shapes]
