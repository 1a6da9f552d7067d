"""What every backbone has in common: frames in, a grid of features out."""

from __future__ import annotations

from typing import Dict, List, Tuple

import tensorflow as tf

from tcc.errors import SettingsError
from tcc.models.layers import BatchNorm, Layer, named_variables, trainable_variables
from tcc.shapes import check_rank

STRIDE = 16


class Backbone(tf.Module):
    """Turns each frame into a grid of features, 1/16 of the frame's side.

    A subclass creates its layers in the constructor and says how they follow each other: `layers`, `scale`, `features`.

    Attributes:
      name_: what [backbone] name calls it.
      feature_channels: C, channels of the features.
    """

    def __init__(self, name: str, *, feature_channels: int):
        super().__init__(name=name)
        self.name_ = name
        self.feature_channels = feature_channels

    def __call__(self, frames: tf.Tensor, *, training: bool = False, dtype: tf.DType = tf.float32) -> tf.Tensor:
        """Features of frames, scaled as this network was trained with.

        Args:
          frames: [N, H, W, 3] RGB, uint8, or float in 0..255.
          training: normalize by the batch's own statistics, and update the moving ones.
          dtype: what it computes in.
        Returns: `dtype` [N, ceil(H/16), ceil(W/16), C].
        Raises: ShapeError if frames have another rank.
        """
        check_rank("frames", frames, 4, axes="N H W 3")
        return self.features(tf.cast(self.scale(tf.cast(frames, tf.float32)), dtype), training=training)

    def scale(self, frames: tf.Tensor) -> tf.Tensor:
        """Float frames in 0..255 -> the range of values that the network works on."""
        raise NotImplementedError

    def features(self, scaled: tf.Tensor, *, training: bool = False) -> tf.Tensor:
        """Features of frames that `scale` has already been applied to, float [N, H, W, 3]."""
        raise NotImplementedError

    def layers(self) -> List[Layer]:
        """All layers, in an order that never changes."""
        raise NotImplementedError

    def feature_shape(self, image_pixels: int) -> Tuple[int, int, int]:
        """(h, w, C) of the features of a square frame of `image_pixels`."""
        side = -(-image_pixels // STRIDE)
        return side, side, self.feature_channels

    def named_variables(self) -> Dict[str, tf.Variable]:
        """Every variable by its key "<layer>/<weight>"."""
        return named_variables(self.layers())

    def trained_variables(self, trained: str) -> List[tf.Variable]:
        """What the optimizer may change, in a stable order.

        Args:
          trained: frozen (nothing), batch_norm (every gamma and beta), all (everything but moving statistics).
        Raises: SettingsError for another word.
        """
        if trained == "frozen":
            return []
        if trained == "batch_norm":
            return trainable_variables([layer for layer in self.layers() if isinstance(layer, BatchNorm)])
        if trained == "all":
            return trainable_variables(self.layers())
        raise SettingsError(f"trained: must be one of frozen, batch_norm, all; got {trained!r}")
