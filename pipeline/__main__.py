"""`python -m pipeline status`: every task of RunAll, whether it is done, and where its target is."""

from __future__ import annotations

import argparse
import sys

from pipeline.base import tasks_in_order
from tcc.errors import TccError


def status() -> int:
    """Print a line per task; 0 if all are done, 1 if some are missing."""
    from pipeline.report import REPORT, ReportTask

    report = ReportTask()
    tasks = tasks_in_order(report)
    for task in tasks:
        state = "done" if task.complete() else "started" if task.work_directory.exists() else "missing"
        print(f"{state:8}{type(task).__name__:14}{task.directory}")
    if report.complete():
        print(f"report: {report.directory / REPORT}")
    return 0 if all(task.complete() for task in tasks) else 1


def main() -> int:
    """Parse the command line and answer."""
    parser = argparse.ArgumentParser(prog="python -m pipeline", description=__doc__)
    parser.add_argument("command", choices=["status"], help="status: what is done, and where it is")
    parser.parse_args()
    try:
        return status()
    except TccError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
