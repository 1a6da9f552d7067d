"""What the clips of a run are, known when the tasks are laid out: names, identities, splits, labels.

A clip's identity is the SHA-256 of its content, or, for the rendered set, the recipe that makes it. Clips are dealt to
chunks by a stable hash of their names, to shards evenly by size too, so that one clip more or less leaves all others in
their chunks and nearly all in their shards. Ready-made TFRecords have no catalog of clips: their shards say themselves
what they hold.
"""

from __future__ import annotations

import dataclasses
import functools
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

from tqdm import tqdm

from pipeline import settings as settings_module
from pipeline.provenance import fingerprint
from tcc.config import SPLITS, Settings
from tcc.errors import SettingsError
from tcc.video.clip_labels import Labels
from tcc.video.dealing import deal
from tcc.video.inventory import (
    HashCache,
    hash_image_folders,
    hash_videos,
    hold_out,
    image_names,
    list_image_folders,
    list_videos,
    source_state,
    split_by_ratio,
    stable_bucket,
)
from tcc.video.labels import check_groups, read_labels, read_splits

RENDERED_NAME = "pouring"
RENDERED_LABELS = "labels.csv"  # inside the target of VideosTask
RENDERED_VIDEOS = "videos"  # inside the target of VideosTask


@dataclass(frozen=True)
class CatalogClip:
    """One clip of a run; `size` is its bytes, or any other measure of the work that it makes."""

    name: str
    identity: str
    split: str
    size: int = 1


@dataclass(frozen=True)
class Catalog:
    """All clips of a run, in the order of their names."""

    name: str
    clips: Tuple[CatalogClip, ...]
    labels: Optional[Labels]  # None: without labels, or (rendered set) not yet written
    warnings: Tuple[str, ...] = ()  # what was left out of the folder
    held_out: int = 0  # training clips of the set that are its validation split, because it has none

    def chunk(self, index: int, num_chunks: int) -> List[CatalogClip]:
        """The clips of one decode task."""
        return [clip for clip in self.clips if chunk_of(clip.name, num_chunks) == index]

    def shard(self, split: str, index: int, num_shards: int) -> List[CatalogClip]:
        """The clips of one shard of a split."""
        mine = tuple(clip for clip in self.clips if clip.split == split)
        shards = _dealt(mine, num_shards, split)
        return [clip for clip in mine if shards[clip.name] == index]

    def label_identity(self, clips: List[CatalogClip]) -> Any:
        """What a shard's labels depend on besides the clips themselves."""
        return self.labels.identity([clip.name for clip in clips]) if self.labels is not None else None


def chunk_of(name: str, num_chunks: int) -> int:
    """The decode task of a clip; it depends on no other clip."""
    return stable_bucket(name, num_chunks, salt="chunk")


@functools.lru_cache(maxsize=16)
def _dealt(clips: Tuple[CatalogClip, ...], buckets: int, salt: str) -> Dict[str, int]:
    return deal({clip.name: clip.size for clip in clips}, buckets, salt=salt)


_catalogs: Dict[Any, Catalog] = {}
settings_module.on_change(_catalogs.clear)


def catalog(settings: Settings) -> Catalog:
    """The clips of these settings; computed once per process.

    Raises: SettingsError, VideoError or LabelError that says what is wrong with the folder, the labels or the splits.
    """
    key = (settings.videos, settings.rendering, settings.clips, settings.execution.data)
    if key not in _catalogs:
        _catalogs[key] = _rendered(settings) if settings.videos.source == "rendered" else _from_folder(settings)
    return _catalogs[key]


def set_name(settings: Settings) -> str:
    """What a person would call the set of clips."""
    videos = settings.videos
    if videos.name or videos.source == "rendered":
        return videos.name or RENDERED_NAME
    if videos.source == "download":
        return settings.download.files[0].split("_")[0]
    return "-".join(filter(None, [source_folder(settings).resolve().name, videos.action]))


def source_folder(settings: Settings) -> Path:
    """The user's folder. Raises: SettingsError if none is given."""
    if not settings.videos.path:
        raise SettingsError(
            f"[videos] path: source = {settings.videos.source} needs a folder; give --videos-path DIR, or set TCC_VIDEOS_PATH"
        )
    return Path(settings.videos.path)


def read_clip_labels(settings: Settings, videos_directory: Path) -> Optional[Labels]:
    """The labels of a run, once its videos are there."""
    if settings.videos.source == "rendered":
        return read_labels(videos_directory / RENDERED_LABELS)
    return catalog(settings).labels


def video_folder(settings: Settings, videos_directory: Path) -> Path:
    """Where the files are that the clips' names are relative to."""
    if settings.videos.source == "rendered":
        return videos_directory / RENDERED_VIDEOS
    return source_folder(settings)


def split_options(settings: Settings) -> Dict[str, Any]:
    """What ratio splits depend on, as keywords of `split_by_ratio` and `hold_out`."""
    options = settings.clips
    return {
        "seed": options.split_seed,
        "train_fraction": options.train_fraction,
        "val_fraction": options.val_fraction,
    }


def hash_cache(settings: Settings) -> HashCache:
    """Hashes of the user's files that were read before."""
    return HashCache(Path(settings.execution.data) / ".work" / "hashes.json")


def with_bar(title: str, work: Callable[..., Any]) -> Any:
    """Call `work(progress=...)` behind a progress bar, for what happens while tasks are laid out."""
    with tqdm(total=100, desc=title, disable=not sys.stderr.isatty(), leave=False) as bar:

        def show(fraction: float, status: str) -> None:
            bar.n = round(100 * fraction)
            bar.set_postfix_str(status)

        return work(progress=show)


def _rendered(settings: Settings) -> Catalog:
    from tcc.rendering import RENDERING_VERSION, clip_names

    recipe = dataclasses.asdict(settings.rendering)
    for count in ("num_train", "num_val", "num_test"):  # a clip does not depend on how many others there are
        del recipe[count]
    clips = [
        CatalogClip(name, fingerprint({"recipe": recipe, "version": RENDERING_VERSION, "clip": name}), split)
        for name, split in clip_names(settings.rendering)
    ]
    return Catalog(set_name(settings), tuple(sorted(clips, key=lambda clip: clip.name)), None)


@dataclass(frozen=True)
class _Listing:
    """What a folder holds: names, sizes and, where the data set itself tells them, splits."""

    names: List[str]
    sizes: Dict[str, int]
    splits: Dict[str, str]
    warnings: Sequence[str] = ()


def _from_folder(settings: Settings) -> Catalog:
    folder = source_folder(settings)
    listing = _LISTINGS[settings.videos.source](settings, folder)
    given, groups, chosen, num_held_out = listing.splits, {}, listing.names, 0
    labels = _labels(settings, listing.names)
    if labels is not None:
        given, groups = labels.splits or given, dict(labels.groups)
    if settings.videos.splits:
        table = read_splits(Path(settings.videos.splits), listing.names)
        given, groups = table.splits, {**groups, **table.groups}
    lists = _lists(settings)
    if lists:
        from tcc.video.clip_lists import splits_from_lists

        given = splits_from_lists(lists, listing.names)
        chosen = [name for name in listing.names if name in given]
    if given is listing.splits and given:  # the set's own, which has no split to choose the checkpoint on
        training = [name for name, split in given.items() if split == "train"]
        given = {**given, **hold_out(training, groups=groups, **split_options(settings))}
        num_held_out = sum(given[name] == "val" for name in training)
    splits = _splits(settings, chosen, given, groups)
    hash_clips = hash_videos if settings.videos.source == "folder" else hash_image_folders
    hashes = with_bar("hashing clips", functools.partial(hash_clips, folder, chosen, hash_cache(settings)))
    clips = tuple(CatalogClip(name, hashes[name], splits[name], listing.sizes[name]) for name in chosen)
    return Catalog(set_name(settings), clips, labels, tuple(listing.warnings), num_held_out)


def _videos(settings: Settings, folder: Path) -> _Listing:
    names = list_videos(folder)
    states = {name: source_state(folder / name) for name in names}
    return _Listing(names, {name: state[0] if state else 1 for name, state in states.items()}, {})


def _image_folders(settings: Settings, folder: Path) -> _Listing:
    names = list_image_folders(folder)
    return _Listing(names, {name: len(image_names(folder / name)) for name in names}, {})


def _penn_action(settings: Settings, folder: Path) -> _Listing:
    from tcc.video.penn_action import read_penn_action

    found = with_bar("reading labels", functools.partial(read_penn_action, folder, settings.videos.action))
    names = sorted(clip.name for clip in found.clips)
    told = {clip.name: clip.split for clip in found.clips if clip.split}
    return _Listing(names, {name: len(image_names(folder / name)) for name in names}, told, found.warnings)


_LISTINGS = {"folder": _videos, "images": _image_folders, "penn_action": _penn_action}


def _labels(settings: Settings, names: List[str]) -> Optional[Labels]:
    videos = settings.videos
    if not videos.labels:
        return None
    labels = read_labels(Path(videos.labels), bad_labels=settings.clips.bad_labels, phases=videos.phases)
    return labels.check_against(names)


def _lists(settings: Settings) -> Dict[str, Path]:
    paths = {split: getattr(settings.videos, f"{split}_list") for split in SPLITS}
    return {split: Path(path) for split, path in paths.items() if path}


def _splits(
    settings: Settings, names: List[str], given: Mapping[str, str], groups: Mapping[str, str]
) -> Dict[str, str]:
    missing = [name for name in names if name not in given]
    if given and missing:
        raise SettingsError(
            f"splits: {len(missing)} of {len(names)} clips have none (first: {missing[0]}); "
            "name each clip in the splits file, or give no splits at all"
        )
    splits = dict(given) or split_by_ratio(names, groups=groups, **split_options(settings))
    check_groups(splits, groups, settings.videos.splits or settings.videos.labels)
    return splits
