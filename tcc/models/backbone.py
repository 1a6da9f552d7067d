"""The backbones by name: frame -> grid of features."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tcc.config import BackboneConfig
from tcc.models.backbone_base import Backbone
from tcc.models.convnet import ConvNet
from tcc.models.efficientnet import EfficientNetLite0
from tcc.models.resnet import ResNet50V2
from tcc.models.vggm import VGGM
from tcc.shapes import check_rank

_BUILDERS = {
    "efficientnet_lite0": EfficientNetLite0,
    "resnet50v2": ResNet50V2,
    "convnet": ConvNet,
    "vggm": VGGM,
}


def build_backbone(config: BackboneConfig) -> Backbone:
    """The backbone that `config` names, with random weights that follow from `config.seed`.

    Pretrained weights come from `tcc.weights.load_into(backbone, path)`.
    """
    return _BUILDERS[config.name](rng=np.random.default_rng([config.seed, 0]))


def pool_to_grid(features: tf.Tensor, grid: int) -> tf.Tensor:
    """Average features over the cells of a coarser grid.

    Cell i of an axis of n places covers floor(i n / grid) to ceil((i + 1) n / grid); cells overlap where `grid` does
    not divide n.

    Args:
      features: [N, h, w, C].
      grid: cells along each axis; an axis that has no more places than that is left as it is.
    Returns: [N, min(h, grid), min(w, grid), C].
    Raises: ShapeError if features have another rank.
    """
    check_rank("features", features, 4, axes="N h w C")
    height, width = features.shape[1:3]
    if height <= grid and width <= grid:
        return features
    rows = tf.tensordot(_cell_weights(height, grid), features, axes=[[1], [1]])  # [grid, N, w, C]
    cells = tf.tensordot(_cell_weights(width, grid), rows, axes=[[1], [2]])  # [grid, grid, N, C]
    return tf.transpose(cells, [2, 1, 0, 3])


def _cell_weights(places: int, grid: int) -> np.ndarray:
    cells = min(places, grid)
    weights = np.zeros((cells, places), np.float32)
    for cell in range(cells):
        start, end = cell * places // cells, -(-(cell + 1) * places // cells)
        weights[cell, start:end] = 1.0 / (end - start)
    return weights
