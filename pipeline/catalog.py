"""What the clips of a run are, known when the tasks are laid out: names, identities, splits, labels.

A clip's identity is the SHA-256 of its file, or, for the rendered set, the recipe that makes it. Clips are dealt to chunks and
shards by a stable hash of their names, so that one clip more or less leaves all others where they were.
"""

from __future__ import annotations

import dataclasses
import logging
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

from tqdm import tqdm

from pipeline import settings as settings_module
from pipeline.provenance import fingerprint
from tcc.config import Settings
from tcc.errors import SettingsError
from tcc.video.inventory import HashCache, hash_videos, list_videos, split_of, stable_bucket
from tcc.video.labels import Labels, read_labels, read_splits

_log = logging.getLogger("luigi-interface.pipeline")
RENDERED_NAME = "pouring"
RENDERED_LABELS = "labels.csv"  # inside the target of VideosTask
RENDERED_VIDEOS = "videos"  # inside the target of VideosTask


@dataclass(frozen=True)
class CatalogClip:
    """One clip of a run."""

    name: str
    identity: str
    split: str


@dataclass(frozen=True)
class Catalog:
    """All clips of a run, in the order of their names."""

    name: str
    clips: Tuple[CatalogClip, ...]
    labels: Optional[Labels]  # None: without labels, or (rendered set) not yet written

    def chunk(self, index: int, num_chunks: int) -> List[CatalogClip]:
        """The clips of one decode task."""
        return [clip for clip in self.clips if stable_bucket(clip.name, num_chunks, salt="chunk") == index]

    def shard(self, split: str, index: int, num_shards: int) -> List[CatalogClip]:
        """The clips of one shard of a split."""
        mine = [clip for clip in self.clips if clip.split == split]
        return [clip for clip in mine if stable_bucket(clip.name, num_shards, salt=split) == index]

    def label_identity(self, clips: List[CatalogClip]) -> Any:
        """What a shard's labels depend on besides the clips themselves."""
        if self.labels is None:
            return None
        return self.labels.identity(clip.name for clip in clips)


_catalogs: Dict[Any, Catalog] = {}
settings_module.on_change(_catalogs.clear)


def catalog(settings: Settings) -> Catalog:
    """The clips of these settings; computed once per process.

    Raises: SettingsError, VideoError or LabelError that says what is wrong with the folder, the labels or the splits.
    """
    key = (settings.videos, settings.rendering, settings.clips, settings.execution.data)
    if key not in _catalogs:
        _catalogs[key] = _rendered(settings) if settings.videos.source == "rendered" else _folder(settings)
    return _catalogs[key]


def read_clip_labels(settings: Settings, videos_directory: Path) -> Optional[Labels]:
    """The labels of a run, once its videos are there."""
    if settings.videos.source == "rendered":
        return read_labels(videos_directory / RENDERED_LABELS)
    return catalog(settings).labels


def video_folder(settings: Settings, videos_directory: Path) -> Path:
    """Where the files are that the clips' names are relative to."""
    if settings.videos.source == "rendered":
        return videos_directory / RENDERED_VIDEOS
    return Path(settings.videos.path)


def _rendered(settings: Settings) -> Catalog:
    from tcc.rendering import RENDERING_VERSION, clip_names

    recipe = dataclasses.asdict(settings.rendering)
    for count in ("num_train", "num_val", "num_test"):  # a clip does not depend on how many others there are
        del recipe[count]
    clips = [
        CatalogClip(name, fingerprint({"recipe": recipe, "version": RENDERING_VERSION, "clip": name}), split)
        for name, split in clip_names(settings.rendering)
    ]
    return Catalog(settings.videos.name or RENDERED_NAME, tuple(sorted(clips, key=lambda clip: clip.name)), None)


def _folder(settings: Settings) -> Catalog:
    if not settings.videos.path:
        raise SettingsError(
            "[videos] path: source = folder needs the folder of your videos; "
            "give --videos-path DIR, or set TCC_VIDEOS_PATH"
        )
    folder = Path(settings.videos.path)
    names = list_videos(folder)
    labels = _labels(settings).check_against(names) if settings.videos.labels else None
    hashes = _hashes(settings, folder, names)
    splits = _splits(settings, names, labels)
    clips = tuple(CatalogClip(name, hashes[name], splits[name]) for name in names)
    return Catalog(settings.videos.name or folder.resolve().name, clips, labels)


def _labels(settings: Settings) -> Labels:
    return read_labels(
        Path(settings.videos.labels), bad_labels=settings.clips.bad_labels, phases=settings.videos.phases
    )


def _hashes(settings: Settings, folder: Path, names: List[str]) -> Dict[str, str]:
    cache = HashCache(Path(settings.execution.data) / ".work" / "hashes.json")
    with tqdm(total=100, desc="hashing videos", disable=not sys.stderr.isatty(), leave=False) as bar:

        def show(fraction: float, status: str) -> None:
            bar.n = round(100 * fraction)
            bar.set_postfix_str(status)

        return hash_videos(folder, names, cache, progress=show)


def _splits(settings: Settings, names: List[str], labels: Optional[Labels]) -> Dict[str, str]:
    given = dict(labels.splits) if labels is not None else {}
    if settings.videos.splits:
        given = read_splits(Path(settings.videos.splits), names).splits
    missing = [name for name in names if name not in given]
    if given and missing:
        raise SettingsError(
            f"splits: {len(missing)} of {len(names)} videos have none (first: {missing[0]}); "
            "name each video in the splits file, or give no splits at all"
        )
    options = settings.clips
    return given or {
        name: split_of(
            name,
            seed=options.split_seed,
            train_fraction=options.train_fraction,
            val_fraction=options.val_fraction,
        )
        for name in names
    }
