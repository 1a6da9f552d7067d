"""Arrays in uncompressed .npz files of which only the frames asked for are read. NumPy only."""

from __future__ import annotations

import math
import struct
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import Any, BinaryIO, Callable, Iterable, Optional, Tuple, Union

import numpy as np

from tcc.errors import ShapeError

# What zipfile and NumPy raise on an .npz file that is damaged, or none.
DAMAGED_NPZ = (
    *(OSError, ValueError, TypeError, LookupError, EOFError, ArithmeticError, RuntimeError, MemoryError),
    *(SyntaxError, SystemError, struct.error, zlib.error, tokenize.TokenError, zipfile.BadZipFile),
)
_BLOCK_BYTES = 1 << 20
_FRAMES_PER_READ = 256


class StoredValues:
    """Values of a clip [T, ...] on disk. An index, a slice or an array of indices of any shape reads those frames.

    Nothing is held between two reads: memory does not grow with what was read.

    Args:
      path: the file.
      dtype, shape: of the values.
      offset: of the first frame in the file, in bytes.
      mean: is taken off what is read, see `less`.
    """

    def __init__(
        self,
        path: Union[str, Path],
        dtype: np.dtype,
        shape: Tuple[int, ...],
        offset: int,
        mean: Optional[np.ndarray] = None,
    ):
        self.path, self.dtype, self.shape, self.offset = str(path), dtype, shape, offset
        self._mean = mean

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, frames: Any) -> np.ndarray:
        # The map ends with this call, and what it read with it; one that stayed would count as this process's memory.
        values = np.array(np.memmap(self.path, self.dtype, "r", self.offset, self.shape)[frames])
        return values if self._mean is None else subtract(values, self._mean)

    def __array__(self, dtype: Any = None, copy: Optional[bool] = None) -> np.ndarray:
        return self[:] if dtype is None else self[:].astype(dtype)

    def part(self, start: int, end: int) -> StoredValues:
        """The frames start .. end-1."""
        frame_bytes = self.dtype.itemsize * int(np.prod(self.shape[1:], dtype=np.int64))
        shape = (end - start, *self.shape[1:])
        return StoredValues(self.path, self.dtype, shape, self.offset + start * frame_bytes, self._mean)

    def less(self, mean: np.ndarray) -> StoredValues:
        """The same values with `mean` [...] taken off each frame when it is read."""
        return StoredValues(self.path, self.dtype, self.shape, self.offset, mean)


def subtract(values: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Values less a float32 mean, in their own type."""
    return (values - mean).astype(values.dtype)


def mean_over_time(values: Any) -> np.ndarray:
    """Mean over the first axis, float32, summed frame after frame: values in memory and on disk give the same bits."""
    (total,) = sum_in_pieces(values, lambda frames: (frames.astype(np.float32),))
    return total / np.float32(len(values))


def sum_in_pieces(values: Any, summands: Callable[[np.ndarray], Tuple[np.ndarray, ...]]) -> Tuple[np.ndarray, ...]:
    """Sums over the first axis, row after row as NumPy's of everything at once, of values [T, ...] read in pieces.

    Args:
      summands: from a piece of the values, of some hundred frames, one or more arrays [rows, ...] to be summed.
    """
    totals: Tuple[np.ndarray, ...] = ()
    for start in range(0, len(values), _FRAMES_PER_READ):
        rows = summands(np.asarray(values[start : start + _FRAMES_PER_READ]))
        if totals:
            rows = tuple(np.concatenate([total[np.newaxis], more]) for total, more in zip(totals, rows))
        totals = tuple(np.add.reduce(one, axis=0) for one in rows)
    return totals


def open_member(path: Union[str, Path], name: str) -> StoredValues:
    """An array of an .npz file, read through once to compare its checksum.

    Raises: KeyError if there is none of that name, ValueError if it is compressed or no plain array, and
      zipfile.BadZipFile if its checksum is wrong.
    """
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo(f"{name}.npy")
        if info.compress_type != zipfile.ZIP_STORED:
            raise ValueError(f"{name} is compressed")
        with archive.open(info) as member:
            while member.read(_BLOCK_BYTES):
                pass
    with open(path, "rb") as file:
        # Behind the local header, whose fields of variable length may differ from those of the directory.
        file.seek(info.header_offset + 26)
        start = info.header_offset + 30 + sum(struct.unpack("<HH", file.read(4)))
        file.seek(start)
        dtype, shape = _read_header(file)
        if min(shape) < 0:
            raise ValueError(f"{name} has the shape {shape}")
        if file.tell() - start + dtype.itemsize * math.prod(shape) != info.file_size:
            raise ValueError(f"{name} has another size than its header says")
        return StoredValues(path, dtype, shape, file.tell())


def _read_header(file: BinaryIO) -> Tuple[np.dtype, Tuple[int, ...]]:
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran_order, dtype = read(file)
    if fortran_order or dtype.hasobject or not shape:
        raise ValueError("not a plain array with a first axis")
    return dtype, shape


def write_member(archive: zipfile.ZipFile, name: str, parts: Iterable[np.ndarray], length: int) -> None:
    """Write parts [n, ...] one after another as one array [length, ...]; the same bytes as `np.savez` of the whole.

    Raises: ShapeError if they differ in type or in the shape of a frame, or do not have `length` frames together.
    """
    written, frame = 0, None
    with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
        for part in parts:
            if frame is None:
                frame = (part.dtype, part.shape[1:])
                descr = np.lib.format.dtype_to_descr(part.dtype)
                header = {"descr": descr, "fortran_order": False, "shape": (length, *part.shape[1:])}
                np.lib.format.write_array_header_1_0(member, header)
            if (part.dtype, part.shape[1:]) != frame:
                raise ShapeError(f"{name}: frames of one type and shape are needed, got {part.dtype} {part.shape[1:]}")
            flat: Any = np.ascontiguousarray(part).reshape(-1)
            member.write(flat.view(np.uint8))
            written += len(part)
        if frame is None:
            np.lib.format.write_array(member, np.zeros(0), allow_pickle=False)
    if written != length:
        raise ShapeError(f"{name}: {written} frames were given, the clips have {length}")
