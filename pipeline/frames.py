"""FramesTask: decoded frames on a fixed clock, one task per chunk of clips."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any, Dict, List, Mapping

import luigi

from pipeline.base import Job, Made, StageTask
from pipeline.catalog import catalog, set_name, video_folder
from pipeline.clips import ClipsTask, image_fps, read_clips
from pipeline.provenance import write_json
from pipeline.videos import VideosTask
from tcc.config import Settings

FRAMES_INDEX = "frames.json"


class FramesTask(StageTask):
    """Decode the clips of one chunk and keep the frames nearest to each tick of a fixed clock."""

    stage = "frames"
    decodes = True
    version = 4

    chunk = luigi.IntParameter(description="which of the [shards] num_chunks shares of the clips")

    @classmethod
    def upstream(cls, settings: Settings, **params: Any) -> Dict[str, Any]:
        return {"videos": VideosTask(), "clips": ClipsTask()}

    @classmethod
    def own_settings(cls, settings: Settings, **params: Any) -> Dict[str, Any]:
        clips = catalog(settings).chunk(params["chunk"], settings.shards.num_chunks)
        return {**frame_settings(settings), "clips": {clip.name: clip.identity for clip in clips}}

    @classmethod
    def identity(cls, settings: Settings, **params: Any) -> Dict[str, Any]:
        """The chunk's own clips and the frame settings only: another chunk's clips change nothing here."""
        return {"stage": cls.stage, "version": cls.version, "settings": cls.own_settings(settings, **params)}

    @classmethod
    def readable(cls, settings: Settings, **params: Any) -> str:
        frames = settings.frames
        return f"{set_name(settings)}-{frames.fps:g}fps-{frames.image_pixels}px-chunk{params['chunk']:03d}"

    @classmethod
    def amount_of(cls, result: Mapping[str, Any]) -> float:
        return float(len(result["settings"]["clips"]))

    def make(self, job: Job) -> Made:
        from tcc.video.frames import write_frames
        from tcc.video.probe import ClipInfo

        upstream = self.requires()
        mine = set(self.own_settings(job.settings, **self.params)["clips"])
        fields = {field.name for field in dataclasses.fields(ClipInfo)}
        rows = [row for row in read_clips(upstream["clips"].directory) if row["name"] in mine]
        infos = [ClipInfo(**{key: row[key] for key in fields}) for row in rows]
        execution = job.settings.execution
        result = write_frames(
            infos,
            video_folder(job.settings, upstream["videos"].directory),
            job.directory,
            job.settings.frames,
            min_frames=job.settings.clips.min_frames,
            workers=execution.decode_workers,
            timeout_seconds=execution.clip_timeout_seconds,
            progress=job.progress,
        )
        write_json(job.directory / FRAMES_INDEX, result.clips)
        return Made(counts=result.counts, skipped=result.skipped)


def frame_settings(settings: Settings) -> Dict[str, Any]:
    """What a clip's frames depend on besides the clip."""
    return {
        "frames": dataclasses.asdict(settings.frames),
        "min_frames": settings.clips.min_frames,
        "image_fps": image_fps(settings),
    }


def read_frames_index(directory: Path) -> List[Dict[str, Any]]:
    """The clips that FramesTask decoded."""
    with open(directory / FRAMES_INDEX, encoding="utf-8") as file:
        return list(json.load(file))
