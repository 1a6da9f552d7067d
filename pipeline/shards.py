"""ShardsTask: TFRecord shards, the meeting point. Nothing after it reads videos, clips or frames."""

from __future__ import annotations

import json
from typing import Any, Dict, Iterator, List

import luigi

from pipeline.base import Job, Made, StageTask
from pipeline.catalog import CatalogClip, catalog, chunk_of, read_clip_labels, set_name, split_options
from pipeline.check import CheckTask
from pipeline.frames import FramesTask, frame_settings, read_frames_index
from pipeline.provenance import fingerprint, write_json
from pipeline.videos import VideosTask, read_ready_made, ready_made_folder
from tcc.config import SPLITS, Settings
from tcc.video.dealing import deal

SHARD_INDEX = "index.json"
_OF_LABELS = ("labels", "phases")


class ShardsTask(StageTask):
    """Gather the frames and labels of one shard's clips into one TFRecord file."""

    stage = "shards"
    version = 2

    split = luigi.ChoiceParameter(choices=SPLITS, description="train, val or test")
    index = luigi.IntParameter(description="which of the split's shards")

    @classmethod
    def upstream(cls, settings: Settings, **params: Any) -> Dict[str, Any]:
        if settings.videos.ready_made:
            return {"videos": VideosTask()}
        num_chunks = settings.shards.num_chunks
        mine = sorted({chunk_of(clip.name, num_chunks) for clip in _clips(settings, **params)})
        return {"videos": VideosTask(), "frames": [FramesTask(chunk=chunk) for chunk in mine]}

    def requires(self) -> Dict[str, Any]:
        """What it reads; and the check, so that a run on mostly bad clips ends before the long work."""
        return {**super().requires(), "check": CheckTask()}

    @classmethod
    def own_settings(cls, settings: Settings, **params: Any) -> Dict[str, Any]:
        if settings.videos.ready_made:
            return {
                "videos": VideosTask().fingerprint,
                "splits": split_options(settings),
                "fps_if_unknown": settings.videos.image_fps,
                "phases": list(settings.videos.phases),
                "split": params["split"],
                "shard": [params["index"], settings.shards.num_shards(params["split"])],
            }
        clips = _clips(settings, **params)
        return {
            **frame_settings(settings),
            "frames_version": FramesTask.version,
            "split": params["split"],
            "shard": [params["index"], settings.shards.num_shards(params["split"])],
            "clips": {clip.name: clip.identity for clip in clips},
            "labels": catalog(settings).label_identity(clips),
        }

    @classmethod
    def identity(cls, settings: Settings, **params: Any) -> Dict[str, Any]:
        """The shard's own clips, their labels and the frame settings only."""
        return {"stage": cls.stage, "version": cls.version, "settings": cls.own_settings(settings, **params)}

    def fingerprint_without_labels(self) -> str:
        """Fingerprint of the frames alone: for who reads no labels, the same shard whatever they are."""
        identity = self.identity(self.settings, **self.params)
        identity["settings"] = {k: v for k, v in identity["settings"].items() if k not in _OF_LABELS}
        return fingerprint(identity)

    @classmethod
    def readable(cls, settings: Settings, **params: Any) -> str:
        frames, shard = settings.frames, f"{params['split']}{params['index']:03d}"
        if settings.videos.ready_made:
            return f"{set_name(settings)}-{shard}"
        return f"{set_name(settings)}-{frames.fps:g}fps-{frames.image_pixels}px-{shard}"

    def shard_file(self) -> str:
        """Name of the TFRecord inside the target."""
        count = self.settings.shards.num_shards(self.split)
        return f"{self.split}-{self.index:05d}-of-{count:05d}.tfrecord"

    def records(self) -> Iterator[Any]:
        """The shard's clips; raises ShardError if it holds fewer than were written."""
        from tcc.video.shards import read_records

        return read_records(self.directory / self.shard_file(), expected=self._num_clips())

    def stored_records(self) -> Iterator[Any]:
        """The same clips, with frames that stay on disk until they are asked for."""
        from tcc.video.stored_frames import stored_records

        return stored_records(self.directory / self.shard_file(), expected=self._num_clips())

    def _num_clips(self) -> int:
        with open(self.directory / SHARD_INDEX, encoding="utf-8") as file:
            return len(json.load(file)["clips"])

    def phases(self) -> List[str]:
        """Names of the phases that the shard's frame labels index; empty without labels."""
        with open(self.directory / SHARD_INDEX, encoding="utf-8") as file:
            return list(json.load(file)["phases"])

    def make(self, job: Job) -> Made:
        return self._copy(job) if job.settings.videos.ready_made else self._gather(job)

    def _gather(self, job: Job) -> Made:
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
        index = write_shard(job.directory / self.shard_file(), frames_files, labels=labels, progress=job.progress)
        write_json(job.directory / SHARD_INDEX, {"clips": index, "phases": list(labels.phases) if labels else []})
        skipped = [
            {"clip": name, "reason": "refused or undecodable, see the clips and frames manifests"}
            for name in sorted(wanted - set(frames_files))
        ]
        counts = {"in": len(wanted), "out": len(frames_files), "skipped": len(skipped)}
        return Made(counts=counts, skipped=skipped)

    def _copy(self, job: Job) -> Made:
        from tcc.video.ready_made import phase_names, write_again

        settings, videos = job.settings, self.requires()["videos"].directory
        clips = read_ready_made(settings, videos)
        mine = [clip for clip in clips if clip["split"] == self.split]
        dealt = deal(
            {clip["clip"]: clip["num_frames"] for clip in mine}, settings.shards.num_shards(self.split), self.split
        )
        index = write_again(
            job.directory / self.shard_file(),
            ready_made_folder(settings, videos),
            [clip for clip in mine if dealt[clip["clip"]] == self.index],
            fps_if_unknown=settings.videos.image_fps,
            progress=job.progress,
        )
        phases = phase_names(clips, settings.videos.phases)
        write_json(job.directory / SHARD_INDEX, {"clips": index, "phases": phases})
        return Made(counts={"in": len(index), "out": len(index), "skipped": 0})


def shard_tasks(settings: Settings, split: str) -> List[ShardsTask]:
    """All shards of a split."""
    return [ShardsTask(split=split, index=index) for index in range(settings.shards.num_shards(split))]


def _clips(settings: Settings, **params: Any) -> List[CatalogClip]:
    split, count = params["split"], settings.shards.num_shards(params["split"])
    return catalog(settings).shard(split, params["index"], count)
