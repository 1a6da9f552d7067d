"""ExportTask: the way back, a split's shards to folders of images and a CSV."""

from __future__ import annotations

import logging
from typing import Any, Dict

import luigi

from pipeline.base import Job, Made, StageTask
from pipeline.catalog import set_name
from pipeline.shards import shard_tasks
from tcc.config import SPLITS, Settings

_log = logging.getLogger("luigi-interface.pipeline")


class ExportTask(StageTask):
    """Every frame of one split as an image, and labels.csv; `source = images` reads them again."""

    stage = "exports"
    version = 1

    split = luigi.ChoiceParameter(choices=SPLITS, description="train, val or test")

    @classmethod
    def upstream(cls, settings: Settings, **params: Any) -> Dict[str, Any]:
        return {"shards": shard_tasks(settings, params["split"])}

    @classmethod
    def readable(cls, settings: Settings, **params: Any) -> str:
        return f"{set_name(settings)}-{params['split']}"

    def run(self) -> None:
        super().run()
        _log.info("images and labels.csv: %s", self.directory)

    def make(self, job: Job) -> Made:
        from tcc.video.export import export_shards

        shards = self.requires()["shards"]
        counts = export_shards(
            [task.directory / task.shard_file() for task in shards],
            job.directory,
            phases=shards[0].phases(),
            expected=[task.manifest()["result"]["counts"]["out"] for task in shards],
            progress=job.progress,
        )
        return Made(counts={"in": counts["clips"], "out": counts["clips"], "skipped": 0, "frames": counts["frames"]})
