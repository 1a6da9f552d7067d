"""Keras' files of weights: read by layer name; whatever is not the right file is refused in one sentence."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from tcc import weights
from tcc.errors import WeightsError
from tcc.weights.h5 import read_keras
from tests.tcc.keras_weights import write_h5

SHAPES = {"conv/kernel": (1, 1, 2, 3), "conv/bias": (3,), "bn/gamma": (3,)}
LAYERS = {
    "input_1": {},
    "conv": {"kernel": np.arange(6, dtype=np.float32).reshape(1, 1, 2, 3), "bias": np.array([7, 8, 9], np.float32)},
    "bn": {"gamma": np.array([1, 2, 3], np.float32)},
    "conv_beyond": {"kernel": np.zeros((1, 1, 3, 4), np.float32)},
}


def layers(**changes):
    """LAYERS with some layers replaced, added, or (None) left out."""
    return {name: arrays for name, arrays in {**LAYERS, **changes}.items() if arrays is not None}


def load(path):
    return read_keras(path, SHAPES, network="toynet", layers_beyond=("conv_beyond",))


def failure_of(path):
    with pytest.raises(WeightsError) as caught:
        load(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and "\n" not in message
    return message


def test_arrays_are_read_by_key_whatever_order_the_file_has(tmp_path):
    turned = dict(reversed(list(LAYERS.items())))
    arrays = load(write_h5(tmp_path / "toy.h5", turned))
    assert list(arrays) == list(SHAPES)
    for key, array in arrays.items():
        layer, weight = key.split("/")
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, LAYERS[layer][weight])


def test_names_without_a_device_number_and_with_a_scope_are_understood(tmp_path):
    """Keras 3's writer of the old format leaves `:0` out; a model inside a model has a longer path."""
    with h5py.File(tmp_path / "toy.h5", "w") as file:
        file.attrs["layer_names"] = list(LAYERS)
        for layer, arrays in LAYERS.items():
            group = file.create_group(layer)
            group.attrs["weight_names"] = [f"outer/{layer}/{weight}" for weight in arrays]
            for weight, array in arrays.items():
                group[f"outer/{layer}/{weight}"] = array
    assert sorted(load(tmp_path / "toy.h5")) == sorted(SHAPES)


def test_double_precision_becomes_single(tmp_path):
    path = write_h5(tmp_path / "toy.h5", layers(bn={"gamma": np.array([1.0, 2.0, 3.0])}))
    assert load(path)["bn/gamma"].dtype == np.float32


def test_layers_beyond_a_cut_may_be_missing(tmp_path):
    assert len(load(write_h5(tmp_path / "toy.h5", layers(conv_beyond=None)))) == len(SHAPES)


@pytest.mark.parametrize(
    "changes, text",
    [
        ({"bn": None}, "belongs to another network: of the 2 layers of toynet it lacks bn; choose"),
        (
            {"bn": None, "conv": None, "dense": {"bias": np.zeros(1)}},
            "of the 2 layers of toynet it lacks conv and 1 more, and has dense; choose the file made for toynet",
        ),
        ({"bn": {}}, "it lacks bn; choose"),
        (
            {"conv5": {"bias": np.zeros(1)}, "conv6": {"bias": np.zeros(1)}},
            "belongs to another network: it has conv5 and 1 more besides; choose the file made for toynet",
        ),
        (
            {"predictions": {"kernel": np.zeros((4, 10))}},
            "has the classifier on top (layer predictions); choose the file of toynet without, whose name ends in notop.h5",
        ),
        ({"conv": {"kernel": np.zeros((1, 1, 2, 3))}}, "layer conv has no bias; choose the file made for toynet"),
        ({"bn": {"gamma": np.zeros(3), "beta": np.zeros(3)}}, "layer bn has beta, which toynet has not; choose"),
        (
            {"bn": {"gamma": np.zeros(4)}},
            "layer bn: gamma has shape [4], toynet needs [3]; choose the file made for toynet",
        ),
        (
            {"bn": {"gamma": np.array([1, np.nan, 3])}},
            "layer bn: gamma is not finite everywhere; fetch or make it again",
        ),
    ],
)
def test_another_networks_file_is_refused_and_the_layer_named(tmp_path, changes, text):
    assert text in failure_of(write_h5(tmp_path / "toy.h5", layers(**changes)))


def test_a_missing_file_is_named(tmp_path):
    assert "no such file of weights; check the path" in failure_of(tmp_path / "toy.h5")


@pytest.mark.parametrize(
    "content, text",
    [
        (
            b"<!DOCTYPE html><title>Sign in</title>",
            "it begins with b'<!DOCTYPE html><title>Sign in</title>' (a web page",
        ),
        (b"PK\x03\x04", "no HDF5 file: it begins with b'PK\\x03\\x04'; fetch it again"),
        (b"", "no HDF5 file (it is empty); fetch it again"),
    ],
)
def test_what_is_no_hdf5_is_refused(tmp_path, content, text):
    path = tmp_path / "toy.h5"
    path.write_bytes(content)
    assert text in failure_of(path)


@pytest.mark.parametrize("kept", [0.3, 0.6, 0.99])
def test_a_truncated_file_is_refused(tmp_path, kept):
    path = write_h5(tmp_path / "toy.h5", LAYERS)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    message = failure_of(path)
    assert "damaged (" in message and message.endswith("; fetch it again")


def test_changed_bytes_are_refused_or_change_a_weight_but_never_crash(tmp_path):
    path = write_h5(tmp_path / "toy.h5", LAYERS)
    content = path.read_bytes()
    refused = 0
    for position in range(0, len(content), 37):
        path.write_bytes(content[:position] + bytes([content[position] ^ 0xFF]) + content[position + 1 :])
        try:
            load(path)
        except WeightsError:
            refused += 1
    assert refused > 10


def test_a_file_of_keras_3_says_what_it_is(tmp_path):
    with h5py.File(tmp_path / "toy.weights.h5", "w") as file:
        file.create_group("layers/conv/vars")["0"] = np.zeros(3)
    text = failure_of(tmp_path / "toy.weights.h5")
    assert "no file of Keras' save_weights as it was before version 3 (it has no layer_names, but layers)" in text


class Variable:
    """What `load_into` needs of a tf.Variable."""

    def __init__(self, shape):
        self.shape, self.value = shape, None

    def assign(self, value):
        self.value = value


class Network:
    """A network that has no layers beyond."""

    name_ = "toynet"

    def __init__(self):
        self.variables = {key: Variable(shape) for key, shape in SHAPES.items()}

    def named_variables(self):
        return self.variables


@pytest.mark.parametrize("suffix", [".h5", ".hdf5", ".H5"])
def test_load_into_tells_the_format_from_the_name(tmp_path, suffix):
    network = Network()
    weights.load_into(network, write_h5(tmp_path / f"toy{suffix}", layers(conv_beyond=None)))
    np.testing.assert_array_equal(network.variables["bn/gamma"].value, [1, 2, 3])


def test_nothing_is_assigned_from_a_refused_file(tmp_path):
    network = Network()
    with pytest.raises(WeightsError, match="it has conv_beyond besides"):
        weights.load_into(network, write_h5(tmp_path / "toy.h5", LAYERS))
    assert all(variable.value is None for variable in network.variables.values())


def test_the_expected_sha256_is_that_of_the_file(tmp_path):
    path = write_h5(tmp_path / "toy.h5", layers(conv_beyond=None))
    weights.load_into(Network(), path, sha256=weights.sha256_of(path))
    with pytest.raises(WeightsError, match=r"SHA-256 is [0-9a-f]{64}, expected 00"):
        weights.load_into(Network(), path, sha256="00")


def test_the_published_file_is_found_under_both_spellings(tmp_path):
    known = weights.published("resnet50v2")
    assert weights.find_published("resnet50v2", [tmp_path]) is None
    for file_name in known.file_names:
        path = tmp_path / file_name
        path.touch()
        assert weights.find_published("resnet50v2", [tmp_path / "nowhere", tmp_path]) == path
        assert weights.find_published("convnet", [tmp_path]) is None
        path.unlink()


def test_a_folder_with_both_spellings_is_refused(tmp_path):
    for file_name in weights.published("resnet50v2").file_names:
        (tmp_path / file_name).touch()
    with pytest.raises(WeightsError, match=r"holds the weights of resnet50v2 twice, .*; remove one of them"):
        weights.find_published("resnet50v2", [tmp_path])
