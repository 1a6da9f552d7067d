"""Files of weights as Keras writes them (HDF5): read layer by layer, by name, without Keras."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any, Collection, Dict, Iterator, List, Mapping, Tuple, Union

import numpy as np

from tcc.errors import WeightsError
from tcc.isolation import CRASHED, HUNG, run_isolated

PathLike = Union[str, Path]
_SUFFIXES = (".h5", ".hdf5")
_CLASSIFIER_LAYERS = {"predictions", "probs"}
_FIRST_BYTES_SHOWN = 40
_SECONDS_TO_READ = 120.0
_FAULTS = {CRASHED: "crashes on it", HUNG: "does not come to an end with it"}


def is_keras_file(path: PathLike) -> bool:
    """Whether a file is one of Keras' by the end of its name."""
    return Path(path).suffix.lower() in _SUFFIXES


def load_keras(
    path: PathLike, shapes: Mapping[str, Tuple[int, ...]], *, network: str, layers_beyond: Collection[str] = ()
) -> Dict[str, np.ndarray]:
    """What `read_keras` gives, read in a process of its own: HDF5 can crash, or go round for ever, on a damaged file.

    Raises: WeightsError as `read_keras`, and if that happens; VideoError if the process cannot start.
    """
    arguments = (str(path), dict(shapes), network, tuple(layers_beyond))
    (outcome,) = run_isolated(_read_keras, [arguments], workers=1, timeout_seconds=_SECONDS_TO_READ)
    if outcome.exception is not None:
        raise outcome.exception
    if outcome.reason:
        raise WeightsError(f"{path}: damaged (HDF5 {_FAULTS[outcome.reason]}: {outcome.detail}); fetch it again")
    return dict(outcome.value)


def _read_keras(arguments: Tuple[str, Dict[str, Tuple[int, ...]], str, Tuple[str, ...]]) -> Dict[str, np.ndarray]:
    path, shapes, network, layers_beyond = arguments
    return read_keras(path, shapes, network=network, layers_beyond=layers_beyond)


def read_keras(
    path: PathLike, shapes: Mapping[str, Tuple[int, ...]], *, network: str, layers_beyond: Collection[str] = ()
) -> Dict[str, np.ndarray]:
    """Read the arrays of one network from what Keras' `save_weights` wrote before its version 3.

    Every key must be there with its shape, and every layer of the file must be one of the network's, or beyond it: the
    layers of a larger network of the same family often fit too, and only its other layers tell them apart.

    Args:
      path: the .h5 file.
      shapes: what the network needs: shape by key "<layer>/<weight>".
      network: what messages call it.
      layers_beyond: layers with weights that the file may have besides, as those behind a cut.
    Returns: float32 arrays by key, in the order of `shapes`.
    Raises: WeightsError that names the layer, if the file is missing, damaged, or another network's.
    """
    with _opened(path) as file:
        layers = _layers(path, file)
        _check_layers(path, layers, shapes, network, layers_beyond)
        return {key: _array(path, layers, key, shape, network) for key, shape in shapes.items()}


@contextlib.contextmanager
def _opened(path: PathLike) -> Iterator[Any]:
    import h5py

    if not Path(path).is_file():
        raise WeightsError(f"{path}: no such file of weights; check the path")
    try:
        if not h5py.is_hdf5(str(path)):
            raise WeightsError(f"{path}: no HDF5 file{_how_it_begins(path)}; fetch it again")
        with h5py.File(str(path), "r") as file:
            yield file
    except WeightsError:
        raise
    # Whatever h5py makes of bytes that are cut off or changed.
    except (OSError, KeyError, RuntimeError, ValueError, TypeError, AttributeError) as error:
        raise WeightsError(f"{path}: damaged ({error}); fetch it again") from error


def _how_it_begins(path: PathLike) -> str:
    with open(path, "rb") as file:
        start = file.read(_FIRST_BYTES_SHOWN)
    if not start:
        return " (it is empty)"
    looks = " (a web page came in its place)" if start.lstrip().startswith(b"<") else ""
    return f": it begins with {start!r}{looks}"


def _layers(path: PathLike, file: Any) -> Dict[str, Dict[str, Any]]:
    """Layers with weights -> weight -> where it is stored, of the shape that Keras gave it."""
    if "layer_names" not in file.attrs:
        raise WeightsError(
            f"{path}: no file of Keras' save_weights as it was before version 3 (it has no layer_names, but "
            f"{', '.join(sorted(file)[:3]) or 'nothing'}); save the weights in that format, or give the .npz"
        )
    layers = {}
    for layer in _texts(file.attrs["layer_names"]):
        names = _texts(file[layer].attrs["weight_names"])
        if names:
            layers[layer] = {name.rsplit("/", 1)[-1].split(":")[0]: file[layer][name] for name in names}
    return layers


def _texts(values: Any) -> List[str]:
    return [value.decode("utf-8") if isinstance(value, bytes) else str(value) for value in values]


def _check_layers(
    path: PathLike,
    layers: Mapping[str, Mapping[str, Any]],
    shapes: Mapping[str, Tuple[int, ...]],
    network: str,
    layers_beyond: Collection[str],
) -> None:
    needed = list(dict.fromkeys(key.split("/")[0] for key in shapes))
    missing = [layer for layer in needed if layer not in layers]
    unknown = [layer for layer in layers if layer not in needed and layer not in layers_beyond]
    if missing:
        raise WeightsError(
            f"{path}: belongs to another network: of the {len(needed)} layers of {network} it lacks {_first(missing)}"
            f"{f', and has {_first(unknown)}' if unknown else ''}; choose the file made for {network}"
        )
    if unknown and set(unknown) <= _CLASSIFIER_LAYERS:
        raise WeightsError(
            f"{path}: has the classifier on top (layer {unknown[0]}); choose the file of {network} without, whose name "
            "ends in notop.h5"
        )
    if unknown:
        raise WeightsError(
            f"{path}: belongs to another network: it has {_first(unknown)} besides; choose the file made for {network}"
        )
    for layer in needed:
        extra = sorted(weight for weight in layers[layer] if f"{layer}/{weight}" not in shapes)
        if extra:
            raise WeightsError(
                f"{path}: layer {layer} has {_first(extra)}, which {network} has not; choose the file made for {network}"
            )


def _first(names: List[str]) -> str:
    return names[0] + (f" and {len(names) - 1} more" if len(names) > 1 else "")


def _array(
    path: PathLike, layers: Mapping[str, Mapping[str, Any]], key: str, shape: Tuple[int, ...], network: str
) -> np.ndarray:
    layer, weight = key.split("/")
    if weight not in layers[layer]:
        raise WeightsError(f"{path}: layer {layer} has no {weight}; choose the file made for {network}")
    stored = layers[layer][weight]
    if stored.file.filename != str(path) or stored.external or stored.is_virtual:
        raise WeightsError(
            f"{path}: layer {layer}: {weight} lies in another file, which is not read; choose a file of its own"
        )
    if tuple(stored.shape) != tuple(shape):
        raise WeightsError(
            f"{path}: layer {layer}: {weight} has shape {list(stored.shape)}, {network} needs {list(shape)}; choose the "
            f"file made for {network}"
        )
    array = np.asarray(stored[()], np.float32)
    if not np.isfinite(array).all():
        raise WeightsError(f"{path}: layer {layer}: {weight} is not finite everywhere; fetch or make it again")
    return array
