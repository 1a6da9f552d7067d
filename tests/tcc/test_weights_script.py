"""scripts/make_efficientnet_lite0_weights.py: a PyTorch file is read without executing its pickle."""

from __future__ import annotations

import importlib.util
import io
import pickle
import struct
import sys
import types
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "make_efficientnet_lite0_weights.py"


@pytest.fixture(scope="module")
def script():
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("make_efficientnet_lite0_weights", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.fixture
def torch(monkeypatch):
    """Names that a pickle may refer to, in place of PyTorch."""
    modules = {name: types.ModuleType(name) for name in ("torch", "torch._utils")}
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)

    def _rebuild_tensor_v2(*arguments):
        raise AssertionError("the pickle was executed")

    for name in ("FloatStorage", "LongStorage"):
        setattr(modules["torch"], name, type(name, (), {"__module__": "torch"}))
    _rebuild_tensor_v2.__module__ = "torch._utils"
    _rebuild_tensor_v2.__qualname__ = "_rebuild_tensor_v2"
    modules["torch._utils"]._rebuild_tensor_v2 = _rebuild_tensor_v2
    return modules


class Stored:
    """Pickled as a reference to a storage."""

    def __init__(self, kind, key, array):
        self.reference = ("storage", kind, key, "cpu", array.size, None)
        self.array = array


class StoredTensor:
    """Pickled as a call that rebuilds a tensor from a storage."""

    def __init__(self, torch, stored, offset, shape, strides):
        self.call = (torch["torch._utils"]._rebuild_tensor_v2, (stored, offset, shape, strides, False, OrderedDict()))

    def __reduce__(self):
        return self.call


class StoragePickler(pickle.Pickler):
    """Writes storages as PyTorch does."""

    def persistent_id(self, obj):
        return obj.reference if isinstance(obj, Stored) else None


def write_pth(path, tensors, storages):
    """A .pth of the format before PyTorch 1.6."""
    buffer = io.BytesIO()
    for part in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}):
        pickle.dump(part, buffer, protocol=2)
    StoragePickler(buffer, protocol=2).dump(tensors)
    pickle.dump([stored.reference[2] for stored in storages], buffer, protocol=2)
    for stored in storages:
        buffer.write(struct.pack("<q", stored.array.size) + stored.array.tobytes())
    path.write_bytes(buffer.getvalue())
    return path


def test_tensors_are_read_with_offset_and_strides(script, torch, tmp_path):
    first = Stored(torch["torch"].FloatStorage, "11", np.arange(12, dtype="<f4"))
    second = Stored(torch["torch"].LongStorage, "22", np.array([7], dtype="<i8"))
    tensors = OrderedDict()
    tensors["a.weight"] = StoredTensor(torch, first, 2, (2, 3), (1, 2))
    tensors["a.steps"] = StoredTensor(torch, second, 0, (), ())
    arrays = script.read_tensors(write_pth(tmp_path / "x.pth", tensors, [first, second]))
    np.testing.assert_array_equal(arrays["a.weight"], [[2, 4, 6], [3, 5, 7]])
    assert arrays["a.steps"] == 7


@pytest.mark.parametrize(
    "content, text",
    [
        (b"\x80\x02cbuiltins\nexec\n(X\x06\x00\x00\x001 / 0\x0atR.", r"call of Name\(text='builtins exec'\)"),
        (pickle.dumps({1, 2}, protocol=4), "opcode .* has no place in a file of tensors"),
        (pickle.dumps(1.5, protocol=2), "opcode BINFLOAT has no place in a file of tensors"),
    ],
    ids=["function", "set", "float"],
)
def test_a_pickle_of_anything_else_is_refused(script, content, text):
    with pytest.raises(script.PickleRefused, match=text):
        script.walk_pickle(io.BytesIO(content))


def test_a_storage_of_another_kind_is_refused(script, torch):
    torch["torch"].ByteStorage = type("ByteStorage", (), {"__module__": "torch"})
    buffer = io.BytesIO()
    StoragePickler(buffer, protocol=2).dump([Stored(torch["torch"].ByteStorage, "1", np.zeros(1, "u1"))])
    with pytest.raises(script.PickleRefused, match="unknown storage Name"):
        script.walk_pickle(io.BytesIO(buffer.getvalue()))


def test_another_file_is_refused(script, tmp_path):
    path = tmp_path / "other.pth"
    path.write_bytes(pickle.dumps({"a": 1}, protocol=2))
    with pytest.raises(script.PickleRefused, match=r"not a \.pth of the format before PyTorch 1\.6"):
        script.read_tensors(path)
    with pytest.raises(SystemExit, match=r"SHA-256 is .*, expected 5793"):
        script.convert(path)


@pytest.mark.parametrize(
    "name, key",
    [
        ("_conv_stem.weight", "stem_conv/kernel"),
        ("_bn0.running_var", "stem_bn/moving_variance"),
        ("_blocks.3._expand_conv.weight", "block3_expand_conv/kernel"),
        ("_blocks.3._bn0.weight", "block3_expand_bn/gamma"),
        ("_blocks.0._bn1.bias", "block0_depthwise_bn/beta"),
        ("_blocks.10._bn2.running_mean", "block10_project_bn/moving_mean"),
        ("_conv_head.weight", "head_conv/kernel"),
        ("_bn1.weight", "head_bn/gamma"),
        ("_fc.bias", "classes/bias"),
    ],
)
def test_names_become_keys(script, name, key):
    assert script.our_key(name) == key


@pytest.mark.parametrize(
    "key, before, after",
    [
        ("stem_conv/kernel", (8, 3, 5, 7), (5, 7, 3, 8)),
        ("block1_depthwise_conv/kernel", (8, 1, 5, 7), (5, 7, 8, 1)),
        ("classes/kernel", (10, 4), (4, 10)),
        ("stem_bn/gamma", (8,), (8,)),
    ],
)
def test_axes_are_put_in_tensorflows_order(script, key, before, after):
    assert script.our_array(key, np.zeros(before)).shape == after
