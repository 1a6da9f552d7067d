"""WeightsTask: the backbone's weights before training."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict

from pipeline.base import Job, Made, StageTask
from pipeline.provenance import sha256_file
from tcc.config import Settings
from tcc.errors import WeightsError

WEIGHTS = "weights.npz"


class WeightsTask(StageTask):
    """Put the pretrained weights, checked by SHA-256, in their place; or random ones where there are none."""

    stage = "weights"
    version = 1

    @classmethod
    def own_settings(cls, settings: Settings, **params: Any) -> Dict[str, Any]:
        from tcc.weights import shipped_sha256

        backbone = settings.backbone
        if backbone.weights:
            return {"backbone": backbone.name, "sha256": sha256_file(_existing(backbone.weights))}
        shipped = shipped_sha256(backbone.name)
        return {"backbone": backbone.name, **({"sha256": shipped} if shipped else {"random_seed": backbone.seed})}

    @classmethod
    def readable(cls, settings: Settings, **params: Any) -> str:
        return settings.backbone.name

    def make(self, job: Job) -> Made:
        from tcc import weights
        from tcc.device import open_device
        from tcc.models.backbone import build_backbone

        config = job.settings.backbone
        open_device("cpu")
        backbone = build_backbone(config)
        source = Path(config.weights) if config.weights else weights.shipped_path(config.name)
        if source is not None:
            weights.load_into(backbone, source, sha256=config.weights_sha256)
        arrays = {name: variable.numpy() for name, variable in backbone.named_variables().items()}
        weights.save(job.directory / WEIGHTS, arrays)
        return Made(counts={"in": len(arrays), "out": len(arrays), "skipped": 0}, details={"pretrained": bool(source)})


def _existing(path: str) -> Path:
    if not Path(path).is_file():
        raise WeightsError(f"[backbone] weights: no file {path}; give the .npz, or leave the option empty")
    return Path(path)
