"""Files that are absent or whole."""

from __future__ import annotations

import contextlib
import csv
import io
import os
from pathlib import Path
from typing import BinaryIO, Iterable, Iterator, Sequence, Union

PART_SUFFIX = ".part"


def write_rows(path: Union[str, Path], rows: Iterable[Sequence[object]]) -> None:
    """Write rows, the first of them the columns' names, as CSV; the file is absent or whole."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    with atomic_file(path) as file:
        file.write(text.getvalue().encode("utf-8", "surrogateescape"))


@contextlib.contextmanager
def atomic_file(path: Union[str, Path], *, sync: bool = True) -> Iterator[BinaryIO]:
    """Open `path` for writing so that it appears under its name only when it is whole and on disk.

    With sync=False it may not be on disk yet, and the caller has to `sync_file` before anything counts on it. Written
    beside it under a name that ends in PART_SUFFIX; an error, also a full disk, leaves nothing under `path`.
    """
    path = Path(path)
    temporary = path.with_name(f"{path.name}.{os.getpid()}{PART_SUFFIX}")
    try:
        with open(temporary, "wb") as file:
            yield file
            if sync:
                file.flush()
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
        raise
    if sync:
        _sync(path.parent)


def sync_file(path: Path) -> None:
    """Return when a file and its name are on disk."""
    _sync(path)
    _sync(path.parent)


def remove_parts(directory: Path) -> None:
    """Delete what a killed run left half written in a directory."""
    for part in directory.glob(f"*{PART_SUFFIX}"):
        part.unlink()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
