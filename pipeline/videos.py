"""VideosTask: the videos that everything starts from."""

from __future__ import annotations

import dataclasses
from typing import Any, Dict

from pipeline.base import Job, Made, StageTask
from pipeline.catalog import catalog
from pipeline.provenance import write_json
from tcc.config import Settings


class VideosTask(StageTask):
    """Render the embedded set, or list a user's folder (whose files stay where they are)."""

    stage = "sources"
    version = 2

    @classmethod
    def own_settings(cls, settings: Settings, **params: Any) -> Dict[str, Any]:
        if settings.videos.source == "rendered":
            from tcc.rendering import RENDERING_VERSION

            return {"source": "rendered", "rendering": RENDERING_VERSION, **dataclasses.asdict(settings.rendering)}
        return {"source": "folder", "clips": {clip.name: clip.identity for clip in catalog(settings).clips}}

    @classmethod
    def readable(cls, settings: Settings, **params: Any) -> str:
        return catalog(settings).name

    def make(self, job: Job) -> Made:
        if job.settings.videos.source == "folder":
            return self._list(job)
        from tcc.rendering import render_set

        workers = job.settings.execution.decode_workers
        counts = render_set(job.settings.rendering, job.directory, workers=workers, progress=job.progress)
        return Made(counts={"in": len(catalog(job.settings).clips), **counts})

    def _list(self, job: Job) -> Made:
        clips = [dataclasses.asdict(clip) for clip in catalog(job.settings).clips]
        write_json(job.directory / "videos.json", clips)
        return Made(counts={"in": len(clips), "out": len(clips), "skipped": 0})
