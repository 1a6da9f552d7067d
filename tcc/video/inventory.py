"""Which clips a folder holds, videos or folders of images, what their content is, and which split each belongs to.

Standard library only.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import re
from collections import Counter
from pathlib import Path
from typing import Callable, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple, Union

from tcc.config import SPLITS
from tcc.errors import VideoError
from tcc.progress import Progress, silent
from tcc.video.files import atomic_file

VIDEO_SUFFIXES = (
    *(".3gp", ".avi", ".flv", ".gif", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ogv", ".ts"),
    *(".webm", ".wmv"),
)
IMAGE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png")
CACHE_FORMAT = 1
UNREADABLE = "unreadable"  # in place of a hash
_READ_BYTES = 1 << 20
_LEAST_IN_SPLIT = 2  # Kendall's tau compares two clips


def list_videos(folder: Union[str, Path]) -> List[str]:
    """The videos below a folder: sorted names relative to it, with forward slashes.

    Known suffixes in any case; names that start with a dot are passed over; linked folders are followed.

    Raises: VideoError if the folder is missing, cannot be read, or holds no video.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise VideoError(f"{folder}: no such folder of videos; set the path to an existing folder")
    names = sorted(
        Path(root, name).relative_to(folder).as_posix()
        for root, files in _walk(folder)
        for name in files
        if _is_video(Path(root, name))
    )
    if not names:
        raise VideoError(f"{folder}: holds no video; expected files that end in {', '.join(VIDEO_SUFFIXES)}")
    return names


def list_image_folders(folder: Union[str, Path]) -> List[str]:
    """The folders below a folder that hold images themselves, a clip each: sorted relative names, forward slashes.

    Known suffixes in any case; folders and files that start with a dot are passed over; linked folders are followed.

    Raises: VideoError if the folder is missing, cannot be read, holds images itself, or none of its folders does.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise VideoError(f"{folder}: no such folder of image folders; set the path to an existing folder")
    names = []
    for root, files in _walk(folder):
        image = next((name for name in files if _is_image(Path(root, name))), None)
        if image is not None and Path(root) == folder:
            raise VideoError(
                f"{folder}: holds images itself ({image}); put each clip's images into a folder of its own"
            )
        if image is not None:
            names.append(Path(root).relative_to(folder).as_posix())
    if not names:
        raise VideoError(f"{folder}: holds no folder of images; expected files that end in {', '.join(IMAGE_SUFFIXES)}")
    return sorted(names)


def image_names(folder: Union[str, Path]) -> List[str]:
    """The images directly in a folder, by file name, numbers compared as numbers: frame_2.jpg before frame_10.jpg.

    Raises: OSError if the folder cannot be read.
    """
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if _is_image_name(entry.name) and _is_file_or_link(entry)]
    return sorted(names, key=_by_number)


def _is_file_or_link(entry: os.DirEntry) -> bool:
    """Also a link to nothing: left out, it would shift the number of every later frame."""
    return entry.is_file() or entry.is_symlink()


def _by_number(name: str) -> Tuple[List[Union[str, int]], str]:
    # Text and numbers take turns, so that a number is never compared with a text. The suffix says nothing of the order.
    parts = re.split("([0-9]+)", os.path.splitext(name)[0])
    return [int(part) if place % 2 else part for place, part in enumerate(parts)], name


def _walk(folder: Path) -> Iterator[Tuple[str, List[str]]]:
    """Each folder with the names of its files, once."""
    visited = set()
    for root, folders, files in os.walk(folder, followlinks=True, onerror=_refuse):
        real = os.path.realpath(root)
        if real in visited:
            folders.clear()
            continue
        visited.add(real)
        # In order: of two links to one folder it is always the same that is followed.
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield root, [name for name in files if not name.startswith(".")]


def _refuse(error: OSError) -> None:
    raise VideoError(f"{error.filename}: cannot be read ({error.strerror}); change its permissions") from error


def _is_video(path: Path) -> bool:
    """Also a link to nothing: left out without a word, its clip would be missed by nobody."""
    return path.suffix.lower() in VIDEO_SUFFIXES and (path.is_file() or path.is_symlink())


def _is_image(path: Path) -> bool:
    return _is_image_name(path.name) and path.is_file()


def _is_image_name(name: str) -> bool:
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES


def hash_file(path: Union[str, Path]) -> str:
    """SHA-256 of a file's content, 64 hex digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while True:
            block = file.read(_READ_BYTES)
            if not block:
                return digest.hexdigest()
            digest.update(block)


class UnreadableFile(VideoError):
    """A file that cannot be read at all; the clip is named and reported, the others go on."""


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

        Raises: UnreadableFile if the file cannot be read, VideoError if it changes while it is being read.
        """
        return self._look_up(path, _state, hash_file)

    def sha256_of_folder(self, path: Union[str, Path], names: Sequence[str]) -> str:
        """SHA-256 over (file name, SHA-256 of content) of the named images of a folder, in the order given.

        The images are read only if one of them is new or changed; the cache holds one row for all of them.

        Raises: VideoError if an image cannot be read, or changes while it is being read.
        """
        return self._look_up(path, lambda folder: _folder_state(folder, names), lambda folder: _hash_all(folder, names))

    def _look_up(self, path: Union[str, Path], state: Callable[[str], List], digest_of: Callable[[str], str]) -> str:
        key = os.path.abspath(path)
        try:
            before = state(key)
            known = self._known.get(key)
            if known is not None and known[:2] == before:
                return str(known[2])
            digest = digest_of(key)
            after = state(key)
        except OSError as error:
            raise _unreadable(error, path) from error
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


def _unreadable(error: OSError, path: Union[str, Path]) -> VideoError:
    """What was listed and is gone is no fault of one clip: its whole folder may be away."""
    name = error.filename or path
    if isinstance(error, FileNotFoundError) and not os.path.islink(name):
        return VideoError(f"{name}: went away ({error.strerror}); run again when it is there")
    return UnreadableFile(f"{name}: cannot be read ({error.strerror}); change its permissions or remove it")


def source_state(path: Union[str, Path]) -> Optional[Tuple[int, ...]]:
    """What tells that a video, or a folder of images, is still the same; None if it is not there."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns, status.st_ino


def _state(path: str) -> List[int]:
    status = os.stat(path)
    return [status.st_size, status.st_mtime_ns]


def _folder_state(folder: str, names: Sequence[str]) -> List:
    """Number of images, and a digest of all their names, sizes and times."""
    states = [[name, *_state(os.path.join(folder, name))] for name in names]
    return [len(names), hashlib.sha256(json.dumps(states).encode()).hexdigest()]


def _hash_all(folder: str, names: Sequence[str]) -> str:
    digest = hashlib.sha256()
    for name in names:
        line = f"{name}\0{hash_file(os.path.join(folder, name))}\n"
        digest.update(line.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


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
    """SHA-256 of every named video, UNREADABLE for one that cannot be read; saves the cache even if interrupted."""
    return _hash_clips(names, "videos", lambda name: cache.sha256(Path(folder, name)), cache, progress)


def hash_image_folders(
    folder: Union[str, Path], names: Sequence[str], cache: HashCache, progress: Progress = silent
) -> Dict[str, str]:
    """`HashCache.sha256_of_folder` of every named folder of images; the cache is saved even if this is interrupted.

    The images' rate is no part of it.

    Raises: VideoError if a folder or an image cannot be read, or an image changes while it is being read.
    """

    def identity(name: str) -> str:
        path = Path(folder, name)
        try:
            images = image_names(path)
        except OSError as error:
            raise _unreadable(error, path) from error
        return cache.sha256_of_folder(path, images)

    return _hash_clips(names, "image folders", identity, cache, progress)


def _hash_clips(
    names: Sequence[str], what: str, identity: Callable[[str], str], cache: HashCache, progress: Progress
) -> Dict[str, str]:
    hashes = {}
    try:
        for done, name in enumerate(names):
            progress(done / len(names), f"hashing {done} of {len(names)} {what}")
            try:
                hashes[name] = identity(name)
            except UnreadableFile:
                hashes[name] = UNREADABLE
    finally:
        cache.save()
    progress(1.0, f"hashed {len(names)} {what}")
    return hashes


def stable_bucket(text: str, buckets: int, salt: str = "") -> int:
    """A number in [0, buckets) that depends on the two texts alone: not on the machine, process or other texts."""
    return _stable_number(text, salt) % buckets


def split_of(name: str, *, seed: int, train_fraction: float, val_fraction: float) -> str:
    """train, val or test by a stable hash of (seed, name): adding clips moves no other clip to another split."""
    share = _share(name, seed)
    if share < train_fraction:
        return "train"
    return "val" if share < train_fraction + val_fraction else "test"


def split_by_ratio(
    names: Sequence[str],
    *,
    seed: int,
    train_fraction: float,
    val_fraction: float,
    groups: Optional[Mapping[str, str]] = None,
) -> Dict[str, str]:
    """The split of each clip by `split_of`, clips of one group together.

    Chance may leave a split of few clips (nearly) empty: a split whose fraction is not zero gets at least two, or as many
    as there are to share, by moving those whose hash is nearest to its part.

    Args:
      groups: {clip: group}; a clip that is not there is a group of its own.
    """
    fractions = {"train": train_fraction, "val": val_fraction, "test": 1 - train_fraction - val_fraction}
    wanted = [split for split in SPLITS if fractions[split] > 1e-9]
    units = {name: (groups or {}).get(name, name) for name in names}
    splits = {
        unit: split_of(unit, seed=seed, train_fraction=train_fraction, val_fraction=val_fraction)
        for unit in sorted(set(units.values()))
    }
    starts = {"train": 0.0, "val": train_fraction, "test": train_fraction + val_fraction}
    for least in range(1, _LEAST_IN_SPLIT + 1):
        for split in wanted:
            _fill_up(splits, split, least, functools.partial(_distance, starts[split], seed))
    return {name: splits[unit] for name, unit in units.items()}


def hold_out(
    names: Sequence[str],
    *,
    seed: int,
    train_fraction: float,
    val_fraction: float,
    groups: Optional[Mapping[str, str]] = None,
) -> Dict[str, str]:
    """train or val for the training clips of a set that has a test split and none to choose the checkpoint on.

    Of them val_fraction / (train_fraction + val_fraction) are for validation, as by `split_by_ratio`.
    """
    share = val_fraction / max(train_fraction + val_fraction, 1e-9)
    return split_by_ratio(names, seed=seed, train_fraction=1 - share, val_fraction=share, groups=groups)


def _fill_up(splits: Dict[str, str], split: str, least: int, distance: Callable[[str], float]) -> None:
    counts = Counter(splits.values())
    while counts[split] < least:
        donors = [unit for unit in splits if splits[unit] != split and counts[splits[unit]] > least]
        if not donors:
            return
        moved = min(donors, key=distance)
        counts.subtract([splits[moved]])
        splits[moved] = split
        counts.update([split])


def _distance(start: float, seed: int, name: str) -> float:
    return abs(_share(name, seed) - start)


def _share(name: str, seed: int) -> float:
    return _stable_number(name, f"split {seed}") / 2**64


def _stable_number(text: str, salt: str) -> int:
    digest = hashlib.sha256(f"{salt}\0{text}".encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:8], "big")


def safe_file_name(name: str, *, max_length: int = 80) -> Tuple[str, str]:
    """A clip's name as one harmless file name, and 8 hex digits that tell clips of the same harmless name apart."""
    harmless = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in name)
    digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:8]
    return harmless[:max_length].lstrip(".") or "clip", digest
