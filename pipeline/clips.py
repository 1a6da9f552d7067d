"""ClipsTask: which of the videos can be used, and what they are."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any, Dict, List, Optional

from pipeline.base import Job, Made, StageTask
from pipeline.catalog import catalog, read_clip_labels, video_folder
from pipeline.provenance import write_json
from pipeline.videos import VideosTask
from tcc.config import Settings
from tcc.errors import VideoError
from tcc.video.labels import Labels

CLIPS = "clips.json"


class ClipsTask(StageTask):
    """Look into every video: frames, fps, size, rotation, duration, split, labels; report those that cannot be used."""

    stage = "clips"
    version = 1

    @classmethod
    def upstream(cls, settings: Settings, **params: Any) -> Dict[str, Any]:
        return {"videos": VideosTask()}

    @classmethod
    def own_settings(cls, settings: Settings, **params: Any) -> Dict[str, Any]:
        clips = catalog(settings)
        return {
            "clips": dataclasses.asdict(settings.clips),
            "splits": {clip.name: clip.split for clip in clips.clips},
            "labels": clips.label_identity(list(clips.clips)),
        }

    @classmethod
    def readable(cls, settings: Settings, **params: Any) -> str:
        return catalog(settings).name

    def make(self, job: Job) -> Made:
        from tcc.video import hash_file, probe_clips

        source = self.requires()["videos"].directory
        folder = video_folder(job.settings, source)
        clips = catalog(job.settings).clips
        execution = job.settings.execution
        infos = probe_clips(
            folder,
            [clip.name for clip in clips],
            workers=execution.decode_workers,
            timeout_seconds=execution.clip_timeout_seconds,
            progress=job.progress,
        )
        labels = read_clip_labels(job.settings, source)
        rows = [
            {
                **info.as_dict(),
                "name": clip.name,
                "sha256": clip.identity if job.settings.videos.source == "folder" else hash_file(folder / clip.name),
                "split": clip.split,
                "segments": labels.num_segments(clip.name) if labels else 0,
            }
            for clip, info in zip(clips, infos)
        ]
        bad = [{"clip": row["name"], "reason": row["problem"]} for row in rows if row["problem"]]
        _refuse_if_too_many(bad, len(rows), job.settings.clips.max_bad_fraction)
        write_json(job.directory / CLIPS, rows)
        counts = {"in": len(rows), "out": len(rows) - len(bad), "skipped": len(bad)}
        return Made(counts=counts, skipped=bad, details={"warnings": _warnings(labels)})


def read_clips(directory: Path) -> List[Dict[str, Any]]:
    """The rows that ClipsTask wrote."""
    with open(directory / CLIPS, encoding="utf-8") as file:
        return list(json.load(file))


def _warnings(labels: Optional[Labels]) -> List[str]:
    """What of the labels was left out, for the manifest and the report."""
    return list(labels.warnings) if labels is not None else []


def _refuse_if_too_many(bad: List[Dict[str, str]], total: int, allowed: float) -> None:
    if len(bad) > allowed * total:
        first = "; ".join(f"{row['clip']}: {row['reason']}" for row in bad[:5])
        raise VideoError(
            f"{len(bad)} of {total} videos cannot be used, more than [clips] max_bad_fraction = {allowed} allows. "
            f"{first}. Repair or remove them, or raise the setting"
        )
