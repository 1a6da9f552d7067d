"""RunAll: everything, from videos to the report."""

from __future__ import annotations

from typing import Any

import luigi

from pipeline.report import ReportTask


class RunAll(luigi.WrapperTask):
    """Run every stage whose target is missing. Its fingerprint is the report's: other settings are another task."""

    fingerprint = luigi.Parameter(default="", description="computed; what is given here is ignored")

    @classmethod
    def get_param_values(cls, params: Any, args: Any, kwargs: Any) -> Any:
        values = dict(super().get_param_values(params, args, kwargs))
        values["fingerprint"] = ReportTask().fingerprint
        return [(name, values[name]) for name, _ in params]

    def requires(self) -> Any:
        return ReportTask()
