"""ResNet50V2 with weights from a file that Keras wrote, against tf.keras.applications up to conv4_block3_out.

The file has the official layer names and random weights. Keras is here as the oracle, and nowhere else.
"""

from __future__ import annotations

import hashlib

import h5py
import numpy as np
import pytest
import tensorflow as tf

from tcc import weights
from tcc.config import BackboneConfig
from tcc.errors import WeightsError
from tcc.models import build_backbone
from tests.reference.models import filled_weight
from tests.tcc.keras_weights import resnet_layers, write_h5

KERAS_3 = not hasattr(tf.keras, "__version__") or tf.keras.__version__.startswith("3")
BATCH_NORM = ("gamma", "beta", "moving_mean", "moving_variance")


def keras_model(**options):
    """The whole network of Keras with weights that follow from their keys."""
    tf.keras.backend.clear_session()
    model = tf.keras.applications.ResNet50V2(weights=None, **options)
    for layer in model.layers:
        names = BATCH_NORM if isinstance(layer, tf.keras.layers.BatchNormalization) else ("kernel", "bias")
        layer.set_weights(
            [filled_weight(f"{layer.name}/{name}", array.shape) for name, array in zip(names, layer.get_weights())]
        )
    return model


def keras_file(model, path):
    """The file that Keras writes; its version 3 has the writer of the old format still, under another name."""
    if not KERAS_3:
        model.save_weights(str(path))
        return path
    from keras.src.legacy.saving.legacy_h5_format import save_weights_to_hdf5_group

    with h5py.File(path, "w") as file:
        save_weights_to_hdf5_group(file, model)
    return path


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Keras' model and its file, notop."""
    model = keras_model(include_top=False, input_shape=(None, None, 3))
    return model, keras_file(model, tmp_path_factory.mktemp("keras") / weights.published("resnet50v2").file_names[0])


@pytest.fixture
def backbone(written):
    """Ours, with the weights of the file."""
    backbone = build_backbone(BackboneConfig(name="resnet50v2", seed=3))
    weights.load_into(backbone, written[1])
    return backbone


def keras_features(model, frames, *, training=False):
    """Keras' output of conv4_block3 for frames in 0..255, scaled by Keras."""
    cut = tf.keras.Model(model.input, model.get_layer("conv4_block3_out").output)
    scaled = tf.keras.applications.resnet_v2.preprocess_input(frames.astype(np.float32))
    return np.asarray(cut(scaled, training=training))


def relative_error(found, expected):
    """Largest difference over the largest value."""
    return np.abs(found - expected).max() / np.abs(expected).max()


def frames_of(seed, side):
    return np.random.default_rng(seed).integers(0, 256, (2, side, side, 3), dtype=np.uint8)


@pytest.mark.parametrize("side, cells", [(64, 4), (75, 5), (224, 14)])
def test_features_equal_those_of_keras(written, backbone, side, cells):
    frames = frames_of(side, side)
    expected = keras_features(written[0], frames)
    assert expected.shape == (2, cells, cells, 1024) and expected.std() > 0.1
    assert relative_error(np.asarray(backbone(frames)), expected) < 1e-4


def test_training_mode_normalizes_and_moves_statistics_as_keras_of_the_reference(written, backbone):
    """Keras 3 moves the variance by the biased one of the batch, Keras 2.6 and we by the unbiased one."""
    model, path = written
    frames = frames_of(1, 64)
    expected = keras_features(model, frames, training=True)
    try:
        assert relative_error(np.asarray(backbone(frames, training=True)), expected) < 1e-3
        for key, variable in backbone.named_variables().items():
            layer, weight = key.split("/")
            if weight.startswith("moving_"):
                moved = model.get_layer(layer).get_weights()[BATCH_NORM.index(weight)]
                tolerance = 1e-2 if KERAS_3 and weight == "moving_variance" else 1e-4
                np.testing.assert_allclose(variable.numpy(), moved, rtol=tolerance, atol=tolerance, err_msg=key)
    finally:
        model.load_weights(str(path), **({"by_name": True} if KERAS_3 else {}))


def test_every_layer_up_to_the_cut_is_taken_from_the_file(written, backbone):
    for key, variable in backbone.named_variables().items():
        np.testing.assert_array_equal(variable.numpy(), filled_weight(key, tuple(variable.shape)), err_msg=key)
    layers = {layer.name for layer in written[0].layers if layer.get_weights()}
    ours = {key.split("/")[0] for key in backbone.named_variables()}
    assert layers == ours | set(weights.published("resnet50v2").layers_beyond)


def test_the_file_with_the_classifier_on_top_is_refused(backbone, tmp_path):
    path = keras_file(keras_model(include_top=True, classes=10), tmp_path / "whole.h5")
    with pytest.raises(WeightsError, match=r"has the classifier on top \(layer predictions\); choose the file"):
        weights.load_into(backbone, path)


@pytest.mark.parametrize(
    "name, text",
    [
        ("ResNet101V2", r"belongs to another network: it has conv4_block7_preact_bn and \d+ more besides"),
        ("MobileNetV2", r"of the 64 layers of resnet50v2 it lacks conv1_conv and 63 more, and has Conv1 and"),
    ],
)
def test_the_file_of_another_network_is_refused(backbone, tmp_path, name, text):
    """All that ours needs is in ResNet101V2's file, in the same shapes: only its other layers tell."""
    model = getattr(tf.keras.applications, name)(weights=None, include_top=False, input_shape=(64, 64, 3))
    with pytest.raises(WeightsError, match=text):
        weights.load_into(backbone, keras_file(model, tmp_path / "other.h5"))


def test_a_file_becomes_the_same_bytes_under_every_tensorflow(tmp_path):
    """The sum is a constant."""
    backbone = build_backbone(BackboneConfig(name="resnet50v2", seed=3))
    weights.load_into(backbone, write_h5(tmp_path / "resnet.h5", resnet_layers()))
    weights.save(tmp_path / "weights.npz", {key: var.numpy() for key, var in backbone.named_variables().items()})
    sha256 = hashlib.sha256((tmp_path / "weights.npz").read_bytes()).hexdigest()
    assert sha256 == "2e93528f6b26f46c1433e2849a26e6c1c90e9ec2a03f78fe85dc33f702d7cd74"
