"""The backbones: shapes, scaling, pinned features, what is trained."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tcc import weights
from tcc.config import BACKBONES, BackboneConfig
from tcc.errors import SettingsError, ShapeError
from tcc.models import build_backbone, pool_to_grid
from tests.reference import models as reference


def pattern(pixels=224):
    """A colorful uint8 image without symmetry, [1, pixels, pixels, 3]."""
    y, x = np.mgrid[:pixels, :pixels]
    return np.stack([(3 * x + y) % 256, (5 * y) % 256, (x * y // 7) % 256], axis=-1).astype(np.uint8)[np.newaxis]


def shipped_efficientnet():
    """EfficientNet-Lite0 with its ImageNet weights."""
    backbone = build_backbone(BackboneConfig(name="efficientnet_lite0"))
    path = weights.shipped_path("efficientnet_lite0")
    weights.load_into(backbone, path, sha256=weights.shipped_sha256("efficientnet_lite0"))
    return backbone


def test_shipped_efficientnet_gives_the_pinned_features():
    """Numbers of the weights that named scikit-image's cat, coffee and rocket (the script's --check)."""
    features = shipped_efficientnet()(pattern()).numpy()
    assert features.shape == (1, 14, 14, 112)
    assert features.mean() == pytest.approx(0.306376, abs=1e-4)
    assert features.std() == pytest.approx(7.240712, abs=1e-3)
    np.testing.assert_allclose(features[0, 3, 4, :5], [5.741188, -1.482392, 12.381985, 14.132466, 9.368805], atol=2e-3)


def test_efficientnet_lite0_has_717_thousand_numbers():
    variables = build_backbone(BackboneConfig(name="efficientnet_lite0")).named_variables()
    assert sum(variable.shape.num_elements() for variable in variables.values()) == 716_928


@pytest.mark.parametrize(
    "name, channels", [("efficientnet_lite0", 112), ("resnet50v2", 1024), ("convnet", 128), ("vggm", 512)]
)
@pytest.mark.parametrize("pixels", [64, 72])
def test_feature_shape_is_what_the_call_returns(name, channels, pixels):
    backbone = build_backbone(BackboneConfig(name=name))
    features = backbone(pattern(pixels))
    side = {64: 4, 72: 5}[pixels]
    assert backbone.feature_shape(pixels) == (side, side, channels) == tuple(features.shape[1:])
    assert features.dtype == tf.float32
    assert (backbone.name_, backbone.feature_channels) == (name, channels)


@pytest.mark.parametrize("name", BACKBONES)
def test_uint8_and_float_frames_give_the_same(name):
    backbone = build_backbone(BackboneConfig(name=name))
    frames = pattern(32)
    np.testing.assert_array_equal(backbone(frames), backbone(frames.astype(np.float64)))


@pytest.mark.parametrize(
    "name, black, white",
    [("efficientnet_lite0", -127 / 128, 1.0), ("resnet50v2", -1.0, 1.0), ("convnet", -1.0, 1.0), ("vggm", -1.0, 1.0)],
)
def test_scale_maps_black_and_white(name, black, white):
    scaled = build_backbone(BackboneConfig(name=name)).scale(tf.constant([0.0, 255.0]))
    np.testing.assert_allclose(scaled, [black, white], atol=1e-6)


def test_vggm_matches_loops():
    backbone = build_backbone(BackboneConfig(name="vggm"))
    reference.fill(backbone)
    arrays = {key: variable.numpy() for key, variable in backbone.named_variables().items()}
    scaled = np.random.default_rng(0).uniform(-1, 1, (1, 17, 20, 3)).astype(np.float32)
    np.testing.assert_allclose(backbone.features(scaled), reference.vggm(scaled, arrays), atol=1e-4)


def test_features_takes_frames_that_are_scaled_already():
    backbone = build_backbone(BackboneConfig(name="resnet50v2"))
    scaled = pattern(32).astype(np.float32) / 127.5 - 1
    np.testing.assert_allclose(backbone.features(scaled), backbone(pattern(32)), atol=1e-4)


@pytest.mark.parametrize("name", BACKBONES)
def test_random_weights_follow_from_the_seed(name):
    first, again, other = (build_backbone(BackboneConfig(name=name, seed=seed)) for seed in (3, 3, 4))
    for key, variable in first.named_variables().items():
        np.testing.assert_array_equal(variable, again.named_variables()[key])
    kernels = [key for key in first.named_variables() if key.endswith("/kernel")]
    assert all((first.named_variables()[key] != other.named_variables()[key]).numpy().any() for key in kernels)


@pytest.mark.parametrize("name", BACKBONES)
def test_trained_variables_say_what_the_optimizer_changes(name):
    backbone = build_backbone(BackboneConfig(name=name))
    keys = {id(variable): key for key, variable in backbone.named_variables().items()}
    trained = {word: [keys[id(v)] for v in backbone.trained_variables(word)] for word in ("batch_norm", "all")}
    assert backbone.trained_variables("frozen") == []
    assert trained["batch_norm"] == [key for key in keys.values() if key.endswith(("/gamma", "/beta"))]
    assert trained["all"] == [key for key in keys.values() if "/moving_" not in key]


def test_trained_variables_refuse_another_word():
    with pytest.raises(SettingsError, match="trained: must be one of frozen, batch_norm, all; got 'bn'"):
        build_backbone(BackboneConfig(name="convnet")).trained_variables("bn")


def test_frames_of_another_rank_are_refused():
    with pytest.raises(ShapeError, match=r"frames: expected \[N, H, W, 3\], got shape \[32, 32, 3\]"):
        build_backbone(BackboneConfig(name="convnet"))(pattern(32)[0])


@pytest.mark.parametrize("name", BACKBONES)
def test_training_mode_normalizes_by_the_batch_and_moves_every_statistic(name):
    backbone = build_backbone(BackboneConfig(name=name))
    frames = np.concatenate([pattern(64), 255 - pattern(64)])
    before = {key: variable.numpy() for key, variable in backbone.named_variables().items()}
    inference, training = backbone(frames), backbone(frames, training=True)
    moved = [key for key, variable in backbone.named_variables().items() if (variable.numpy() != before[key]).any()]
    assert moved == [key for key in before if "/moving_" in key]
    assert np.abs(training - inference).max() > 0.01


@pytest.mark.parametrize("name", BACKBONES)
def test_gradients_reach_every_trained_variable(name):
    backbone = build_backbone(BackboneConfig(name=name))
    frames = np.concatenate([pattern(64), 255 - pattern(64)])
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(backbone(frames, training=True) ** 2)
    gradients = tape.gradient(loss, backbone.trained_variables("all"))
    assert all(np.isfinite(gradient.numpy()).all() for gradient in gradients)


@pytest.mark.parametrize("shape, grid", [((2, 14, 14, 3), 7), ((1, 14, 9, 2), 4), ((1, 4, 9, 2), 5), ((1, 3, 3, 2), 7)])
def test_pool_to_grid_matches_loops(shape, grid):
    features = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    np.testing.assert_allclose(pool_to_grid(features, grid), reference.pool_to_grid(features, grid), atol=1e-6)


def test_pool_to_grid_refuses_another_rank():
    with pytest.raises(ShapeError, match=r"features: expected \[N, h, w, C\], got shape \[4, 4, 2\]"):
        pool_to_grid(np.zeros((4, 4, 2), np.float32), 2)
