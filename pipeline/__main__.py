"""`python -m pipeline status`: every task of RunAll, whether it is done, and where; `check`: its clips; `compare`: runs."""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
from itertools import zip_longest
from typing import List, Optional

from pipeline.base import tasks_in_order
from pipeline.settings import ENVIRONMENT_PREFIX, current
from tcc.config import SECTIONS
from tcc.errors import SettingsError, TccError


def status() -> int:
    """Print a line per task; 0 if all are done, 1 if some are missing."""
    from pipeline.report import REPORT
    from pipeline.run_all import last_tasks

    last = last_tasks()
    tasks = tasks_in_order(*last.values())
    for task in tasks:
        state = "done" if task.complete() else "started" if task.work_directory.exists() else "missing"
        print(f"{state:8}{type(task).__name__:14}{task.directory}")
    if last["report"].complete():
        print(f"report: {last['report'].directory / REPORT}")
    if last["model"].complete():
        print(f"model: {last['model'].directory}")
    return 0 if all(task.complete() for task in tasks) else 1


def check() -> int:
    """Print the table of the last check; 1 if none was made, or if it failed."""
    from pipeline.check import CheckTask

    task = CheckTask()
    if not task.show():
        print("not made yet: luigi --module pipeline CheckTask --local-scheduler", file=sys.stderr)
    return 0 if task.complete() else 1


def compare(runs: List[str], to: Optional[str]) -> int:
    """Print what differs between evaluated runs, and write it as a page."""
    from tcc.report import as_text, compare_runs, find_run, read_run, write_comparison

    root = current().execution.data
    comparison = compare_runs([read_run(find_run(run, root)) for run in runs])
    print(as_text(comparison), end="")
    if to:
        write_comparison(to, comparison)
        print(f"\npage: {to}")
    return 0


def replica_of(rank: int) -> int:
    """Train along in all trainings of RunAll."""
    from pipeline.replicas import serve
    from pipeline.run_all import last_tasks
    from pipeline.training import TrainTask

    serve(rank, [task for task in tasks_in_order(*last_tasks().values()) if isinstance(task, TrainTask)])
    return 0


_COMMANDS = {"status": status, "check": check}


def main(arguments: Optional[List[str]] = None) -> int:
    """Parse the command line and answer."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline",
        description=__doc__,
        epilog="Settings are given as to luigi: LUIGI_CONFIG_PATH=FILE before the command, or --videos-path DIR behind it.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("status", help="what is done, and where it is")
    commands.add_parser("check", help="the table of all clips")
    comparing = commands.add_parser("compare", help="evaluated runs side by side: settings and metrics that differ")
    comparing.add_argument(
        "runs", nargs="+", metavar="RUN", help="folder of an evaluation or report, or a part of its name"
    )
    comparing.add_argument("--to", metavar="FILE.html", help="write a page, too")
    replica = commands.add_parser("replica", help="on another machine of [device] hosts: train along; docs/devices.md")
    replica.add_argument("--rank", type=int, required=True, metavar="N", help="its place in hosts, from 1 on")
    options, settings = parser.parse_known_args(arguments)
    try:
        _take_settings(settings)
        if options.command == "replica":
            return replica_of(options.rank)
        return compare(options.runs, options.to) if options.command == "compare" else _COMMANDS[options.command]()
    except TccError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # who reads has seen enough
        sys.stderr.close()
        return 0


def _take_settings(arguments: List[str]) -> None:
    """--section-option VALUE, as luigi takes them, into the environment, where the settings look."""
    known = {
        f"--{section}-{field.name}".replace("_", "-"): f"{ENVIRONMENT_PREFIX}{section}_{field.name}".upper()
        for section, dataclass in SECTIONS.items()
        for field in dataclasses.fields(dataclass)
    }
    words = [word for argument in arguments for word in argument.split("=", 1)]
    for option, value in zip_longest(words[::2], words[1::2]):
        if option not in known or value is None:
            raise SettingsError(f"{option}: no such option, or its value is missing; docs/configuration.md has all")
        os.environ[known[option]] = value


if __name__ == "__main__":
    sys.exit(main())
