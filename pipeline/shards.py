"""ShardsTask: TFRecord shards, the meeting point. Nothing after it reads videos, clips or frames."""

from __future__ import annotations

import json
from typing import Any, Dict, List

import luigi

from pipeline.base import Job, Made, StageTask
from pipeline.catalog import CatalogClip, catalog, read_clip_labels
from pipeline.frames import FramesTask, frame_settings, read_frames_index
from pipeline.provenance import write_json
from pipeline.videos import VideosTask
from tcc.config import SPLITS, Settings
from tcc.video.inventory import stable_bucket

SHARD_INDEX = "index.json"


class ShardsTask(StageTask):
    """Gather the frames and labels of one shard's clips into one TFRecord file."""

    stage = "shards"
    version = 1

    split = luigi.ChoiceParameter(choices=SPLITS, description="train, val or test")
    index = luigi.IntParameter(description="which of the split's shards")

    @classmethod
    def upstream(cls, settings: Settings, **params: Any) -> Dict[str, Any]:
        num_chunks = settings.shards.num_chunks
        chunks = sorted({stable_bucket(clip.name, num_chunks, salt="chunk") for clip in _clips(settings, **params)})
        return {"videos": VideosTask(), "frames": [FramesTask(chunk=chunk) for chunk in chunks]}

    @classmethod
    def own_settings(cls, settings: Settings, **params: Any) -> Dict[str, Any]:
        clips = _clips(settings, **params)
        return {
            **frame_settings(settings),
            "frames_version": FramesTask.version,
            "split": params["split"],
            "clips": {clip.name: clip.identity for clip in clips},
            "labels": catalog(settings).label_identity(clips),
        }

    @classmethod
    def identity(cls, settings: Settings, **params: Any) -> Dict[str, Any]:
        """The shard's own clips, their labels and the frame settings only."""
        return {"stage": cls.stage, "version": cls.version, "settings": cls.own_settings(settings, **params)}

    @classmethod
    def readable(cls, settings: Settings, **params: Any) -> str:
        frames = settings.frames
        return (
            f"{catalog(settings).name}-{frames.fps:g}fps-{frames.image_pixels}px-{params['split']}{params['index']:03d}"
        )

    def shard_file(self) -> str:
        """Name of the TFRecord inside the target."""
        count = self.settings.shards.num_shards(self.split)
        return f"{self.split}-{self.index:05d}-of-{count:05d}.tfrecord"

    def phases(self) -> List[str]:
        """Names of the phases that the shard's frame labels index; empty without labels."""
        with open(self.directory / SHARD_INDEX, encoding="utf-8") as file:
            return list(json.load(file)["phases"])

    def make(self, job: Job) -> Made:
        from tcc.video import write_shard

        upstream = self.requires()
        wanted = {clip.name for clip in _clips(job.settings, **self.params)}
        frames_files = {
            row["clip"]: task.directory / row["file"]
            for task in upstream["frames"]
            for row in read_frames_index(task.directory)
            if row["clip"] in wanted
        }
        labels = read_clip_labels(job.settings, upstream["videos"].directory)
        phases = list(labels.phases) if labels else []
        index = write_shard(
            job.directory / self.shard_file(),
            frames_files,
            labels=labels,
            progress=job.progress,
        )
        write_json(job.directory / SHARD_INDEX, {"clips": index, "phases": phases})
        skipped = [
            {"clip": name, "reason": "refused or undecodable, see the clips and frames manifests"}
            for name in sorted(wanted - set(frames_files))
        ]
        counts = {"in": len(wanted), "out": len(frames_files), "skipped": len(skipped)}
        return Made(counts=counts, skipped=skipped)


def shard_tasks(settings: Settings, split: str) -> List[ShardsTask]:
    """All shards of a split."""
    return [ShardsTask(split=split, index=index) for index in range(settings.shards.num_shards(split))]


def _clips(settings: Settings, **params: Any) -> List[CatalogClip]:
    split, count = params["split"], settings.shards.num_shards(params["split"])
    return catalog(settings).shard(split, params["index"], count)
