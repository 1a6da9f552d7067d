"""A clip as a sequence on the sampled clock: what features, embeddings and metrics all work on. NumPy only."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Iterable, List, Sequence, Tuple, Union

import numpy as np

from tcc.errors import ShapeError, ShardError

UNLABELLED = -1
SEQUENCES_FORMAT = 1


@dataclass(frozen=True)
class ClipSequence:
    """One clip: T time steps, each with a time, a phase and values of any shape.

    Attributes:
      name: the clip's name, relative to its folder, with forward slashes.
      timestamps: float64 [T], seconds from the start of the clip.
      labels: int64 [T], index into the list of phases; UNLABELLED (-1) where there is none.
      values: [T, ...]; features [T, h, w, C] or embeddings [T, D].
    """

    name: str
    timestamps: np.ndarray
    labels: np.ndarray
    values: np.ndarray

    def __post_init__(self) -> None:
        lengths = (len(self.timestamps), len(self.labels), len(self.values))
        if len(set(lengths)) != 1:
            raise ShapeError(f"clip {self.name}: timestamps, labels and values differ in length: {lengths}")

    def __len__(self) -> int:
        return len(self.timestamps)


def center(clip: ClipSequence) -> ClipSequence:
    """The clip's values less their mean over time, x(t) - mean_t x(t), each of the other axes by itself; same type.

    What stays the same through a clip (place, objects, clothes, light) says nothing about its time and differs from clip
    to clip; without it clips become comparable. The mean is float32 and taken over the whole clip.
    """
    mean = clip.values.mean(axis=0, dtype=np.float32)
    return replace(clip, values=(clip.values - mean).astype(clip.values.dtype))


def digest(clips: Iterable[ClipSequence]) -> str:
    """SHA-256 of clips, names, times, labels and values, in their order, in hex."""
    whole = hashlib.sha256()
    for clip in clips:
        whole.update(repr((clip.name, clip.values.shape, clip.values.dtype.str)).encode("utf-8", "surrogateescape"))
        for array in (clip.timestamps, clip.labels, clip.values):
            whole.update(np.ascontiguousarray(array).data)
    return whole.hexdigest()


def save_sequences(
    path: Union[str, Path], sequences: Iterable[ClipSequence], *, phases: Sequence[str], identity: str = ""
) -> None:
    """Write clips to one .npz without pickle: the same clips give the same bytes.

    Arrays: names [N], lengths [N], timestamps, labels, values (all clips one after another), phases [K],
    identity (fingerprint of what made them), format.
    """
    clips = list(sequences)
    temporary = Path(f"{path}.tmp")
    with open(temporary, "wb") as file:
        np.savez(
            file,
            format=np.int64(SEQUENCES_FORMAT),
            identity=np.str_(identity),
            names=np.array([clip.name for clip in clips], dtype=np.str_),
            lengths=np.array([len(clip) for clip in clips], dtype=np.int64),
            phases=np.array(list(phases), dtype=np.str_),
            timestamps=_concatenate([clip.timestamps for clip in clips], np.float64),
            labels=_concatenate([clip.labels for clip in clips], np.int64),
            values=_concatenate([clip.values for clip in clips], None),
        )
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def load_sequences(path: Union[str, Path]) -> Tuple[List[ClipSequence], List[str]]:
    """Read what `save_sequences` wrote: the clips and the names of the phases.

    Raises: ShardError if the file is damaged or something else.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            stored = {key: arrays[key] for key in arrays.files}
        starts = np.concatenate([[0], np.cumsum(stored["lengths"])])
        clips = [
            ClipSequence(str(name), *(stored[key][start:end] for key in ("timestamps", "labels", "values")))
            for name, start, end in zip(stored["names"], starts[:-1], starts[1:])
        ]
        return clips, [str(phase) for phase in stored["phases"]]
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise ShardError(f"{path}: not a file of clip sequences ({error}); delete its folder and run again") from error


def _concatenate(arrays, dtype) -> np.ndarray:
    joined = np.concatenate(arrays) if arrays else np.zeros(0)
    return joined if dtype is None else joined.astype(dtype)
