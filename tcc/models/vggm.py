"""VGGM: the reference's small network in the manner of VGG-M, to be trained from scratch."""

from __future__ import annotations

from typing import List

import numpy as np
import tensorflow as tf

from tcc.models.backbone_base import Backbone
from tcc.models.layers import BatchNorm, Conv2D, Layer, convolve_and_normalize, pad_images

_STEM_CHANNELS = 64
_BLOCK_CHANNELS = (128, 256, 512)


class VGGM(Backbone):
    """Frames [N, H, W, 3] -> features [N, ceil(H/16), ceil(W/16), 512]; scaling rgb / 127.5 - 1.

    7x7 convolution and max pool, each with stride 2; then three blocks of two 3x3 convolutions, the first two blocks with
    a max pool of stride 2 at their end. BN and ReLU follow each convolution, so that the scale of the first weights does
    not matter; the reference draws them by He et al., here they are Glorot's as everywhere.

    Source: the published code of Dwibedi et al., Temporal Cycle-Consistency Learning, CVPR 2019 (conv4 of its VGGM).
    """

    def __init__(self, *, rng: np.random.Generator):
        super().__init__("vggm", feature_channels=_BLOCK_CHANNELS[-1])
        self.convs = [Conv2D("conv1", 3, _STEM_CHANNELS, 7, rng=rng, stride=2, padding="VALID")]
        self.norms = [BatchNorm("bn1", _STEM_CHANNELS)]
        before = _STEM_CHANNELS
        for number, channels in enumerate(_BLOCK_CHANNELS, start=2):
            for part in (1, 2):
                self.convs.append(Conv2D(f"conv{number}_{part}", before, channels, 3, rng=rng))
                self.norms.append(BatchNorm(f"bn{number}_{part}", channels))
                before = channels

    def layers(self) -> List[Layer]:
        return [layer for pair in zip(self.convs, self.norms) for layer in pair]

    def scale(self, frames: tf.Tensor) -> tf.Tensor:
        return frames / 127.5 - 1.0

    def features(self, scaled: tf.Tensor, *, training: bool = False) -> tf.Tensor:
        hidden = self._convolve(0, pad_images(scaled, 3), training)
        hidden = tf.nn.max_pool2d(pad_images(hidden, 1), ksize=3, strides=2, padding="VALID")
        for index in range(1, len(self.convs)):
            hidden = self._convolve(index, hidden, training)
            if index in (2, 4):
                hidden = tf.nn.max_pool2d(hidden, ksize=2, strides=2, padding="SAME")
        return hidden

    def _convolve(self, index: int, images: tf.Tensor, training: bool) -> tf.Tensor:
        return tf.nn.relu(convolve_and_normalize(self.convs[index], self.norms[index], images, training=training))
