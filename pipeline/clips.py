"""ClipsTask: which of the clips can be used, and what they are."""

from __future__ import annotations

import dataclasses
import functools
import json
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional

from pipeline.base import Job, Made, StageTask
from pipeline.catalog import CatalogClip, catalog, read_clip_labels, set_name, video_folder
from pipeline.provenance import write_json
from pipeline.videos import VideosTask
from tcc.config import Settings
from tcc.video.clip_labels import Labels

CLIPS = "clips.json"
_IN_OTHER_STAGES = ("max_bad_fraction", "min_frames")


class ClipsTask(StageTask):
    """Look into every clip: frames, fps, size, rotation, duration, split, labels; name those that cannot be used."""

    stage = "clips"
    decodes = True
    version = 4
    counts_clips = True

    @classmethod
    def upstream(cls, settings: Settings, **params: Any) -> Dict[str, Any]:
        return {"videos": VideosTask()}

    @classmethod
    def own_settings(cls, settings: Settings, **params: Any) -> Dict[str, Any]:
        clips = catalog(settings)
        options = dataclasses.asdict(settings.clips)
        return {
            "clips": {name: value for name, value in options.items() if name not in _IN_OTHER_STAGES},
            "image_fps": image_fps(settings),
            "splits": {clip.name: clip.split for clip in clips.clips},
            "labels": clips.label_identity(list(clips.clips)),
            "label_warnings": _label_warnings(clips.labels),
        }

    @classmethod
    def readable(cls, settings: Settings, **params: Any) -> str:
        return set_name(settings)

    def make(self, job: Job) -> Made:
        from tcc.video import probe_clips

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
            probe=_probe(job.settings),
        )
        labels = _checked_labels(job.settings, source, infos)
        rows = [_row(job.settings, clip, info, folder) for clip, info in zip(clips, infos)]
        _add_labels(rows, labels)
        bad = [{"clip": row["name"], "reason": row["problem"]} for row in rows if row["problem"]]
        write_json(job.directory / CLIPS, rows)
        counts = {"in": len(rows), "out": len(rows) - len(bad), "skipped": len(bad)}
        warnings = _label_warnings(labels)
        return Made(counts=counts, skipped=bad, details={"warnings": warnings})


def image_fps(settings: Settings) -> Optional[float]:
    """Frames per second of folders of images; None where the files tell it."""
    return settings.videos.image_fps if settings.videos.source in ("images", "penn_action") else None


def read_clips(directory: Path) -> List[Dict[str, Any]]:
    """The rows that ClipsTask wrote."""
    with open(directory / CLIPS, encoding="utf-8") as file:
        return list(json.load(file))


def _probe(settings: Settings) -> Callable[[str], Any]:
    from tcc.video import probe_clip
    from tcc.video.image_sequences import probe_image_folder

    fps = image_fps(settings)
    return probe_clip if fps is None else functools.partial(probe_image_folder, fps=fps)


def _checked_labels(settings: Settings, source: Path, infos: List[Any]) -> Optional[Labels]:
    from tcc.video.label_checks import check_durations

    labels = read_clip_labels(settings, source)
    if labels is None:
        return None
    known = {
        info.name: (info.duration_seconds, 1 / info.fps if info.fps else 0.0, info.num_frames)
        for info in infos
        if info.num_frames and not info.problem
    }
    return check_durations(labels, known)


def _row(settings: Settings, clip: CatalogClip, info: Any, folder: Path) -> Dict[str, Any]:
    from tcc.video import hash_file

    rendered = settings.videos.source == "rendered"
    sha256 = hash_file(folder / clip.name) if rendered else clip.identity
    return {**info.as_dict(), "name": clip.name, "sha256": sha256, "split": clip.split, "phases": [], "warnings": []}


def _add_labels(rows: List[Dict[str, Any]], labels: Optional[Labels]) -> None:
    from tcc.video.label_checks import clip_warnings, labelled_phases

    if labels is None:
        return
    phases, warnings = labelled_phases(labels), clip_warnings(labels)
    for row in rows:
        row["phases"] = phases.get(row["name"], [])
        row["warnings"] = _by_file_name(labels, warnings.get(row["name"], []))


def _label_warnings(labels: Optional[Labels]) -> List[str]:
    from tcc.video.label_checks import label_warnings

    return _by_file_name(labels, [*labels.warnings, *label_warnings(labels)]) if labels else []


def _by_file_name(labels: Labels, texts: List[str]) -> List[str]:
    """Messages without the folder of the label file, so that a manifest is the same wherever it lies."""
    return [text.replace(labels.path, Path(labels.path).name) for text in texts]
