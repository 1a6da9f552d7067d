"""The embedder: both ways of joining context frames, dropout, standardization, what is trained."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tcc.config import EmbedderConfig
from tcc.errors import SettingsError, ShapeError
from tcc.models import Embedder, draw_dropout_masks
from tests.reference import models as reference

SMALL = {"channels": (5, 6), "dense": (7, 8), "embedding_size": 4}


def small_embedder(*, context=2, **settings):
    """A small embedder with weights that are not symmetric in anything."""
    config = EmbedderConfig(**{**SMALL, **settings})
    embedder = Embedder(config, num_context_frames=context, feature_channels=3, seed=0)
    reference.fill(embedder)
    return embedder


def windows(num=3, *, context=2):
    """Random features [1, num, context, 4, 5, 3]: a sequence of windows."""
    return np.random.default_rng(0).normal(size=(1, num, context, 4, 5, 3)).astype(np.float32)


def test_late_fusion_matches_one_window_after_another():
    embedder = small_embedder(context=3)
    arrays = {key: variable.numpy() for key, variable in embedder.named_variables().items()}
    features = windows(context=3)
    expected = reference.embedder_late(features[0], arrays, num_convs=2, num_denses=2, epsilon=1e-3)
    np.testing.assert_allclose(embedder(features)[0], expected, atol=1e-5)


@pytest.mark.parametrize("settings", [{"channels": (5, 6, 7)}, {"dense": ()}])
def test_late_fusion_of_other_depths(settings):
    embedder = small_embedder(**settings)
    arrays = {key: variable.numpy() for key, variable in embedder.named_variables().items()}
    counts = {"num_convs": len(embedder.config.channels), "num_denses": len(embedder.config.dense)}
    np.testing.assert_allclose(
        embedder(windows())[0], reference.embedder_late(windows()[0], arrays, epsilon=1e-3, **counts), atol=1e-5
    )


@pytest.mark.parametrize("convolution", ["late", "conv3d"])
def test_the_order_of_context_frames_matters(convolution):
    embedder = small_embedder(convolution=convolution)
    features = windows()
    assert np.abs(embedder(features) - embedder(features[:, :, ::-1])).max() > 0.01


@pytest.mark.parametrize("convolution", ["late", "conv3d"])
def test_each_window_is_embedded_by_itself(convolution):
    embedder = small_embedder(convolution=convolution)
    np.testing.assert_allclose(embedder(windows())[:, 1:2], embedder(windows()[:, 1:2]), atol=1e-6)


def test_without_batch_norm_there_is_none():
    keys = small_embedder(batch_norm=False, standardize=False).named_variables()
    assert {key.split("/")[0] for key in keys} == {"emb_conv0", "emb_conv1", "emb_fc0", "emb_fc1", "emb_out0"}
    assert np.isfinite(small_embedder(batch_norm=False)(windows())).all()


def test_float16_features_are_embedded_in_float32():
    embedder = small_embedder()
    features = windows().astype(np.float16)
    result = embedder(features)
    assert result.dtype == tf.float32
    np.testing.assert_array_equal(result, embedder(features.astype(np.float32)))


def test_standardization_shifts_and_scales_each_channel():
    mean, std = np.array([1.0, -2.0, 3.0]), np.array([0.5, 2.0, 4.0])
    embedder = small_embedder()
    embedder.set_standardization([0, 0, 0], [1, 1, 1])
    expected = embedder(windows())
    embedder.set_standardization(mean, std)
    np.testing.assert_allclose(embedder(windows() * std + mean), expected, atol=1e-5)


def test_a_constant_channel_is_shifted_only():
    embedder = small_embedder()
    embedder.set_standardization([1.0, 2.0, 3.0], [0.0, 2.0, 1e-9])
    np.testing.assert_array_equal(embedder.standardization.std, [1.0, 2.0, 1.0])


@pytest.mark.parametrize(
    "settings, mean, std, error, text",
    [
        ({"standardize": False}, [0, 0, 0], [1, 1, 1], SettingsError, "standardize: is off for this embedder"),
        ({}, [0, 0], [1, 1, 1], ShapeError, r"mean: expected \[3\] channels, got \[2\]"),
        ({}, [0, 0, 0], [1, 1, 1, 1], ShapeError, r"std: expected \[3\] channels, got \[4\]"),
        ({}, [0, np.nan, 0], [1, 1, 1], SettingsError, "must be finite and std not negative"),
        ({}, [0, 0, 0], [1, -1, 1], SettingsError, "must be finite and std not negative"),
    ],
)
def test_standardization_refuses_what_it_cannot_use(settings, mean, std, error, text):
    with pytest.raises(error, match=text):
        small_embedder(**settings).set_standardization(mean, std)


def test_dropout_masks_multiply_what_enters_each_dense_layer():
    embedder = small_embedder(dropout=0.5)
    assert embedder.dropout_mask_shapes(1, 3) == [(3, 6), (3, 7)]
    ones = [np.ones(shape, np.float32) for shape in embedder.dropout_mask_shapes(1, 3)]
    kept = embedder(windows(), training=True, dropout_masks=ones)
    no_input = embedder(windows(), training=True, dropout_masks=[ones[0], 0 * ones[1]])
    hidden = np.maximum(embedder.denses[1].bias.numpy(), 0)
    expected = hidden @ embedder.output.kernel.numpy() + embedder.output.bias.numpy()
    np.testing.assert_allclose(no_input[0], np.tile(expected, (3, 1)), atol=1e-6)
    assert np.abs(kept - no_input).max() > 0.01


def test_without_dropout_there_are_no_masks():
    assert small_embedder().dropout_mask_shapes(1, 3) == []
    assert small_embedder(dropout=0.1, dense=()).dropout_mask_shapes(1, 3) == []


def test_draw_dropout_masks_keeps_the_expectation():
    masks = draw_dropout_masks([(50, 40), (50, 30)], dropout=0.2, rng=np.random.default_rng(0))
    assert [mask.shape for mask in masks] == [(50, 40), (50, 30)]
    assert all(mask.dtype == np.float32 and set(np.unique(mask)) == {0.0, np.float32(1.25)} for mask in masks)
    assert masks[0].mean() == pytest.approx(1, abs=0.05)
    again = draw_dropout_masks([(50, 40), (50, 30)], dropout=0.2, rng=np.random.default_rng(0))
    np.testing.assert_array_equal(masks[1], again[1])


@pytest.mark.parametrize(
    "training, masks, text", [(True, 0, "expected 2 with training=True"), (False, 2, "expected 0")]
)
def test_the_number_of_dropout_masks_is_checked(training, masks, text):
    embedder = small_embedder(dropout=0.5)
    given = [np.ones(shape, np.float32) for shape in embedder.dropout_mask_shapes(1, 3)][:masks]
    with pytest.raises(ShapeError, match=f"dropout_masks: {text}.*draw them with draw_dropout_masks"):
        embedder(windows(), training=training, dropout_masks=given)


@pytest.mark.parametrize(
    "shape, text",
    [
        ((3, 2, 4, 5, 3), r"features: expected \[B, T, context, h, w, C\], got shape \[3, 2, 4, 5, 3\]"),
        ((1, 3, 1, 4, 5, 3), r"features: expected 2 context frames and 3 channels, got shape \[1, 3, 1, 4, 5, 3\]"),
        ((1, 3, 2, 4, 5, 9), r"features: expected 2 context frames and 3 channels, got shape \[1, 3, 2, 4, 5, 9\]"),
    ],
)
def test_features_that_do_not_fit_are_refused(shape, text):
    with pytest.raises(ShapeError, match=text):
        small_embedder()(np.zeros(shape, np.float32))


def test_initial_weights_follow_from_the_seed():
    config = EmbedderConfig(**SMALL)
    kernels = [
        Embedder(config, num_context_frames=2, feature_channels=3, seed=seed).convs[0].kernel.numpy()
        for seed in (5, 5, 6)
    ]
    np.testing.assert_array_equal(kernels[0], kernels[1])
    assert (kernels[0] != kernels[2]).any()


@pytest.mark.parametrize("convolution", ["late", "conv3d"])
def test_training_moves_statistics_and_gradients_reach_every_trained_variable(convolution):
    embedder = small_embedder(convolution=convolution)
    moving = embedder.norms[1].moving_mean.numpy()
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(embedder(windows(6), training=True) ** 2)
    gradients = tape.gradient(loss, embedder.trained_variables())
    assert all(np.isfinite(gradient.numpy()).all() for gradient in gradients)
    assert (embedder.norms[1].moving_mean.numpy() != moving).any()


def test_regularized_variables_are_kernels_and_biases():
    embedder = small_embedder()
    keys = {id(variable): key for key, variable in embedder.named_variables().items()}
    regularized = [keys[id(variable)] for variable in embedder.regularized_variables()]
    assert regularized == [key for key in keys.values() if key.endswith(("/kernel", "/bias"))]
    assert len(regularized) == 10


def test_shapes_stay_static_inside_a_function():
    embedder = small_embedder()
    function = tf.function(lambda features: embedder(features, training=True))
    concrete = function.get_concrete_function(tf.TensorSpec([2, 6, 2, 4, 5, 3], tf.float16))
    assert concrete.structured_outputs.shape == [2, 6, 4]


@pytest.mark.parametrize("convolution", ["late", "conv3d"])
@pytest.mark.parametrize("num_context_frames", [1, 2, 3, 5])
@pytest.mark.parametrize("batch_norm", [True, False])
def test_what_is_done_once_per_frame_and_what_for_windows_are_together_the_whole(
    convolution, num_context_frames, batch_norm
):
    config = EmbedderConfig(
        convolution=convolution, channels=(4, 5), dense=(6,), embedding_size=3, batch_norm=batch_norm
    )
    embedder = Embedder(config, num_context_frames=num_context_frames, feature_channels=3, seed=0)
    features = np.random.default_rng(0).normal(size=(9, 4, 4, 3)).astype(np.float32)
    windows = np.maximum(np.arange(9)[:, np.newaxis] - np.arange(num_context_frames)[::-1], 0)
    expected = embedder.frame_vectors(features[windows])
    parts = embedder.frame_part(tf.constant(features))
    np.testing.assert_allclose(embedder.windows_part(tf.gather(parts, windows)), expected, rtol=1e-5, atol=1e-6)
    if convolution == "conv3d":
        assert parts.shape[1] == min(2 * num_context_frames - 1, 3)  # no slice of the kernel that meets nothing
