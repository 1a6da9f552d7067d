"""`python -m pipeline status`: every task of RunAll, whether it is done, and where its target is; `check`: its clips."""

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


def check() -> int:
    """Print the table of the last check; 1 if none was made, or if it failed."""
    from pipeline.check import CheckTask

    task = CheckTask()
    if not task.show():
        print("not made yet: luigi --module pipeline CheckTask --local-scheduler", file=sys.stderr)
    return 0 if task.complete() else 1


_COMMANDS = {"status": status, "check": check}


def main() -> int:
    """Parse the command line and answer."""
    parser = argparse.ArgumentParser(prog="python -m pipeline", description=__doc__)
    parser.add_argument(
        "command", choices=list(_COMMANDS), help="status: what is done, and where it is; check: the table of all clips"
    )
    command = parser.parse_args().command
    try:
        return _COMMANDS[command]()
    except TccError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
