"""FeaturesTask: what a frozen backbone makes of each frame, computed once."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import Any, Dict, List, Sequence, Tuple

import luigi

from pipeline.base import Job, Made, StageTask
from pipeline.catalog import set_name
from pipeline.device import npu_settings, open_device_of
from pipeline.provenance import fingerprint
from pipeline.shards import ShardsTask, shard_tasks
from pipeline.weights import WEIGHTS, WeightsTask
from tcc.config import ON_HOST_OF_AN_NPU, SPLITS, Settings
from tcc.errors import VideoError

FEATURES = "features.npz"


class FeaturesTask(StageTask):
    """Features of one shard's clips, float16."""

    stage = "features"
    uses_device = True
    version = 2
    mirrored = False

    split = luigi.ChoiceParameter(choices=SPLITS, description="train, val or test")
    index = luigi.IntParameter(description="which of the split's shards")

    @classmethod
    def upstream(cls, settings: Settings, **params: Any) -> Dict[str, Any]:
        return {"shard": ShardsTask(**params), "weights": WeightsTask()}

    @classmethod
    def own_settings(cls, settings: Settings, **params: Any) -> Dict[str, Any]:
        own = dataclasses.asdict(settings.features)
        del own["center"]  # happens after reading: features are stored as the backbone made them
        del own["mirrored"]  # whether there is a second set; it is another task's target
        return {**own, **npu_settings(settings)}

    def fingerprint_without_labels(self) -> str:
        """As `ShardsTask.fingerprint_without_labels`, of the features alone."""
        identity = self.identity(self.settings, **self.params)
        identity["upstream"]["shard"] = self.requires()["shard"].fingerprint_without_labels()
        return fingerprint(identity)

    @classmethod
    def readable(cls, settings: Settings, **params: Any) -> str:
        return f"{set_name(settings)}-{settings.backbone.name}-{params['split']}{params['index']:03d}"

    def make(self, job: Job) -> Made:
        from tcc.device import host_scope

        device = open_device_of(job)
        with host_scope() if job.settings.backbone.name in ON_HOST_OF_AN_NPU else contextlib.nullcontext():
            counts = self._compute(job)
        return Made(counts=counts, device=device.name)

    def _compute(self, job: Job) -> Dict[str, int]:
        from tcc import weights
        from tcc.features import compute_features
        from tcc.models.backbone import build_backbone
        from tcc.sequences import write_sequences

        upstream = self.requires()
        backbone = build_backbone(job.settings.backbone)
        weights.load_into(backbone, upstream["weights"].directory / WEIGHTS)
        shard, config = upstream["shard"], job.settings.features
        records = list(shard.stored_records())
        parts = compute_features(
            records,
            backbone,
            grid=config.grid,
            batch_frames=config.batch_frames,
            mirrored=self.mirrored,
            precision=config.precision,
            progress=job.progress,
        )
        write_sequences(
            job.directory / FEATURES,
            parts,
            names=[record.name for record in records],
            timestamps=[record.timestamps for record in records],
            labels=[record.frame_labels for record in records],
            phases=shard.phases(),
            kind="features",
            fingerprint=self.fingerprint,
        )
        frames = sum(len(record) for record in records)
        return {"in": len(records), "out": len(records), "skipped": 0, "frames": frames}


class MirroredFeaturesTask(FeaturesTask):
    """Features of one training shard's clips, mirrored left to right: a second set beside the first."""

    mirrored = True

    @classmethod
    def own_settings(cls, settings: Settings, **params: Any) -> Dict[str, Any]:
        return {**super().own_settings(settings, **params), "mirrored": True}

    @classmethod
    def readable(cls, settings: Settings, **params: Any) -> str:
        return f"{super().readable(settings, **params)}-mirrored"


def features_tasks(settings: Settings, split: str) -> List[FeaturesTask]:
    """Features of all shards of a split."""
    return [FeaturesTask(split=task.split, index=task.index) for task in shard_tasks(settings, split)]


def is_frozen(settings: Settings) -> bool:
    """Whether the backbone's features can be computed once."""
    return settings.backbone.trained == "frozen"


def input_tasks(settings: Settings, split: str) -> List[Any]:
    """What training and embedding read: features where the backbone is frozen, else shards."""
    return features_tasks(settings, split) if is_frozen(settings) else shard_tasks(settings, split)


def mirrored_tasks(settings: Settings) -> List[MirroredFeaturesTask]:
    """The second set of features that training draws from; empty where it has none."""
    if not (is_frozen(settings) and settings.features.mirrored and settings.augmentation.flip):
        return []
    return [MirroredFeaturesTask(split=task.split, index=task.index) for task in shard_tasks(settings, "train")]


def open_source(
    settings: Settings,
    tasks: List[Any],
    mirrored: Sequence[Any] = (),
    *,
    in_memory: bool = False,
    memory_bytes: int = 0,
) -> Tuple[Any, List[str]]:
    """The clips that `input_tasks` and `mirrored_tasks` made, ready to draw from, and the names of the phases.

    Args:
      in_memory: hold all features, or all frames' JPEG images, for what draws them again and again; else they are read
        when they are asked for.
      memory_bytes: of decoded frames that are kept, for the same.
    """
    from tcc.dataset.batches import FeatureClips, FrameClips
    from tcc.sequences import center

    if is_frozen(settings):
        clips, phases = load_features(tasks, in_memory=in_memory)
        _refuse_empty(clips, tasks[0].split)
        both = [clips, load_features(list(mirrored), in_memory=in_memory)[0]] if mirrored else [clips]
        if settings.features.center:
            both = [list(map(center, one)) for one in both]
        return FeatureClips(*both), phases
    records = [record for task in tasks for record in (task.records() if in_memory else task.stored_records())]
    _refuse_empty(records, tasks[0].split)
    records.sort(key=lambda record: record.name)
    return FrameClips(records, memory_bytes=memory_bytes), tasks[0].phases()


def _refuse_empty(clips: List[Any], split: str) -> None:
    if not clips:
        raise VideoError(
            f"the {split} split has no clip; give more clips, or other splits: [videos] splits, [clips] train_fraction and"
            " val_fraction; luigi --module pipeline CheckTask tells what became of each clip"
        )


def load_features(tasks: List[FeaturesTask], *, in_memory: bool = True) -> Tuple[List[Any], List[str]]:
    """The features of all these shards' clips as they are stored, in the order of their names, and the phases."""
    from tcc.sequences import load_sequences

    loaded = [load_sequences(task.directory / FEATURES, in_memory=in_memory) for task in tasks]
    return sorted((clip for clips, _ in loaded for clip in clips), key=lambda clip: clip.name), loaded[0][1]
