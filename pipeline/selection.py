"""SelectTask: which checkpoint is evaluated."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any, Dict

from pipeline.base import Job, Made, StageTask
from pipeline.features import input_tasks, open_source
from pipeline.provenance import write_json
from pipeline.training import TrainTask, build_encoder, run_name
from pipeline.weights import WeightsTask
from tcc.config import Settings

SELECTION = "selection.json"


class SelectTask(StageTask):
    """Score every checkpoint on the validation split and choose one; the test split is not read."""

    stage = "selections"
    version = 1

    @classmethod
    def upstream(cls, settings: Settings, **params: Any) -> Dict[str, Any]:
        return {"training": TrainTask(), "inputs": input_tasks(settings, "val"), "weights": WeightsTask()}

    @classmethod
    def own_settings(cls, settings: Settings, **params: Any) -> Dict[str, Any]:
        return dataclasses.asdict(settings.selection)

    @classmethod
    def readable(cls, settings: Settings, **params: Any) -> str:
        return run_name(settings)

    @classmethod
    def clips_needed(cls, settings: Settings) -> Dict[str, int]:
        return {"val": 1}

    def make(self, job: Job) -> Made:
        from tcc.device import open_device
        from tcc.selection import select_checkpoint

        device = open_device(job.settings.device.kind)
        upstream = self.requires()
        source, _ = open_source(job.settings, upstream["inputs"])
        encoder = build_encoder(job.settings, upstream["weights"], source)
        selection = select_checkpoint(
            upstream["training"].directory,
            encoder,
            source,
            sampling=job.settings.sampling,
            selection=job.settings.selection,
            batch_frames=job.settings.embedding.batch_frames,
            progress=job.progress,
        )
        write_json(job.directory / SELECTION, selection)
        scored = len(selection["scores"])
        return Made(counts={"in": scored, "out": 1, "skipped": scored - 1}, device=device.name)


def chosen_step(directory: Path) -> int:
    """The step of the checkpoint that SelectTask chose."""
    with open(directory / SELECTION, encoding="utf-8") as file:
        return int(json.load(file)["step"])
