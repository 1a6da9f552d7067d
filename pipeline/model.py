"""ModelTask: the trained model in a folder of its own, for use without the pipeline."""

from __future__ import annotations

import dataclasses
import logging
from typing import Any, Dict

from pipeline.base import Job, Made
from pipeline.embedding import EmbedTask, embeddings_file
from pipeline.selection import SelectTask, chosen_step
from pipeline.shards import shard_tasks
from pipeline.training import TrainTask
from pipeline.variants import LEFT_OUT, VariantTask, left_out, variant_name, variant_settings
from pipeline.weights import WEIGHTS, WeightsTask
from tcc.at_work.model_settings import kept_settings
from tcc.config import Settings

_log = logging.getLogger("luigi-interface.pipeline")


class ModelTask(VariantTask):
    """The chosen checkpoint, with all that it takes to use it on another machine; see docs/trained_models.md."""

    stage = "models"
    version = 1

    @classmethod
    def upstream(cls, settings: Settings, **params: Any) -> Dict[str, Any]:
        return {
            "training": TrainTask(**params),
            "selection": SelectTask(**params),
            "embeddings": EmbedTask(**params),
            "weights": WeightsTask(),
            **({"shards": shard_tasks(settings, "train")} if settings.videos.ready_made else {}),
        }

    @classmethod
    def own_settings(cls, settings: Settings, **params: Any) -> Dict[str, Any]:
        return kept_settings(variant_settings(settings, **params))

    def run(self) -> None:
        super().run()
        _log.info("model: %s", self.directory)

    def make(self, job: Job) -> Made:
        from tcc import weights
        from tcc.at_work.model_folder import save_model
        from tcc.at_work.networks import build_networks
        from tcc.device import open_device
        from tcc.sequences import load_sequences
        from tcc.training.checkpoints import restore_encoder

        upstream, settings = self.requires(), variant_settings(job.settings, **self.params)
        training = upstream["training"].manifest()["result"]
        if LEFT_OUT in training:
            return left_out(training[LEFT_OUT])
        open_device("cpu")  # nothing is computed but distances
        if settings.videos.ready_made:
            settings = _as_stored(settings, upstream["shards"])
        step = chosen_step(upstream["selection"].directory)
        networks = build_networks(settings)
        weights.load_into(networks.backbone, upstream["weights"].directory / WEIGHTS)
        restore_encoder(upstream["training"].directory, step, networks.encoder)
        references, phases = load_sequences(upstream["embeddings"].directory / embeddings_file("train"))
        about = save_model(
            job.directory,
            networks,
            references,
            settings=settings,
            phases=phases,
            name=variant_name(job.settings, **self.params),
            step=step,
            fingerprint=self.fingerprint,
        )
        counts = {"in": len(references), "out": len(references), "skipped": 0}
        return Made(counts=counts, details={"step": step, "thresholds": about["thresholds"]})


def _as_stored(settings: Settings, shards: Any) -> Settings:
    """The settings with the frame rate and size of ready-made shards, which no option of ours made."""
    import numpy as np

    from tcc.video.shards import jpeg_size

    clips = (clip for task in shards for clip in task.records())
    first = next(clip for clip in clips if len(clip) > 1)
    height, _ = jpeg_size(first.frames[0], number=0)
    fps = round(1 / float(np.median(np.diff(first.timestamps))), 3)
    return dataclasses.replace(settings, frames=dataclasses.replace(settings.frames, fps=fps, image_pixels=height))
