"""RunAll: everything, from videos to the report and the trained model."""

from __future__ import annotations

from typing import Any, Dict

import luigi

from pipeline.base import StageTask, upstream_fingerprints
from pipeline.model import ModelTask
from pipeline.provenance import fingerprint
from pipeline.report import ReportTask


class RunAll(luigi.WrapperTask):
    """Run every stage whose target is missing. Its fingerprint covers all it requires: other settings are another task."""

    fingerprint = luigi.Parameter(default="", description="computed; what is given here is ignored")

    @classmethod
    def get_param_values(cls, params: Any, args: Any, kwargs: Any) -> Any:
        values = dict(super().get_param_values(params, args, kwargs))
        values["fingerprint"] = fingerprint(upstream_fingerprints(last_tasks()))
        return [(name, values[name]) for name, _ in params]

    def requires(self) -> Dict[str, StageTask]:
        return last_tasks()


def last_tasks() -> Dict[str, StageTask]:
    """The tasks that nothing else reads."""
    return {"report": ReportTask(), "model": ModelTask()}
