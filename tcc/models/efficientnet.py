"""EfficientNet-Lite0 up to its last block of stride 16: a light network for mobile processors.

Source: Tan and Le, EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks, ICML 2019. The Lite
variants have no squeeze-and-excitation, and ReLU6 in place of swish (TensorFlow blog, March 2020).
"""

from __future__ import annotations

from typing import List, NamedTuple, Optional, Tuple

import numpy as np
import tensorflow as tf

from tcc.models.backbone_base import Backbone
from tcc.models.layers import BatchNorm, Conv2D, DepthwiseConv2D, Layer, convolve_and_normalize

_EPSILON = 1e-3
_STEM_CHANNELS = 32


class Stage(NamedTuple):
    """Blocks of one shape; the stride is the first block's, the others have 1."""

    num_blocks: int
    kernel_size: int
    stride: int
    expansion: int
    channels: int


STAGES_TO_STRIDE_16 = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
)
STAGES_TO_STRIDE_32 = (Stage(4, 5, 2, 6, 192), Stage(1, 3, 1, 6, 320))


class InvertedResidual(tf.Module):
    """1x1 expansion, k x k depthwise, linear 1x1 projection; the input is added where the shapes agree."""

    def __init__(self, key: str, in_channels: int, stage: Stage, *, stride: int, rng: np.random.Generator):
        super().__init__(name=key)
        inner = in_channels * stage.expansion
        self.adds_input = stride == 1 and in_channels == stage.channels
        self.expand_conv: Optional[Conv2D] = None
        self.expand_bn: Optional[BatchNorm] = None
        if stage.expansion > 1:
            self.expand_conv = Conv2D(f"{key}_expand_conv", in_channels, inner, 1, rng=rng, bias=False)
            self.expand_bn = BatchNorm(f"{key}_expand_bn", inner, epsilon=_EPSILON)
        self.depthwise_conv = DepthwiseConv2D(f"{key}_depthwise_conv", inner, stage.kernel_size, rng=rng, stride=stride)
        self.depthwise_bn = BatchNorm(f"{key}_depthwise_bn", inner, epsilon=_EPSILON)
        self.project_conv = Conv2D(f"{key}_project_conv", inner, stage.channels, 1, rng=rng, bias=False)
        self.project_bn = BatchNorm(f"{key}_project_bn", stage.channels, epsilon=_EPSILON)

    def layers(self) -> List[Layer]:
        """The layers in the order they are applied."""
        expansion = [layer for layer in (self.expand_conv, self.expand_bn) if layer is not None]
        return [*expansion, self.depthwise_conv, self.depthwise_bn, self.project_conv, self.project_bn]

    def __call__(self, inputs: tf.Tensor, *, training: bool = False) -> tf.Tensor:
        hidden = inputs
        if self.expand_conv is not None and self.expand_bn is not None:
            hidden = tf.nn.relu6(convolve_and_normalize(self.expand_conv, self.expand_bn, hidden, training=training))
        hidden = convolve_and_normalize(self.depthwise_conv, self.depthwise_bn, hidden, training=training)
        hidden = tf.nn.relu6(hidden)
        hidden = convolve_and_normalize(self.project_conv, self.project_bn, hidden, training=training)
        return hidden + inputs if self.adds_input else hidden


def build_blocks(
    stages: Tuple[Stage, ...], in_channels: int, *, first_block: int, rng: np.random.Generator
) -> List[InvertedResidual]:
    """The blocks of all stages, keyed block<i> from i = `first_block` on."""
    blocks: List[InvertedResidual] = []
    for stage in stages:
        for repeat in range(stage.num_blocks):
            key = f"block{first_block + len(blocks)}"
            stride = stage.stride if repeat == 0 else 1
            blocks.append(InvertedResidual(key, in_channels, stage, stride=stride, rng=rng))
            in_channels = stage.channels
    return blocks


class EfficientNetLite0(Backbone):
    """Frames [N, H, W, 3] -> features [N, ceil(H/16), ceil(W/16), 112]; scaling (rgb - 127) / 128."""

    def __init__(self, *, rng: np.random.Generator):
        super().__init__("efficientnet_lite0", feature_channels=STAGES_TO_STRIDE_16[-1].channels)
        self.stem_conv = Conv2D("stem_conv", 3, _STEM_CHANNELS, 3, rng=rng, stride=2, bias=False)
        self.stem_bn = BatchNorm("stem_bn", _STEM_CHANNELS, epsilon=_EPSILON)
        self.blocks = build_blocks(STAGES_TO_STRIDE_16, _STEM_CHANNELS, first_block=0, rng=rng)

    def layers(self) -> List[Layer]:
        return [self.stem_conv, self.stem_bn] + [layer for block in self.blocks for layer in block.layers()]

    def scale(self, frames: tf.Tensor) -> tf.Tensor:
        return (frames - 127.0) / 128.0

    def features(self, scaled: tf.Tensor, *, training: bool = False) -> tf.Tensor:
        hidden = tf.nn.relu6(convolve_and_normalize(self.stem_conv, self.stem_bn, scaled, training=training))
        for block in self.blocks:
            hidden = block(hidden, training=training)
        return hidden
