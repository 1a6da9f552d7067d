"""ResNet50V2 up to conv4_block3_out, the reference's backbone; keys as in Keras' files of weights.

Source: He et al., Identity Mappings in Deep Residual Networks, ECCV 2016; cut as in Dwibedi et al., Temporal
Cycle-Consistency Learning, CVPR 2019.
"""

from __future__ import annotations

from typing import List, Optional

import numpy as np
import tensorflow as tf

from tcc.models.backbone_base import Backbone
from tcc.models.layers import BatchNorm, Conv2D, Layer, convolve_and_normalize, pad_images

_EPSILON = 1.001e-5
_STEM_CHANNELS = 64


class PreActivationBlock(tf.Module):
    """BN and ReLU first, then 1x1, 3x3 with the stride, and 1x1 to 4 x `channels`; plus the shortcut."""

    def __init__(
        self, key: str, in_channels: int, channels: int, *, stride: int, projects: bool, rng: np.random.Generator
    ):
        super().__init__(name=key)
        self.stride = stride
        self.preact_bn = BatchNorm(f"{key}_preact_bn", in_channels, epsilon=_EPSILON)
        self.shortcut: Optional[Conv2D] = None
        if projects:
            self.shortcut = Conv2D(f"{key}_0_conv", in_channels, 4 * channels, 1, rng=rng, stride=stride)
        self.conv_1 = Conv2D(f"{key}_1_conv", in_channels, channels, 1, rng=rng, bias=False)
        self.bn_1 = BatchNorm(f"{key}_1_bn", channels, epsilon=_EPSILON)
        # With stride 1 SAME is the explicit padding, without a padded copy to be kept for the gradient.
        padding = "SAME" if stride == 1 else "VALID"
        self.conv_2 = Conv2D(
            f"{key}_2_conv", channels, channels, 3, rng=rng, stride=stride, padding=padding, bias=False
        )
        self.bn_2 = BatchNorm(f"{key}_2_bn", channels, epsilon=_EPSILON)
        self.conv_3 = Conv2D(f"{key}_3_conv", channels, 4 * channels, 1, rng=rng)

    def layers(self) -> List[Layer]:
        """The layers in the order of Keras' files."""
        last: List[Layer] = [self.conv_3] if self.shortcut is None else [self.shortcut, self.conv_3]
        return [self.preact_bn, self.conv_1, self.bn_1, self.conv_2, self.bn_2, *last]

    def __call__(self, inputs: tf.Tensor, *, training: bool = False) -> tf.Tensor:
        activated = tf.nn.relu(self.preact_bn(inputs, training=training))
        hidden = tf.nn.relu(convolve_and_normalize(self.conv_1, self.bn_1, activated, training=training))
        hidden = hidden if self.stride == 1 else pad_images(hidden, 1)
        hidden = convolve_and_normalize(self.conv_2, self.bn_2, hidden, training=training)
        return self._shortcut(inputs, activated) + self.conv_3(tf.nn.relu(hidden))

    def _shortcut(self, inputs: tf.Tensor, activated: tf.Tensor) -> tf.Tensor:
        if self.shortcut is not None:
            return self.shortcut(activated)
        return inputs if self.stride == 1 else inputs[:, :: self.stride, :: self.stride]


class ResNet50V2(Backbone):
    """Frames [N, H, W, 3] -> features [N, ceil(H/16), ceil(W/16), 1024]; scaling rgb / 127.5 - 1.

    Frames that are in [-1, 1] already go to `features`.
    """

    def __init__(self, *, rng: np.random.Generator):
        super().__init__("resnet50v2", feature_channels=1024)
        self.stem_conv = Conv2D("conv1_conv", 3, _STEM_CHANNELS, 7, rng=rng, stride=2, padding="VALID")
        self.blocks: List[PreActivationBlock] = []
        # (stage, channels, blocks, stride of the last block); the original's conv4 goes on to block 6.
        for stage, channels, num_blocks, last_stride in ((2, 64, 3, 2), (3, 128, 4, 2), (4, 256, 3, 1)):
            for block in range(1, num_blocks + 1):
                in_channels = 4 * channels if block > 1 else (2 * channels if stage > 2 else _STEM_CHANNELS)
                stride = last_stride if block == num_blocks else 1
                key = f"conv{stage}_block{block}"
                self.blocks.append(
                    PreActivationBlock(key, in_channels, channels, stride=stride, projects=block == 1, rng=rng)
                )

    def layers(self) -> List[Layer]:
        return [self.stem_conv] + [layer for block in self.blocks for layer in block.layers()]

    def scale(self, frames: tf.Tensor) -> tf.Tensor:
        return frames / 127.5 - 1.0

    def features(self, scaled: tf.Tensor, *, training: bool = False) -> tf.Tensor:
        hidden = pad_images(self.stem_conv(pad_images(scaled, 3)), 1)
        hidden = tf.nn.max_pool2d(hidden, ksize=3, strides=2, padding="VALID")
        for block in self.blocks:
            hidden = block(hidden, training=training)
        return hidden
