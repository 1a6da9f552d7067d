"""Backbone and embedder together: what runs in which mode, what is trained, what a checkpoint holds."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tcc.config import BackboneConfig, EmbedderConfig
from tcc.errors import SettingsError, ShapeError
from tcc.models import Embedder, Encoder, build_backbone, pool_to_grid

CONFIG = EmbedderConfig(channels=(5, 6), dense=(7,), embedding_size=4)


def small_encoder(*, trained="frozen", grid=None, seed=0):
    """A convnet and a small embedder."""
    backbone = build_backbone(BackboneConfig(name="convnet", seed=seed))
    embedder = Embedder(CONFIG, num_context_frames=2, feature_channels=128, seed=seed)
    return Encoder(backbone, embedder, trained=trained, grid=grid)


def frames(num=3):
    """Random uint8 windows of frames [1, num, 2, 64, 64, 3]."""
    return np.random.default_rng(0).integers(0, 256, size=(1, num, 2, 64, 64, 3), dtype=np.uint8)


def features_of(encoder):
    """The backbone's features of `frames`, window by window."""
    return tf.stack([encoder.backbone(window) for window in frames()[0]])[tf.newaxis]


def test_frames_go_through_backbone_and_embedder():
    encoder = small_encoder()
    expected = encoder.embedder(features_of(encoder))
    np.testing.assert_allclose(encoder(frames()), expected, atol=1e-4)


def test_features_are_pooled_to_the_grid():
    encoder = small_encoder(grid=2)
    pooled = tf.stack([pool_to_grid(window, 2) for window in features_of(encoder)[0]])[tf.newaxis]
    np.testing.assert_allclose(encoder(frames()), encoder.embedder(pooled), atol=1e-4)


def test_without_a_backbone_features_are_the_input():
    encoder = small_encoder()
    ready = Encoder(None, encoder.embedder)
    np.testing.assert_allclose(ready(features_of(encoder)), encoder(frames()), atol=1e-4)
    assert list(ready.named_variables()) == list(encoder.embedder.named_variables())
    assert [id(v) for v in ready.trained_variables()] == [id(v) for v in encoder.embedder.trained_variables()]


@pytest.mark.parametrize("trained, count", [("frozen", 0), ("batch_norm", 8), ("all", 12)])
def test_the_backbones_part_is_trained_or_left_alone(trained, count):
    encoder = small_encoder(trained=trained)
    variables = encoder.trained_variables()
    assert len(variables) - len(encoder.embedder.trained_variables()) == count
    before = encoder.backbone.norms[0].moving_mean.numpy()
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(encoder(frames(), training=True) ** 2)
    assert all(gradient is not None for gradient in tape.gradient(loss, variables))
    moved = (encoder.backbone.norms[0].moving_mean.numpy() != before).any()
    assert moved == (trained != "frozen")


def test_outside_training_no_statistic_moves():
    encoder = small_encoder(trained="all")
    before = [variable.numpy() for variable in encoder.named_variables().values()]
    encoder(frames())
    for variable, value in zip(encoder.named_variables().values(), before):
        np.testing.assert_array_equal(variable, value)


def test_only_the_embedder_is_regularized():
    encoder = small_encoder(trained="all")
    own = [id(variable) for variable in encoder.regularized_variables()]
    assert own == [id(variable) for variable in encoder.embedder.regularized_variables()]


def test_an_embedder_for_other_features_is_refused():
    embedder = Embedder(CONFIG, num_context_frames=2, feature_channels=112, seed=0)
    with pytest.raises(ShapeError, match="expects 112 feature channels, the backbone convnet gives 128"):
        Encoder(build_backbone(BackboneConfig(name="convnet")), embedder)


def test_another_word_for_trained_is_refused():
    with pytest.raises(SettingsError, match="trained: must be one of frozen, batch_norm, all; got 'bn'"):
        small_encoder(trained="bn")


def test_frames_of_another_rank_are_refused():
    with pytest.raises(ShapeError, match=r"frames: expected \[B, T, context, H, W, 3\], got shape \[3, 2, 64, 64, 3\]"):
        small_encoder()(frames()[0])


def test_a_checkpoint_holds_every_variable(tmp_path):
    encoder, other = small_encoder(seed=1), small_encoder(seed=2)
    path = tf.train.Checkpoint(encoder=encoder).save(str(tmp_path / "checkpoint"))
    status = tf.train.Checkpoint(encoder=other).restore(path)
    status.assert_existing_objects_matched()
    for key, variable in encoder.named_variables().items():
        np.testing.assert_array_equal(variable, other.named_variables()[key])
    names = {name for name, _ in tf.train.list_variables(path) if "encoder" in name}
    assert len(names) == len(encoder.named_variables())
    assert "encoder/backbone/norms/0/moving_mean/.ATTRIBUTES/VARIABLE_VALUE" in names


def test_a_step_has_no_forbidden_operation():
    encoder = small_encoder(trained="all", grid=2)

    def step(images):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(encoder(images, training=True) ** 2)
        return tape.gradient(loss, encoder.trained_variables())

    graph = tf.function(step).get_concrete_function(tf.TensorSpec([2, 2, 2, 64, 64, 3], tf.uint8)).graph
    kinds = {operation.type for operation in graph.get_operations()}
    forbidden = (
        "Einsum",
        "EnsureShape",
        "PyFunc",
        "EagerPyFunc",
        "While",
        "StatelessWhile",
        "StatelessRandomUniformV2",
    )
    assert not kinds & set(forbidden)
    assert "FusedBatchNormV3" in kinds


def test_embeddings_are_divided_by_their_norm_where_the_settings_say_so():
    plain = Encoder(None, Embedder(CONFIG, num_context_frames=2, feature_channels=3, seed=0))
    features = np.random.default_rng(0).normal(size=(1, 5, 2, 4, 4, 3)).astype(np.float32)
    config = dataclasses.replace(CONFIG, normalize=True)
    encoder = Encoder(None, Embedder(config, num_context_frames=2, feature_channels=3, seed=0))
    raw = plain(features).numpy()
    expected = raw / np.linalg.norm(raw, axis=-1, keepdims=True)
    np.testing.assert_allclose(encoder(features), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(encoder(features, normalize=False), raw, rtol=1e-5, atol=1e-6)
    parts = encoder.frame_part(features.reshape(-1, 4, 4, 3))
    windows = tf.reshape(parts, [5, 2, *parts.shape[1:]])
    of_clip = encoder.clip_function()(encoder.windows_part(windows).numpy())
    np.testing.assert_allclose(of_clip, expected[0], rtol=1e-5, atol=1e-6)
