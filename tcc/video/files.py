"""Files that are absent or whole."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import BinaryIO, Iterator, Union

PART_SUFFIX = ".part"


@contextlib.contextmanager
def atomic_file(path: Union[str, Path]) -> Iterator[BinaryIO]:
    """Open `path` for writing so that it appears under its name only when it is whole and on disk.

    Written beside it under a name that ends in PART_SUFFIX; an error, also a full disk, leaves nothing under `path`.
    """
    path = Path(path)
    temporary = path.with_name(f"{path.name}.{os.getpid()}{PART_SUFFIX}")
    try:
        with open(temporary, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
        raise
    _sync_directory(path.parent)


def remove_parts(directory: Path) -> None:
    """Delete what a killed run left half written in a directory."""
    for part in directory.glob(f"*{PART_SUFFIX}"):
        part.unlink()


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
