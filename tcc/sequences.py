"""A clip as a sequence on the sampled clock: what features, embeddings and metrics all work on. NumPy only."""

from __future__ import annotations

import hashlib
import os
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Dict, Iterable, List, Sequence, Tuple, Union

import numpy as np

from tcc.errors import ShapeError, ShardError
from tcc.stored_values import DAMAGED_NPZ, StoredValues, mean_over_time, open_member, subtract, write_member

UNLABELLED = -1
SEQUENCES_FORMAT = 2
KINDS = ("embeddings", "features")


@dataclass(frozen=True)
class ClipSequence:
    """One clip: T time steps, each with a time, a phase and values of any shape.

    Attributes:
      name: the clip's name, relative to its folder, with forward slashes.
      timestamps: float64 [T], seconds from the start of the clip.
      labels: int64 [T], index into the list of phases; UNLABELLED (-1) where there is none.
      values: [T, ...]; features [T, h, w, C] or embeddings [T, D]: an array, or `StoredValues`.
    """

    name: str
    timestamps: np.ndarray
    labels: np.ndarray
    values: Any

    def __post_init__(self) -> None:
        lengths = (len(self.timestamps), len(self.labels), len(self.values))
        if len(set(lengths)) != 1:
            raise ShapeError(f"clip {self.name}: timestamps, labels and values differ in length: {lengths}")

    def __len__(self) -> int:
        return len(self.timestamps)

    def take(self, steps: Union[np.ndarray, slice]) -> ClipSequence:
        """The chosen steps alone: a mask, a slice or indices."""
        return ClipSequence(self.name, self.timestamps[steps], self.labels[steps], self.values[steps])


def center(clip: ClipSequence) -> ClipSequence:
    """The clip's values less their mean over time, x(t) - mean_t x(t), each of the other axes by itself; same type.

    What stays the same through a clip (place, objects, clothes, light) says nothing about its time and differs from clip
    to clip; without it clips become comparable. The mean is float32 and taken over the whole clip.
    """
    mean = mean_over_time(clip.values)
    stored = isinstance(clip.values, StoredValues)
    return replace(clip, values=clip.values.less(mean) if stored else subtract(clip.values, mean))


def digest(clips: Iterable[ClipSequence]) -> str:
    """SHA-256 of clips, names, times, labels and values, in their order, in hex."""
    whole = hashlib.sha256()
    for clip in clips:
        whole.update(repr((clip.name, clip.values.shape, clip.values.dtype.str)).encode("utf-8", "surrogateescape"))
        for array in (clip.timestamps, clip.labels, clip.values):
            whole.update(np.ascontiguousarray(array).data)
    return whole.hexdigest()


def save_sequences(
    path: Union[str, Path],
    sequences: Iterable[ClipSequence],
    *,
    phases: Sequence[str],
    kind: str = "embeddings",
    fingerprint: str = "",
) -> None:
    """Write clips to one .npz without pickle: the same clips give the same bytes.

    Arrays: names [N], lengths [N], timestamps, labels and `kind` (all clips one after another), phases [K], fingerprint
    (of what made them), format. docs/data.md, "Embeddings and features", describes them.

    Args:
      kind: embeddings or features, the name of the array of values.
    """
    clips = list(sequences)
    write_sequences(
        path,
        (clip.values for clip in clips),
        names=[clip.name for clip in clips],
        timestamps=[clip.timestamps for clip in clips],
        labels=[clip.labels for clip in clips],
        phases=phases,
        kind=kind,
        fingerprint=fingerprint,
    )


def write_sequences(
    path: Union[str, Path],
    parts: Iterable[np.ndarray],
    *,
    names: Sequence[str],
    timestamps: Sequence[np.ndarray],
    labels: Sequence[np.ndarray],
    phases: Sequence[str],
    kind: str,
    fingerprint: str = "",
) -> None:
    """The same file as by `save_sequences`, from values that come in parts and are never held together.

    Args:
      parts: [n, ...], of all clips one after another; a part may end anywhere.
      names, timestamps, labels: of each clip.
    Raises: ShapeError if the parts have another number of frames than the clips, or differ in type or shape of a frame.
    """
    arrays = {
        "format": np.int64(SEQUENCES_FORMAT),
        "fingerprint": np.str_(fingerprint),
        "names": np.array(list(names), dtype=np.str_),
        "lengths": np.array([len(times) for times in timestamps], dtype=np.int64),
        "phases": np.array(list(phases), dtype=np.str_),
        "timestamps": _concatenate(timestamps, np.float64),
        "labels": _concatenate(labels, np.int64),
    }
    temporary = Path(f"{path}.tmp")
    with open(temporary, "wb") as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            for name, array in arrays.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)
            write_member(archive, kind, parts, len(arrays["labels"]))
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def load_sequences(path: Union[str, Path], *, in_memory: bool = True) -> Tuple[List[ClipSequence], List[str]]:
    """Read what `save_sequences` wrote: the clips and the names of the phases.

    Args:
      in_memory: False: values stay on disk, as `StoredValues`, until frames of them are asked for.
    Raises: ShardError if the file is damaged, something else, or of another format.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            kind = _kind(path, arrays.files, arrays["format"] if "format" in arrays.files else None)
            stored: Dict[str, Any] = {name: arrays[name] for name in arrays.files if name != kind}
            values = arrays[kind] if in_memory or not len(stored["names"]) else open_member(path, kind)
        _check_arrays(stored, values)
        ends = np.cumsum(stored["lengths"])
        clips = [
            ClipSequence(
                str(name),
                stored["timestamps"][end - length : end],
                stored["labels"][end - length : end],
                values[end - length : end] if in_memory else values.part(int(end - length), int(end)),
            )
            for name, length, end in zip(stored["names"], stored["lengths"], ends)
        ]
        return clips, [str(phase) for phase in stored["phases"]]
    except DAMAGED_NPZ as error:
        raise ShardError(f"{path}: not a file of clip sequences ({error}); delete its folder and run again") from error


_TYPES = {"names": ("U", 1), "lengths": ("i", 1), "phases": ("U", 1), "timestamps": ("f", 1), "labels": ("i", 1)}


def _check_arrays(stored: Dict[str, Any], values: Any) -> None:
    for name, (kind, axes) in _TYPES.items():
        array = np.asarray(stored[name])  # bytes, where it is no array
        if array.dtype.kind != kind or array.ndim != axes:
            raise ValueError(f"{name} is of type {array.dtype} and has {array.ndim} axes")
    lengths = [int(length) for length in stored["lengths"]]
    if len(lengths) != len(stored["names"]) or min(lengths, default=0) < 0:
        raise ValueError("names and lengths do not belong together")
    if {len(stored["timestamps"]), len(stored["labels"]), len(values)} != {sum(lengths)}:
        raise ValueError("lengths do not add up to the number of timestamps, labels and values")
    if values.dtype.kind not in "fiu":
        raise ValueError(f"values are of type {values.dtype}")


def _kind(path: Union[str, Path], names: Sequence[str], file_format: Any) -> str:
    """Which array has the values."""
    if file_format is None or int(file_format) != SEQUENCES_FORMAT:
        found = "none" if file_format is None else int(file_format)
        raise ShardError(
            f"{path}: is of format {found}, this version reads {SEQUENCES_FORMAT}; delete its folder and run again"
        )
    kinds = [kind for kind in KINDS if kind in names]
    if len(kinds) != 1:
        raise KeyError("one array of embeddings or features is needed")
    return kinds[0]


def _concatenate(arrays: Sequence[np.ndarray], dtype: Any) -> np.ndarray:
    return np.concatenate(arrays).astype(dtype) if arrays else np.zeros(0, dtype)
