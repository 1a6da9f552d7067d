"""WeightsTask: the backbone's weights before training."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Dict, List, Optional

from pipeline.base import Job, Made, StageTask
from pipeline.catalog import hash_cache, source_folder
from tcc import weights
from tcc.config import Settings
from tcc.errors import DownloadError, SettingsError, WeightsError

WEIGHTS = "weights.npz"
RANDOM = "random"  # [backbone] weights


class WeightsTask(StageTask):
    """Put the pretrained weights, checked, in their place: a user's, shipped, or downloaded; else random ones."""

    stage = "weights"
    version = 1

    @classmethod
    def own_settings(cls, settings: Settings, **params: Any) -> Dict[str, Any]:
        backbone = settings.backbone
        known = weights.published(backbone.name)
        if backbone.weights_urls and known is None:
            raise SettingsError(
                f"[backbone] weights_urls: no file is published for {backbone.name}; leave it empty, or fetch the file "
                "yourself and name it in [backbone] weights"
            )
        local = _local_file(settings)
        shipped = weights.shipped_sha256(backbone.name)
        if backbone.weights == RANDOM or not (local or shipped or known):
            return {"backbone": backbone.name, "random_seed": backbone.seed}
        if local or shipped:
            return {"backbone": backbone.name, "sha256": _checked_sha256(settings, local) if local else shipped}
        if backbone.weights_sha256:
            return {"backbone": backbone.name, "sha256": backbone.weights_sha256.lower()}
        return {"backbone": backbone.name, "md5": known.md5 if known else ""}

    @classmethod
    def readable(cls, settings: Settings, **params: Any) -> str:
        return settings.backbone.name

    def make(self, job: Job) -> Made:
        from tcc.device import open_device
        from tcc.models.backbone import build_backbone

        config = job.settings.backbone
        open_device("cpu")
        backbone = build_backbone(config)
        source = _source(job)
        details: Dict[str, Any] = {"pretrained": bool(source)}
        if source is not None:
            weights.load_into(backbone, source, sha256=config.weights_sha256)
            details["source"] = {"file": source.name, "sha256": weights.sha256_of(source)}
            details["warnings"] = _warnings(job.settings, source)
        arrays = {name: variable.numpy() for name, variable in backbone.named_variables().items()}
        weights.save(job.directory / WEIGHTS, arrays)
        return Made(counts={"in": len(arrays), "out": len(arrays), "skipped": 0}, details=details)


def _local_file(settings: Settings) -> Optional[Path]:
    """The file that the settings name, or that lies with ready-made TFRecords, as the Ascend port has it."""
    backbone = settings.backbone
    if backbone.weights == RANDOM:
        return None
    if backbone.weights:
        return _given_file(backbone.name, Path(backbone.weights))
    if backbone.weights_urls or settings.videos.source != "tfrecords":
        return None
    folder = source_folder(settings)
    return weights.find_published(backbone.name, (folder, folder.resolve().parent))


def _given_file(name: str, path: Path) -> Path:
    if path.is_file():
        return path
    if not path.is_dir():
        raise WeightsError(f"[backbone] weights: no file or folder {path}; give one, or leave the option empty")
    found = weights.find_published(name, [path])
    if found is None:
        known = weights.published(name)
        wanted = (
            f"holds no {' or '.join(known.file_names)}" if known else f"is a folder, and no file is known for {name}"
        )
        raise WeightsError(f"[backbone] weights: {path} {wanted}; give the file itself")
    return found


def _checked_sha256(settings: Settings, path: Path) -> str:
    cache = hash_cache(settings)
    found = cache.sha256(path)
    cache.save()
    if settings.backbone.weights_sha256.lower() not in ("", found):
        weights.check_sha256(path, settings.backbone.weights_sha256)
    return found


def _source(job: Job) -> Optional[Path]:
    """The file of pretrained weights, fetched if need be; None: there is none, or random ones are wanted."""
    name = job.settings.backbone.name
    if job.settings.backbone.weights == RANDOM:
        return None
    source = _local_file(job.settings) or weights.shipped_path(name)
    known = weights.published(name)
    return _download(job, known) if source is None and known is not None else source


def _download(job: Job, known: weights.Published) -> Path:
    from tcc.download import download_file

    config, file_name = job.settings.backbone, known.file_names[0]
    folders = config.weights_urls or (known.url,)
    try:
        return download_file(
            [url if weights.is_keras_file(url) else f"{url.rstrip('/')}/{file_name}" for url in folders],
            job.directory / file_name,
            sha256=config.weights_sha256,
            md5="" if config.weights_sha256 else known.md5,
            attempts=job.settings.download.attempts,
            timeout_seconds=job.settings.download.timeout_seconds,
            progress=job.progress,
        ).path
    except DownloadError as error:
        raise DownloadError(
            f"{error}\nOr name a file or folder that has it in [backbone] weights; or choose a backbone that comes with its "
            "weights (efficientnet_lite0); weights = random trains from scratch"
        ) from error


def _warnings(settings: Settings, source: Path) -> List[str]:
    """What is odd about a file that is taken all the same: it has the published name and another content."""
    known = weights.published(settings.backbone.name)
    if known is None or source.name not in known.file_names or settings.backbone.weights_sha256:
        return []
    found = hashlib.md5(source.read_bytes(), usedforsecurity=False).hexdigest()
    if found == known.md5:
        return []
    return [
        f"{source.name}: MD5 is {found}, not the published {known.md5}: it is damaged, or made by somebody else; if it is "
        "meant to be, set [backbone] weights_sha256 to the SHA-256 that the manifest of WeightsTask records"
    ]
