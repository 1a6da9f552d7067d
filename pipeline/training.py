"""TrainTask: train the embedder; checkpoints on the way."""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path
from typing import Any, Dict, Mapping

from pipeline.base import Job, Made
from pipeline.device import npu_settings
from pipeline.features import input_tasks, is_frozen, mirrored_tasks, open_source
from pipeline.provenance import fingerprint
from pipeline.replicas import joined
from pipeline.variants import SUPERVISED, VariantTask, left_out, variant_settings
from pipeline.weights import WEIGHTS, WeightsTask
from tcc.config import ON_HOST_OF_AN_NPU, Settings
from tcc.errors import SettingsError, TargetError
from tcc.manifest import MANIFEST, read_manifest

_NOT_IN_THE_BYTES = ("log_every", "frame_memory_mb")


class TrainTask(VariantTask):
    """Train by the chosen method; continues at the last checkpoint, its own or that of the same training with fewer steps."""

    stage = "checkpoints"
    uses_device = True
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
        settings = variant_settings(settings, **params)
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
            **npu_settings(settings),
        }

    @classmethod
    def identity(cls, settings: Settings, **params: Any) -> Dict[str, Any]:
        """Labels are part of it only where the method reads them: others are not trained again for a corrected label."""
        whole = super().identity(settings, **params)
        if not variant_settings(settings, **params).training.reads_labels:
            tasks = cls.upstream(settings, **params)
            for name in ("inputs", "mirrored"):
                whole["upstream"][name] = [task.fingerprint_without_labels() for task in tasks[name]]
        return whole

    @classmethod
    def clips_needed(cls, settings: Settings) -> Dict[str, int]:
        return {"train": settings.training.batch_size}

    @classmethod
    def amount_of(cls, result: Mapping[str, Any]) -> float:
        return float(result["settings"]["training"]["num_steps"])

    def make(self, job: Job) -> Made:
        with joined(self, job) as (device, replicas):
            return self._train(job, device, replicas)

    def _train(self, job: Job, device: Any, replicas: Any) -> Made:
        from tcc.npu_options import loss_scale_of
        from tcc.training.loop import train
        from tcc.training.methods import count_phases

        upstream, settings = self.requires(), variant_settings(job.settings, **self.params)
        check_on_npu(settings, device.kind)
        source, _ = open_source(
            settings,
            upstream["inputs"],
            upstream["mirrored"],
            in_memory=True,
            memory_bytes=settings.training.frame_memory_mb * 1_000_000,
        )
        counts = {"in": len(source), "out": len(source), "skipped": 0}
        if self.variant == SUPERVISED and not count_phases(source.labels):
            return left_out("no training clip has labels")
        if not settings.training.reads_labels:  # they are not in the fingerprint, so nothing may depend on them
            source.forget_labels()
        encoders = []
        for local in range(len(replicas.ranks)):
            with replicas.place(local):
                encoders.append(build_encoder(settings, upstream["weights"], source))
        if replicas.is_chief:
            self._take_over_shorter(job.directory)
        result = train(
            source,
            encoders[0],
            job.directory,
            sampling=settings.sampling,
            training=settings.training,
            optimizer=settings.optimizer,
            schedule=settings.schedule,
            augmentation=settings.augmentation,
            xla=settings.device.xla,
            npu_loss_scale=loss_scale_of(settings.device) if device.kind == "npu" else None,
            progress=job.progress,
            should_stop=job.should_stop,
            should_save=job.should_save,
            replicas=replicas,
            others=encoders[1:],
        )
        return Made(
            counts={**counts, "steps": result.steps},
            details={
                "num_phases": count_phases(source.labels),
                "but_for_steps": self._but_for_steps(),
                "final_losses": result.losses,
                "warnings": list(result.warnings),
            },
            device=device.name if replicas.count == 1 else f"{replicas.count} x {device.kind}",
        )

    def _but_for_steps(self) -> str:
        """What trainings have in common that differ in nothing but the number of their steps."""
        identity = self.identity(self.settings, **self.params)
        del identity["settings"]["training"]["num_steps"]
        return fingerprint(identity)

    def _take_over_shorter(self, directory: Path) -> None:
        """Begin with the checkpoints of the longest finished training that did the same in fewer steps."""
        from tcc.training.checkpoints import newest_checkpoint, take_over

        training, mine = self.settings.training, self._but_for_steps()
        if newest_checkpoint(directory) is not None:
            return
        finished = {}
        for manifest in (self.root / self.stage).glob(f"*/{MANIFEST}"):
            with contextlib.suppress(TargetError):  # a damaged one is none of this task's business
                result = read_manifest(manifest.parent)["result"]
                if result.get("but_for_steps") == mine and result["counts"]["steps"] < training.num_steps:
                    finished[result["counts"]["steps"]] = manifest.parent
        if finished:
            take_over(finished[max(finished)], directory, keep=lambda step: step % training.checkpoint_every == 0)


def check_on_npu(settings: Settings, device_kind: str) -> None:
    """Raise SettingsError where a backbone is to be trained on an NPU that has not its operations."""
    if device_kind == "npu" and not is_frozen(settings) and settings.backbone.name in ON_HOST_OF_AN_NPU:
        raise SettingsError(
            f"[backbone] trained = {settings.backbone.trained}: an NPU has no depthwise convolution, which "
            f"{settings.backbone.name} is made of; set trained = frozen (features are then computed on the host) or "
            "name = resnet50v2"
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
