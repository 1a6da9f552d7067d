"""RunAll: everything, from videos to the report and the trained model."""

from __future__ import annotations

from typing import Any, Dict, List

import luigi
from luigi.parameter import ParameterVisibility

from pipeline.base import StageTask, tasks_in_order, upstream_fingerprints
from pipeline.model import ModelTask
from pipeline.provenance import fingerprint
from pipeline.report import ReportTask
from pipeline.rerun import again


class RunAll(luigi.WrapperTask):
    """Run every stage whose target is missing. Its fingerprint covers all it requires: other settings are another task."""

    fingerprint = luigi.Parameter(default="", description="computed; what is given here is ignored")

    rerun = luigi.BoolParameter(
        default=False, significant=False, visibility=ParameterVisibility.HIDDEN, description="do all tasks again"
    )

    @classmethod
    def get_param_values(cls, params: Any, args: Any, kwargs: Any) -> Any:
        values = dict(super().get_param_values(params, args, kwargs))
        values["fingerprint"] = fingerprint(upstream_fingerprints(last_tasks()))
        return [(name, values[name]) for name, _ in params]

    def requires(self) -> List[StageTask]:
        last = list(last_tasks().values())
        return again(tasks_in_order(*last)) if self.rerun else last


def last_tasks() -> Dict[str, StageTask]:
    """The tasks that nothing else reads."""
    return {"report": ReportTask(), "model": ModelTask()}
