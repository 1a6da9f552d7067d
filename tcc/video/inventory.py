"""Which videos a folder holds, what their content is, and which split each belongs to. Standard library only."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Dict, List, Sequence, Tuple, Union

from tcc.errors import VideoError
from tcc.progress import Progress, silent
from tcc.video.files import atomic_file

VIDEO_SUFFIXES = (".avi", ".gif", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ts", ".webm")
CACHE_FORMAT = 1
_READ_BYTES = 1 << 20


def list_videos(folder: Union[str, Path]) -> List[str]:
    """The videos below a folder: sorted names relative to it, with forward slashes.

    Known suffixes in any case; names that start with a dot are passed over; linked folders are followed.

    Raises: VideoError if the folder is missing, cannot be read, or holds no video.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise VideoError(f"{folder}: no such folder of videos; set the path to an existing folder")
    names = sorted(path.relative_to(folder).as_posix() for path in _walk(folder) if _is_video(path))
    if not names:
        raise VideoError(f"{folder}: holds no video; expected files that end in {', '.join(VIDEO_SUFFIXES)}")
    return names


def _walk(folder: Path) -> List[Path]:
    found, visited = [], set()
    for root, folders, files in os.walk(folder, followlinks=True, onerror=_refuse):
        real = os.path.realpath(root)
        folders[:] = [] if real in visited else [name for name in folders if not name.startswith(".")]
        found += [Path(root, name) for name in files if not name.startswith(".") and real not in visited]
        visited.add(real)
    return found


def _refuse(error: OSError) -> None:
    raise VideoError(f"{error.filename}: cannot be read ({error.strerror}); change its permissions") from error


def _is_video(path: Path) -> bool:
    return path.suffix.lower() in VIDEO_SUFFIXES and path.is_file()


def hash_file(path: Union[str, Path]) -> str:
    """SHA-256 of a file's content, 64 hex digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while True:
            block = file.read(_READ_BYTES)
            if not block:
                return digest.hexdigest()
            digest.update(block)


class HashCache:
    """SHA-256 of files already read, kept in a JSON file; a file counts as known by its path, size and mtime_ns.

    A cache that is damaged or of another format is as good as none: it only costs time.
    """

    def __init__(self, path: Union[str, Path]) -> None:
        self.path = Path(path)
        self._known: Dict[str, List] = _read_cache(self.path)
        self._changed = False

    def sha256(self, path: Union[str, Path]) -> str:
        """SHA-256 of a file, read only if it is new or changed.

        Raises: VideoError if the file cannot be read, or changes while it is being read.
        """
        key = os.path.abspath(path)
        try:
            before = _state(key)
            known = self._known.get(key)
            if known is not None and known[:2] == before:
                return str(known[2])
            digest = hash_file(key)
            after = _state(key)
        except OSError as error:
            raise VideoError(
                f"{path}: cannot be read ({error.strerror}); change its permissions or remove it"
            ) from error
        if after != before:
            raise VideoError(f"{path}: changed while it was being read; run again when it is complete")
        self._known[key] = [*before, digest]
        self._changed = True
        return digest

    def save(self) -> None:
        """Write the cache, atomically, if anything is new."""
        if not self._changed:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(self.path) as file:
            file.write(json.dumps({"format": CACHE_FORMAT, "files": self._known}, indent=0, sort_keys=True).encode())
        self._changed = False


def _state(path: str) -> List[int]:
    status = os.stat(path)
    return [status.st_size, status.st_mtime_ns]


def _read_cache(path: Path) -> Dict[str, List]:
    try:
        stored = json.loads(path.read_bytes())
        files = stored["files"] if stored["format"] == CACHE_FORMAT else {}
        return {key: list(value) for key, value in files.items() if len(value) == 3}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def hash_videos(
    folder: Union[str, Path], names: Sequence[str], cache: HashCache, progress: Progress = silent
) -> Dict[str, str]:
    """SHA-256 of every named video; the cache is saved even if this is interrupted."""
    hashes = {}
    try:
        for done, name in enumerate(names):
            progress(done / len(names), f"hashing {done} of {len(names)} videos")
            hashes[name] = cache.sha256(Path(folder, name))
    finally:
        cache.save()
    progress(1.0, f"hashed {len(names)} videos")
    return hashes


def stable_bucket(text: str, buckets: int, salt: str = "") -> int:
    """A number in [0, buckets) that depends on the two texts alone: not on the machine, process or other texts."""
    return _stable_number(text, salt) % buckets


def split_of(name: str, *, seed: int, train_fraction: float, val_fraction: float) -> str:
    """train, val or test by a stable hash of (seed, name): adding clips moves no other clip to another split."""
    share = _stable_number(name, f"split {seed}") / 2**64
    if share < train_fraction:
        return "train"
    return "val" if share < train_fraction + val_fraction else "test"


def _stable_number(text: str, salt: str) -> int:
    digest = hashlib.sha256(f"{salt}\0{text}".encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:8], "big")


def safe_file_name(name: str, *, max_length: int = 80) -> Tuple[str, str]:
    """A clip's name as one harmless file name, and 8 hex digits that tell clips of the same harmless name apart."""
    harmless = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in name)
    digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:8]
    return harmless[:max_length].lstrip(".") or "clip", digest
