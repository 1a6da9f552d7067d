"""Files of weights: an .npz without pickle, one float32 array per key "<layer>/<weight>"; Keras' files into the same."""

from __future__ import annotations

import hashlib
import os
import zipfile
from pathlib import Path
from typing import Any, Dict, Mapping, Union

import numpy as np

from tcc.errors import WeightsError
from tcc.stored_values import DAMAGED_NPZ
from tcc.weights.h5 import is_keras_file, load_keras
from tcc.weights.registry import published

PathLike = Union[str, Path]


def sha256_of(path: PathLike) -> str:
    """SHA-256 of a file, in hexadecimal. Raises: WeightsError if it cannot be read."""
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error}); check the path") from error


def check_sha256(path: PathLike, expected: str) -> None:
    """Raise WeightsError unless the file's SHA-256 is `expected`."""
    found = sha256_of(path)
    if found != expected.lower():
        raise WeightsError(
            f"{path}: SHA-256 is {found}, expected {expected}; the file is damaged or another one, fetch it again"
        )


def save(path: PathLike, arrays: Mapping[str, Any]) -> None:
    """Write arrays by key, whole or not at all; the same arrays give the same bytes.

    Stored, not compressed: float weights shrink by a tenth at best, and bytes would depend on the zlib at hand.
    """
    temporary = Path(f"{path}.tmp")
    with open(temporary, "wb") as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            for key in sorted(arrays):
                archive.writestr(zipfile.ZipInfo(f"{key}.npy"), _npy_bytes(np.asarray(arrays[key], "<f4")))
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def load(path: PathLike, *, sha256: str = "") -> Dict[str, np.ndarray]:
    """Read what `save` wrote: arrays by key.

    Args:
      path: the .npz file.
      sha256: expected SHA-256; empty: not checked.
    Raises: WeightsError if the file is missing, damaged, or has another SHA-256.
    """
    if sha256:
        check_sha256(path, sha256)
    if not Path(path).is_file():
        raise WeightsError(f"{path}: no such file of weights; check the path")
    try:
        zipfile.ZipFile(path).close()  # refuses what is no archive; old NumPy stumbles over it
        with np.load(path, allow_pickle=False) as arrays:
            return {key: _array(key, arrays[key]) for key in arrays.files}
    except DAMAGED_NPZ as error:
        raise WeightsError(f"{path}: not a readable .npz of weights ({error}); fetch or make it again") from error


def _array(key: str, stored: Any) -> np.ndarray:
    if not isinstance(stored, np.ndarray) or stored.dtype.kind not in "fiu":
        raise ValueError(f"{key} is no array of numbers")
    return stored


def load_into(module: Any, path: PathLike, *, sha256: str = "") -> None:
    """Assign a file's arrays to the variables of a module; all keys must match, else nothing is assigned.

    Args:
      module: has `named_variables()`, a dictionary of variables by key, as every backbone has; for a file of Keras
        also `name_`, what [backbone] name calls it.
      path: the .npz file, or a file of Keras (.h5).
      sha256: expected SHA-256; empty: not checked.
    Raises: WeightsError if the file cannot be used, or a key is missing, unknown, or of another shape.
    """
    variables = module.named_variables()
    if is_keras_file(path):
        arrays = _load_keras_for(module.name_, path, variables, sha256)
    else:
        arrays = load(path, sha256=sha256)
        _check_keys(path, arrays, variables)
    for key, variable in variables.items():
        variable.assign(arrays[key].astype(np.float32))


def _load_keras_for(name: str, path: PathLike, variables: Mapping[str, Any], sha256: str) -> Dict[str, np.ndarray]:
    if sha256:
        check_sha256(path, sha256)
    known = published(name)
    shapes = {key: tuple(variable.shape) for key, variable in variables.items()}
    return load_keras(path, shapes, network=name, layers_beyond=known.layers_beyond if known else ())


def _check_keys(path: PathLike, arrays: Mapping[str, np.ndarray], variables: Mapping[str, Any]) -> None:
    missing = sorted(set(variables) - set(arrays))
    unknown = sorted(set(arrays) - set(variables))
    if missing or unknown:
        raise WeightsError(
            f"{path}: belongs to another network: {len(missing)} of {len(variables)} keys are missing "
            f"{missing[:3]}, {len(unknown)} are unknown {unknown[:3]}; choose the file made for this backbone"
        )
    for key, variable in variables.items():
        if tuple(arrays[key].shape) != tuple(variable.shape):
            raise WeightsError(
                f"{path}: {key} has shape {list(arrays[key].shape)}, the network needs {list(variable.shape)}; "
                "choose the file made for this backbone"
            )


def _npy_bytes(array: np.ndarray) -> bytes:
    # Written by hand because NumPy's own header differs between its versions, and with it the SHA-256.
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {tuple(map(int, array.shape))!r}, }}"
    padded = header + " " * (-(10 + len(header) + 1) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + len(padded).to_bytes(2, "little") + padded.encode("latin1") + array.tobytes("C")
