"""What every embedder has in common: sequences of context windows of features in, sequences of embeddings out."""

from __future__ import annotations

from typing import Callable, Dict, List, Optional, Sequence, Tuple

import numpy as np
import tensorflow as tf

from tcc.config import EmbedderConfig, check_context_frames
from tcc.errors import SettingsError, ShapeError
from tcc.models.layers import BatchNorm, Conv2D, Dense, Layer, named_variables, trainable_variables
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


class SequenceEmbedder(tf.Module):
    """Turns each frame, with its context, into a vector, and the vectors of a sequence into its embeddings.

    What lies between the two is the same for a frame however many are computed at once; only the second part sees
    other frames. A subclass creates its layers in the constructor and gives `frame_vectors`, `over_time`,
    `clip_function`, `layers`, `regularized_variables` and the shapes of its dropout masks.

    Attributes:
      config: its settings; config.embedding_size is D.
      num_context_frames: frames embedded together for one time step.
      feature_channels: C, channels of the features.
      standardization: of the features; None where config.standardize is off.
    """

    def __init__(self, config: EmbedderConfig, *, num_context_frames: int, feature_channels: int):
        super().__init__(name="embedder")
        check_context_frames(config, num_context_frames)
        self.config = config
        self.num_context_frames = num_context_frames
        self.feature_channels = feature_channels
        self.standardization = Standardization("emb_standardize", feature_channels) if config.standardize else None

    def __call__(
        self,
        features: tf.Tensor,
        *,
        training: bool = False,
        dropout_masks: Sequence[tf.Tensor] = (),
        frame_mask: Optional[tf.Tensor] = None,
        dtype: tf.DType = tf.float32,
    ) -> tf.Tensor:
        """Embeddings of whole sequences.

        Args:
          features: [B, T, num_context_frames, h, w, C], float of any width.
          training: normalize by the batch's own statistics, update the moving ones, and apply `dropout_masks`.
          dropout_masks: drawn by `draw_dropout_masks`; needed in training where config.dropout > 0, else left out.
          frame_mask: float [B, T], 0 for frames at the end that only fill the sequence up: no other frame's embedding
            depends on them. None: there are none.
          dtype: what convolutions and the matrices of attention layers compute in; all else is float32.
        Returns: float32 [B, T, D].
        Raises: ShapeError if features do not fit, or the number of masks is not what the layers need.
        """
        self._check(features, len(dropout_masks), training)
        num_frames = features.shape[1]
        windows = tf.reshape(features, [-1, *features.shape[2:]])
        of_frames = len(self.frame_mask_shapes(1))
        vectors = self.frame_vectors(windows, training=training, dropout_masks=dropout_masks[:of_frames], dtype=dtype)
        vectors = tf.reshape(vectors, [-1, num_frames, vectors.shape[-1]])
        return self.over_time(
            vectors, training=training, dropout_masks=dropout_masks[of_frames:], frame_mask=frame_mask, dtype=dtype
        )

    def frame_vectors(
        self,
        windows: tf.Tensor,
        *,
        training: bool = False,
        dropout_masks: Sequence[tf.Tensor] = (),
        dtype: tf.DType = tf.float32,
    ) -> tf.Tensor:
        """Context windows of features [N, num_context_frames, h, w, C] -> float32 [N, W], each by itself."""
        raise NotImplementedError

    def frame_part(self, features: tf.Tensor, *, dtype: tf.DType = tf.float32) -> tf.Tensor:
        """What of `frame_vectors` is done before context frames meet, outside training; done once for each frame.

        Features [N, h, w, C] -> [N, ...]; windows of the result [N, num_context_frames, ...] are for `windows_part`. An
        embedder that has nothing to do by then gives the features as they are.
        """
        return features

    def windows_part(self, windows: tf.Tensor, *, dtype: tf.DType = tf.float32) -> tf.Tensor:
        """The rest of `frame_vectors`: windows of what `frame_part` gave -> float32 [N, W]."""
        return self.frame_vectors(windows, dtype=dtype)

    def over_time(
        self,
        vectors: tf.Tensor,
        *,
        training: bool = False,
        dropout_masks: Sequence[tf.Tensor] = (),
        frame_mask: Optional[tf.Tensor] = None,
        dtype: tf.DType = tf.float32,
    ) -> tf.Tensor:
        """Vectors of frames [B, T, W] -> embeddings [B, T, D]."""
        raise NotImplementedError

    def clip_function(self, *, dtype: tf.DType = tf.float32) -> Callable[[np.ndarray], np.ndarray]:
        """`over_time` of one clip outside training, for any length: [T, W] -> [T, D], compiled for few shapes."""
        raise NotImplementedError

    def frame_mask_shapes(self, num_windows: int) -> List[Tuple[int, ...]]:
        """Shapes of the dropout masks of `frame_vectors`; none where config.dropout is 0."""
        raise NotImplementedError

    def time_mask_shapes(self, num_sequences: int, num_frames: int) -> List[Tuple[int, ...]]:
        """Shapes of the dropout masks of `over_time`; none where config.dropout is 0."""
        raise NotImplementedError

    def layers(self) -> List[Layer]:
        """All layers, in an order that never changes."""
        raise NotImplementedError

    def regularized_variables(self) -> List[tf.Variable]:
        """Kernels and biases that are kept small.

        The reference adds weight x the MEAN over these variables of each one's sum of squares.
        """
        raise NotImplementedError

    def dropout_mask_shapes(self, num_sequences: int, num_frames: int) -> List[Tuple[int, ...]]:
        """Shapes of all dropout masks for B = `num_sequences`, T = `num_frames`; none where config.dropout is 0."""
        of_frames = self.frame_mask_shapes(num_sequences * num_frames)
        return of_frames + self.time_mask_shapes(num_sequences, num_frames)

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

    def named_variables(self) -> Dict[str, tf.Variable]:
        """Every variable by its key "<layer>/<weight>"."""
        return named_variables(self._all_layers())

    def trained_variables(self) -> List[tf.Variable]:
        """What the optimizer may change, in a stable order."""
        return trainable_variables(self._all_layers())

    def _all_layers(self) -> List[Layer]:
        return self.layers() if self.standardization is None else [self.standardization, *self.layers()]

    def _standardized(self, windows: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
        if self.standardization is None:
            return tf.cast(windows, dtype)
        return tf.cast(self.standardization(tf.cast(windows, tf.float32)), dtype)

    def _check(self, features: tf.Tensor, num_masks: int, training: bool) -> None:
        check_rank("features", features, 6, axes="B T context h w C")
        expected = (self.num_context_frames, self.feature_channels)
        if (features.shape[2], features.shape[-1]) != expected:
            raise ShapeError(
                f"features: expected {expected[0]} context frames and {expected[1]} channels, "
                f"got shape {list(features.shape)}"
            )
        needed = len(self.dropout_mask_shapes(1, 1)) if training else 0
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


def build_norms(config: EmbedderConfig, sizes: Sequence[int]) -> List[BatchNorm]:
    """A batch norm for each size, or none at all where config.batch_norm is off."""
    return [BatchNorm(f"emb_bn{i}", size) for i, size in enumerate(sizes) if config.batch_norm]


def build_convolutions(channels: Sequence[int], rng: np.random.Generator) -> List[Conv2D]:
    """3x3 convolutions from channels[0] to channels[1] to ..."""
    return [
        Conv2D(f"emb_conv{i}", before, after, 3, rng=rng)
        for i, (before, after) in enumerate(zip(channels, channels[1:]))
    ]


def build_denses(widths: Sequence[int], rng: np.random.Generator) -> List[Dense]:
    """Dense layers from widths[0] to widths[1] to ..."""
    return [Dense(f"emb_fc{i}", before, after, rng=rng) for i, (before, after) in enumerate(zip(widths, widths[1:]))]
