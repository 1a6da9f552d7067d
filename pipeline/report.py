"""ReportTask: one self-contained HTML page."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
from pathlib import Path
from typing import Any, Dict, List

from pipeline.base import Job, Made, StageTask, tasks_in_order
from pipeline.check import CheckTask, read_checks
from pipeline.embedding import EmbedTask, embeddings_file
from pipeline.evaluation import EvalTask
from pipeline.selection import SELECTION, SelectTask
from pipeline.shards import shard_tasks
from pipeline.training import TrainTask
from pipeline.variants import run_name
from tcc.config import Settings
from tcc.errors import TargetError

_log = logging.getLogger("luigi-interface.pipeline")
REPORT = "report.html"


class ReportTask(StageTask):
    """Metrics, curves, similarity matrix and an aligned video on one page that opens from disk."""

    stage = "reports"
    version = 3

    @classmethod
    def upstream(cls, settings: Settings, **params: Any) -> Dict[str, Any]:
        return {
            "training": TrainTask(),
            "selection": SelectTask(),
            "embeddings": EmbedTask(),
            "evaluation": EvalTask(),
            "shards": shard_tasks(settings, "test"),
            "check": CheckTask(),
        }

    @classmethod
    def own_settings(cls, settings: Settings, **params: Any) -> Dict[str, Any]:
        return dataclasses.asdict(settings.report)

    @classmethod
    def readable(cls, settings: Settings, **params: Any) -> str:
        return run_name(settings)

    def run(self) -> None:
        super().run()
        _log.info("report: %s", self.directory / REPORT)

    @classmethod
    def hash_file(cls, path: Path) -> str:
        """The page without its timing block, which differs from run to run."""
        if path.name != REPORT:
            return super().hash_file(path)
        from tcc.report import without_timing

        try:
            return hashlib.sha256(without_timing(path.read_text(encoding="utf-8")).encode()).hexdigest()
        except (TargetError, UnicodeDecodeError):  # damaged: another hash than the whole page's
            return super().hash_file(path)

    def make(self, job: Job) -> Made:
        from tcc.report import ReportInputs, write_report
        from tcc.sequences import load_sequences

        upstream = self.requires()
        clips, phases = load_sequences(upstream["embeddings"].directory / embeddings_file("test"))
        shards = upstream["shards"]
        frames = {record.name: record.frames for task in shards for record in task.records()}
        inputs = ReportInputs(
            title=run_name(job.settings),
            settings={name: options for name, options in job.settings.as_dict().items() if name != "alerts"},
            metrics=_read_metrics(upstream["evaluation"].directory),
            history=_read_lines(upstream["training"].directory / "history.jsonl"),
            selection=json.loads((upstream["selection"].directory / SELECTION).read_text(encoding="utf-8")),
            clips=clips,
            training_clips=load_sequences(upstream["embeddings"].directory / embeddings_file("train"))[0],
            frames=frames,
            phases=phases,
            stages=[task.manifest() for task in tasks_in_order(self)[:-1]],
            checks=read_checks(upstream["check"].directory),
        )
        counts = write_report(job.directory / REPORT, inputs, job.settings.report, progress=job.progress)
        return Made(counts=counts)


def _read_metrics(directory: Path) -> Dict[str, Any]:
    return {
        path.stem: json.loads(path.read_text(encoding="utf-8"))
        for path in sorted(directory.glob("*.json"))
        if path.name != "manifest.json"
    }


def _read_lines(path: Path) -> List[Dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
