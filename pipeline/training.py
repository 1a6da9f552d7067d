"""TrainTask: train the embedder; checkpoints on the way."""

from __future__ import annotations

import dataclasses
from typing import Any, Dict

from pipeline.base import Job, Made, StageTask
from pipeline.catalog import set_name
from pipeline.features import input_tasks, is_frozen, mirrored_tasks, open_source
from pipeline.weights import WEIGHTS, WeightsTask
from tcc.config import Settings

_NOT_IN_THE_BYTES = ("log_every", "frame_memory_mb")


class TrainTask(StageTask):
    """Train by the chosen method; continues at the last checkpoint."""

    stage = "checkpoints"
    version = 2
    saves_when_stopped = True

    @classmethod
    def upstream(cls, settings: Settings, **params: Any) -> Dict[str, Any]:
        return {
            "inputs": input_tasks(settings, "train"),
            "mirrored": mirrored_tasks(settings),
            "weights": WeightsTask(),
        }

    @classmethod
    def own_settings(cls, settings: Settings, **params: Any) -> Dict[str, Any]:
        training = dataclasses.asdict(settings.training)
        for name in _NOT_IN_THE_BYTES:
            del training[name]
        return {
            "training": training,
            "optimizer": dataclasses.asdict(settings.optimizer),
            "schedule": dataclasses.asdict(settings.schedule),
            "sampling": dataclasses.asdict(settings.sampling),
            "augmentation": _augmentation(settings),
            "embedder": dataclasses.asdict(settings.embedder),
            "trained": settings.backbone.trained,
            "center": settings.features.center,
        }

    @classmethod
    def identity(cls, settings: Settings, **params: Any) -> Dict[str, Any]:
        """Labels are part of it only where the method reads them: others are not trained again for a corrected label."""
        whole = super().identity(settings, **params)
        if not settings.training.reads_labels:
            tasks = cls.upstream(settings, **params)
            for name in ("inputs", "mirrored"):
                whole["upstream"][name] = [task.fingerprint_without_labels() for task in tasks[name]]
        return whole

    @classmethod
    def readable(cls, settings: Settings, **params: Any) -> str:
        return run_name(settings)

    @classmethod
    def clips_needed(cls, settings: Settings) -> Dict[str, int]:
        return {"train": settings.training.batch_size}

    def make(self, job: Job) -> Made:
        from tcc.device import open_device
        from tcc.training.loop import train

        device = open_device(job.settings.device.kind)
        upstream = self.requires()
        source, _ = open_source(
            job.settings,
            upstream["inputs"],
            upstream["mirrored"],
            memory_bytes=job.settings.training.frame_memory_mb * 1_000_000,
        )
        if not job.settings.training.reads_labels:  # they are not in the fingerprint, so nothing may depend on them
            source.forget_labels()
        encoder = build_encoder(job.settings, upstream["weights"], source)
        result = train(
            source,
            encoder,
            job.directory,
            sampling=job.settings.sampling,
            training=job.settings.training,
            optimizer=job.settings.optimizer,
            schedule=job.settings.schedule,
            augmentation=job.settings.augmentation,
            xla=job.settings.device.xla,
            progress=job.progress,
            should_stop=job.should_stop,
        )
        counts = {"in": len(source), "out": len(source), "skipped": 0, "steps": result.steps}
        return Made(
            counts=counts,
            details={"final_losses": result.losses, "warnings": list(result.warnings)},
            device=device.name,
        )


def _augmentation(settings: Settings) -> Dict[str, Any]:
    """What of [augmentation] changes the bytes of a training.

    Raises: SettingsError if it asks for what cannot be done to features.
    """
    own = dataclasses.asdict(settings.augmentation)
    if is_frozen(settings):
        settings.augmentation.check_for_features()
        on_features = ("channel_dropout", "flip") if mirrored_tasks(settings) else ("channel_dropout",)
        return {name: own[name] for name in on_features}
    del own["channel_dropout"]
    return own


def run_name(settings: Settings) -> str:
    """What a person would call a training run."""
    return f"{set_name(settings)}-{settings.training.method}-seed{settings.training.seed}"


def build_encoder(settings: Settings, weights_task: Any, source: Any) -> Any:
    """The network of these settings with its pretrained backbone; nothing else is loaded."""
    from tcc import weights
    from tcc.models.backbone import build_backbone
    from tcc.models.embedder import build_embedder
    from tcc.models.encoder import Encoder

    backbone = None
    channels = source.feature_channels if is_frozen(settings) else 0
    if not is_frozen(settings):
        backbone = build_backbone(settings.backbone)
        weights.load_into(backbone, weights_task.directory / WEIGHTS)
        channels = backbone.feature_channels
    embedder = build_embedder(
        settings.embedder, sampling=settings.sampling, feature_channels=channels, seed=settings.training.seed
    )
    return Encoder(backbone, embedder, trained=settings.backbone.trained)
