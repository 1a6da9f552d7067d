"""A small convolutional network to be trained from scratch, cheap enough for a CPU."""

from __future__ import annotations

from typing import List

import numpy as np
import tensorflow as tf

from tcc.models.backbone_base import Backbone
from tcc.models.layers import BatchNorm, Conv2D, Layer, convolve_and_normalize

_CHANNELS = (24, 48, 96, 128)


class ConvNet(Backbone):
    """Four times 3x3 convolution with stride 2, BN, ReLU: frames [N, H, W, 3] -> [N, ceil(H/16), ceil(W/16), 128].

    Scaling rgb / 127.5 - 1.
    """

    def __init__(self, *, rng: np.random.Generator):
        super().__init__("convnet", feature_channels=_CHANNELS[-1])
        inputs = (3, *_CHANNELS[:-1])
        self.convs = [
            Conv2D(f"conv{index}", in_channels, out_channels, 3, rng=rng, stride=2, bias=False)
            for index, (in_channels, out_channels) in enumerate(zip(inputs, _CHANNELS))
        ]
        self.norms = [BatchNorm(f"bn{index}", channels) for index, channels in enumerate(_CHANNELS)]

    def layers(self) -> List[Layer]:
        return [layer for pair in zip(self.convs, self.norms) for layer in pair]

    def scale(self, frames: tf.Tensor) -> tf.Tensor:
        return frames / 127.5 - 1.0

    def features(self, scaled: tf.Tensor, *, training: bool = False) -> tf.Tensor:
        hidden = scaled
        for conv, norm in zip(self.convs, self.norms):
            hidden = tf.nn.relu(convolve_and_normalize(conv, norm, hidden, training=training))
        return hidden
