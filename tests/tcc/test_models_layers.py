"""The layers against loops, and what batch normalization remembers."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tcc.models import layers
from tests.reference import models as reference


def random(shape, *, seed=0):
    """Float32 normal numbers."""
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def filled(layer):
    """The layer with weights that are not symmetric in anything."""
    reference.fill(layer)
    return layer


def rng():
    """A generator for initial weights."""
    return np.random.default_rng(0)


@pytest.mark.parametrize("stride, size", [(1, (5, 6)), (2, (5, 6)), (2, (6, 5))])
def test_conv2d_matches_loops(stride, size):
    layer = filled(layers.Conv2D("conv", 3, 4, 3, rng=rng(), stride=stride))
    images = random((2, *size, 3))
    pads = tuple(reference.same_pads(side, 3, stride) for side in size)
    expected = reference.convolution(images, layer.kernel.numpy(), stride=stride, pads=pads) + layer.bias.numpy()
    np.testing.assert_allclose(layer(images), expected, atol=1e-5)


@pytest.mark.parametrize("stride, kernel_size", [(1, 3), (2, 3), (2, 5)])
def test_depthwise_conv2d_matches_loops(stride, kernel_size):
    layer = filled(layers.DepthwiseConv2D("conv", 3, kernel_size, rng=rng(), stride=stride))
    images = random((2, 6, 7, 3))
    pads = tuple(reference.same_pads(side, kernel_size, stride) for side in (6, 7))
    expected = reference.depthwise_convolution(images, layer.kernel.numpy(), stride=stride, pads=pads)
    np.testing.assert_allclose(layer(images), expected, atol=1e-5)


def test_conv3d_matches_loops():
    layer = filled(layers.Conv3D("conv", 3, 4, 3, rng=rng()))
    windows = random((2, 2, 4, 5, 3))
    expected = reference.convolution_3d(windows, layer.kernel.numpy()) + layer.bias.numpy()
    np.testing.assert_allclose(layer(windows), expected, atol=1e-5)


def test_dense_is_a_matrix_product_plus_bias():
    layer = filled(layers.Dense("dense", 3, 2, rng=rng()))
    inputs = random((4, 3))
    np.testing.assert_allclose(layer(inputs), inputs @ layer.kernel.numpy() + layer.bias.numpy(), atol=1e-6)


@pytest.mark.parametrize("shape", [(4, 3, 2, 5), (2, 2, 3, 2, 5)])
@pytest.mark.parametrize("epsilon", [1e-3, 0.5])
def test_batch_norm_outside_training_uses_moving_statistics_and_keeps_them(shape, epsilon):
    layer = filled(layers.BatchNorm("bn", 5, epsilon=epsilon))
    before = {key: variable.numpy() for key, variable in layer.named_variables().items()}
    inputs = 3 + random(shape)
    expected = reference.batch_norm(inputs, *before.values(), epsilon)
    np.testing.assert_allclose(layer(inputs), expected, atol=1e-5)
    for key, variable in layer.named_variables().items():
        np.testing.assert_array_equal(variable.numpy(), before[key])


@pytest.mark.parametrize("shape", [(4, 3, 2, 5), (2, 2, 3, 2, 5)])
def test_batch_norm_in_training_uses_the_batch_and_moves_the_statistics(shape):
    layer = filled(layers.BatchNorm("bn", 5, momentum=0.9))
    gamma, beta, mean, variance = (variable.numpy() for variable in layer.named_variables().values())
    inputs = 3 + random(shape)
    rows = inputs.reshape(-1, 5)
    expected = reference.batch_norm(inputs, gamma, beta, rows.mean(axis=0), rows.var(axis=0), 1e-3)
    np.testing.assert_allclose(layer(inputs, training=True), expected, atol=1e-5)
    np.testing.assert_allclose(layer.moving_mean, 0.9 * mean + 0.1 * rows.mean(axis=0), rtol=1e-5)
    unbiased = rows.var(axis=0, ddof=1)
    np.testing.assert_allclose(layer.moving_variance, 0.9 * variance + 0.1 * unbiased, rtol=1e-5)


@pytest.mark.parametrize(
    "convolution",
    [
        layers.Conv2D("conv", 3, 3, 3, rng=np.random.default_rng(0), stride=2),
        layers.Conv2D("conv", 3, 3, 1, rng=np.random.default_rng(0), bias=False),
        layers.DepthwiseConv2D("conv", 3, 3, rng=np.random.default_rng(0)),
    ],
    ids=["with bias", "without bias", "depthwise"],
)
def test_folded_normalization_equals_convolution_then_normalization(convolution):
    norm = filled(layers.BatchNorm("bn", 3))
    images = random((2, 5, 6, 3))
    folded = layers.convolve_and_normalize(filled(convolution), norm, images)
    np.testing.assert_allclose(folded, norm(convolution(images)), atol=1e-5)
    trained = layers.convolve_and_normalize(convolution, norm, images, training=True)
    assert abs(trained - folded).numpy().max() > 0.1
    half = layers.convolve_and_normalize(convolution, norm, tf.cast(images, tf.float16))
    assert half.dtype == tf.float16
    np.testing.assert_allclose(half, folded, atol=0.05)


def test_glorot_uniform_fills_its_range_and_follows_from_the_generator():
    """A 3x3 kernel from 4 to 12 channels: limit sqrt(6 / (9 x 16)) = 0.2041."""
    kernel = layers.glorot_uniform(np.random.default_rng(3), (3, 3, 4, 12))
    assert kernel.dtype == np.float32
    assert 0.2 < np.abs(kernel).max() <= 0.2042
    assert np.abs(kernel.mean()) < 0.02
    np.testing.assert_array_equal(kernel, layers.glorot_uniform(np.random.default_rng(3), (3, 3, 4, 12)))


def test_variables_are_listed_by_layer_and_weight():
    conv = layers.Conv2D("conv0", 1, 2, 3, rng=rng(), bias=False)
    norm = layers.BatchNorm("bn0", 2)
    assert list(layers.named_variables([conv, norm])) == [
        "conv0/kernel",
        "bn0/gamma",
        "bn0/beta",
        "bn0/moving_mean",
        "bn0/moving_variance",
    ]
    trained = layers.trainable_variables([conv, norm])
    assert [id(variable) for variable in trained] == [id(v) for v in (conv.kernel, norm.gamma, norm.beta)]


def test_gradients_reach_every_trained_variable():
    chain = [layers.Conv3D("conv", 2, 3, 3, rng=rng()), layers.BatchNorm("bn", 3), layers.Dense("fc", 3, 2, rng=rng())]
    with tf.GradientTape() as tape:
        hidden = chain[1](chain[0](random((2, 2, 4, 4, 2))), training=True)
        loss = tf.reduce_sum(chain[2](tf.reduce_max(hidden, axis=[1, 2, 3])) ** 2)
    gradients = tape.gradient(loss, layers.trainable_variables(chain))
    norms = [float(tf.norm(gradient)) for gradient in gradients]
    # The normalization takes away whatever the convolution's bias (the second) adds.
    assert norms[1] == pytest.approx(0, abs=1e-4)
    assert min(norms[:1] + norms[2:]) > 1e-3
