"""VideosTask: the videos, or ready-made TFRecords, that everything starts from."""

from __future__ import annotations

import dataclasses
import functools
import json
from pathlib import Path
from typing import Any, Dict, List

from pipeline.base import Job, Made, StageTask
from pipeline.catalog import catalog, hash_cache, set_name, source_folder, split_options, with_bar
from pipeline.provenance import write_json
from tcc.config import Settings
from tcc.progress import part
from tcc.video.inventory import hash_videos

VIDEOS = "videos.json"


class VideosTask(StageTask):
    """Render the embedded set, list a user's folder (whose files stay where they are), or fetch TFRecords and list them."""

    stage = "sources"
    version = 4

    @classmethod
    def own_settings(cls, settings: Settings, **params: Any) -> Dict[str, Any]:
        videos = settings.videos
        if videos.source == "rendered":
            from tcc.rendering import RENDERING_VERSION

            return {"source": "rendered", "rendering": RENDERING_VERSION, **dataclasses.asdict(settings.rendering)}
        if videos.source == "download":
            return {"source": "download", "files": settings.download.files, "sha256": settings.download.sha256}
        if videos.source == "tfrecords":
            return {"source": "tfrecords", "files": _shard_hashes(settings)}
        found = catalog(settings)
        identities = {clip.name: clip.identity for clip in found.clips}
        return {"source": videos.source, "clips": identities, "warnings": list(found.warnings)}

    @classmethod
    def readable(cls, settings: Settings, **params: Any) -> str:
        return set_name(settings)

    def make(self, job: Job) -> Made:
        source = job.settings.videos.source
        if source == "rendered":
            return self._render(job)
        if source == "download":
            return self._download(job)
        if source == "tfrecords":
            return self._list_records(job, source_folder(job.settings), {})
        return self._list(job)

    def _render(self, job: Job) -> Made:
        from tcc.rendering import render_set

        workers = job.settings.execution.decode_workers
        made = render_set(job.settings.rendering, job.directory, workers=workers, progress=job.progress)
        counts = {"in": len(catalog(job.settings).clips), "out": made["clips"], "skipped": 0, "frames": made["frames"]}
        return Made(counts=counts)

    def _list(self, job: Job) -> Made:
        found = catalog(job.settings)
        write_json(job.directory / VIDEOS, [{"name": clip.name, "identity": clip.identity} for clip in found.clips])
        counts = {"in": len(found.clips), "out": len(found.clips), "skipped": 0}
        return Made(counts=counts, details={"warnings": list(found.warnings)})

    def _download(self, job: Job) -> Made:
        from tcc.download import download_file
        from tcc.video.ready_made import shard_fault

        config = job.settings.download
        checksums = config.sha256 or ("",) * len(config.files)
        num_parts = len(config.files) + 1  # the last one lists what they hold
        warnings = []
        for done, (name, sha256) in enumerate(zip(config.files, checksums)):
            fetched = download_file(
                [f"{url.rstrip('/')}/{name}" for url in config.urls],
                job.directory / name,
                sha256=sha256,
                attempts=config.attempts,
                timeout_seconds=config.timeout_seconds,
                progress=part(job.progress, done / num_parts, (done + 1) / num_parts),
                find_fault=shard_fault,
            )
            if not fetched.checked:
                warnings.append(
                    f"{name}: no checksum was given to compare with, {fetched.sha256} is recorded; set [download] sha256 to"
                    " compare later downloads with it"
                )
        return self._list_records(job, job.directory, {"warnings": warnings})

    def _list_records(self, job: Job, folder: Path, details: Dict[str, Any]) -> Made:
        from tcc.video.ready_made import find_shards, list_clips

        clips = list_clips(folder, find_shards(folder), progress=job.progress)
        write_json(job.directory / VIDEOS, clips)
        return Made(counts={"in": len(clips), "out": len(clips), "skipped": 0}, details=details)


def ready_made_folder(settings: Settings, videos_directory: Path) -> Path:
    """Where ready-made TFRecords lie."""
    return videos_directory if settings.videos.source == "download" else source_folder(settings)


def read_ready_made(settings: Settings, directory: Path) -> List[Dict[str, Any]]:
    """The clips of ready-made TFRecords, as VideosTask listed them, each with the split that it has here."""
    from tcc.video.ready_made import splits_of

    with open(directory / VIDEOS, encoding="utf-8") as file:
        clips = list(json.load(file))
    splits = splits_of(clips, **split_options(settings))
    return [{**clip, "split": splits[clip["clip"]]} for clip in clips]


def _shard_hashes(settings: Settings) -> Dict[str, str]:
    from tcc.video.ready_made import find_shards

    folder = source_folder(settings)
    names = [shard.name for shard in find_shards(folder)]
    return dict(with_bar("hashing TFRecords", functools.partial(hash_videos, folder, names, hash_cache(settings))))
