"""SelectTask: which checkpoint is evaluated."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, Mapping

from pipeline.base import Job, Made
from pipeline.catalog import catalog
from pipeline.device import open_device_of
from pipeline.features import input_tasks, open_source
from pipeline.provenance import write_json
from pipeline.results import Results
from pipeline.training import TrainTask, build_encoder
from pipeline.variants import LEFT_OUT, VariantTask, left_out, variant_settings
from pipeline.videos import VIDEOS, VideosTask, read_ready_made
from pipeline.weights import WeightsTask
from tcc.config import READ_TRAINING_CLIPS, Settings, rule_settings

SELECTION = "selection.json"


class SelectTask(VariantTask):
    """Score every checkpoint on the validation split and choose one; the test split is not read."""

    stage = "selections"
    uses_device = True
    version = 2

    @classmethod
    def upstream(cls, settings: Settings, **params: Any) -> Dict[str, Any]:
        training = {"train_inputs": input_tasks(settings, "train")} if _reads_training_clips(settings, **params) else {}
        return {
            "training": TrainTask(**params),
            "inputs": input_tasks(settings, "val"),
            "weights": WeightsTask(),
            **training,
        }

    def requires(self) -> Dict[str, Any]:
        """What it reads; and the list of videos, which tells how their splits came about."""
        return {**super().requires(), "videos": VideosTask()}

    @classmethod
    def own_settings(cls, settings: Settings, **params: Any) -> Dict[str, Any]:
        return rule_settings(variant_settings(settings, **params))

    @classmethod
    def clips_needed(cls, settings: Settings) -> Dict[str, int]:
        return {"val": 1}

    def make(self, job: Job) -> Made:
        from tcc.selection import Candidates, select_checkpoint
        from tcc.training.methods import build_head

        upstream, settings = self.requires(), variant_settings(job.settings, **self.params)
        training = upstream["training"].manifest()["result"]
        if LEFT_OUT in training:
            return left_out(training[LEFT_OUT])
        device = open_device_of(job)
        source, phases = open_source(settings, upstream["inputs"])
        training_clips = open_source(settings, upstream["train_inputs"])[0] if "train_inputs" in upstream else None
        encoder = build_encoder(settings, upstream["weights"], source)
        size = settings.embedder.embedding_size
        head = build_head(settings.training, size, num_phases=training["num_phases"])
        candidates = Candidates(
            directory=upstream["training"].directory,
            encoder=encoder,
            head=head,
            validation=source,
            phases=phases,
            training_clips=training_clips,
        )
        results = Results(self.root, fresh=job.rerun, progress=job.progress)
        selection = select_checkpoint(
            candidates,
            settings,
            recall=lambda step, score: results.recall(self._depends_on(step, training["files"]), score),
            progress=job.progress,
        )
        validation = {"clips": len(source), "held_out": held_out(settings, upstream["videos"].directory)}
        write_json(job.directory / SELECTION, {**selection, "validation": validation})
        scored = len(selection["scores"])
        return Made(counts={"in": scored, "out": 1, "skipped": scored - 1}, device=device.name)

    def _depends_on(self, step: int, files: Mapping[str, str]) -> Dict[str, Any]:
        """What the score of one checkpoint depends on: its bytes, not how long the training went on after it."""
        identity = self.identity(self.settings, **self.params)
        training = TrainTask.own_settings(self.settings, **self.params)
        del training["training"]["num_steps"], identity["upstream"]["training"]
        folder = f"step-{step:08d}/"
        checkpoint = {name: digest for name, digest in files.items() if name.startswith(folder)}
        return {"score_of": identity, "training": training, "checkpoint": checkpoint}


def held_out(settings: Settings, videos_directory: Path) -> int:
    """How many of the set's own training clips are its validation split, because it has none to choose a checkpoint on."""
    if not settings.videos.ready_made:
        return catalog(settings).held_out
    with open(videos_directory / VIDEOS, encoding="utf-8") as file:
        told = {clip["clip"]: clip["split"] for clip in json.load(file)}
    given = read_ready_made(settings, videos_directory)
    return sum(1 for clip in given if clip["split"] == "val" and told[clip["clip"]] == "train")


def chosen_step(directory: Path) -> int:
    """The step of the checkpoint that SelectTask chose."""
    with open(directory / SELECTION, encoding="utf-8") as file:
        return int(json.load(file)["step"])


def _reads_training_clips(settings: Settings, **params: Any) -> bool:
    return variant_settings(settings, **params).selection.rule in READ_TRAINING_CLIPS
