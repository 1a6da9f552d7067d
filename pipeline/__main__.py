"""`python -m pipeline COMMAND`: what was made, why it is to be made again, what is damaged or superseded.

Exit codes: 0, all is well; 1, something is missing, stale, damaged, different or to be deleted; 2, an error, told in one line.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
from itertools import zip_longest
from typing import Any, Callable, Dict, List, Optional

from pipeline.commands.answer import ERROR, GOOD, NOT_ALL, Answer
from pipeline.settings import ENVIRONMENT_PREFIX, current
from tcc.config import SECTIONS
from tcc.errors import SettingsError, TccError, explain


def main(arguments: Optional[List[str]] = None) -> int:
    """Parse the command line, print the answer, return the exit code."""
    options, settings = _parser().parse_known_args(arguments)
    try:
        _take_settings(settings)
        answer = _COMMANDS[options.command](options)
        print(json.dumps(answer.data, indent=1, sort_keys=True) + "\n" if options.json else answer.text, end="")
        return answer.code
    except BrokenPipeError:  # who reads has seen enough
        sys.stderr.close()
        return GOOD
    except (TccError, OSError) as error:
        print(f"error: {explain(error)}", file=sys.stderr)
        return ERROR


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Settings are given as to luigi: LUIGI_CONFIG_PATH=FILE before the command, or --videos-path DIR behind it.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("--json", action="store_true", help="answer as JSON")
        return command

    def add_task(command: argparse.ArgumentParser) -> None:
        text = "a task (TrainTask), a stage (checkpoints), or a part of the name of a target"
        command.add_argument("task", metavar="TASK", help=text)

    add("status", "each task of RunAll: done, running, failed, interrupted, stale or missing; and where its target is")
    add("plan", "what RunAll would do now, and how long it may take")
    add_task(add("why", "which setting, code version or input makes a task stale"))
    add("verify", "whether all targets are what their manifests say")
    cleaning = add("clean", "what no present or recent run uses; nothing is deleted without --yes")
    cleaning.add_argument(
        "--keep", type=int, default=1, metavar="N", help="newest others to keep of each kind; default 1"
    )
    cleaning.add_argument("--yes", action="store_true", help="delete it")
    add_task(add("mark-done", "take the earlier target of a stale task as it is"))
    add("check", "the table of all clips")
    comparing = add("diff", "evaluated runs side by side: settings and metrics that differ")
    comparing.add_argument(
        "runs", nargs="+", metavar="RUN", help="folder of an evaluation or report, or a part of its name"
    )
    comparing.add_argument("--to", metavar="FILE.html", help="write a page, too")
    scheduling = commands.add_parser("scheduler", help="Luigi's central scheduler and its page, on this machine alone")
    scheduling.add_argument("--port", type=int, default=8082, metavar="N", help="default 8082")
    scheduling.set_defaults(json=False)
    replica = commands.add_parser("replica", help="on another machine of [device] hosts: train along; docs/devices.md")
    replica.add_argument("--rank", type=int, required=True, metavar="N", help="its place in hosts, from 1 on")
    replica.set_defaults(json=False)
    return parser


def _status(options: argparse.Namespace) -> Answer:
    from pipeline.commands.status import status
    from pipeline.report import REPORT
    from pipeline.run_all import last_tasks

    last, results = last_tasks(), {}
    if last["report"].complete():
        results["report"] = str(last["report"].directory / REPORT)
    if last["model"].complete():
        results["model"] = str(last["model"].directory)
    return status(_tasks(), _targets(), results)


def _plan(options: argparse.Namespace) -> Answer:
    from pipeline.commands.plan import plan

    return plan(_tasks(), _targets())


def _why(options: argparse.Namespace) -> Answer:
    from pipeline.commands.why import why

    return why(_named(options.task), _targets())


def _verify(options: argparse.Namespace) -> Answer:
    from pipeline.commands.verify import verify

    return verify(_targets())


def _clean(options: argparse.Namespace) -> Answer:
    from pipeline.commands.clean import clean

    if options.keep < 0:
        raise SettingsError(f"--keep: must not be negative; got {options.keep}")
    return clean(_tasks(), _targets(), keep=options.keep, really=options.yes)


def _mark_done(options: argparse.Namespace) -> Answer:
    from pipeline.commands.mark_done import mark_done

    return mark_done(_named(options.task), _targets())


def _check(options: argparse.Namespace) -> Answer:
    from pipeline.check import CheckTask

    task = CheckTask()
    table = task.table()
    text = "not made yet: luigi --module pipeline CheckTask --local-scheduler\n" if table is None else table
    return Answer(task.rows(), text, GOOD if task.complete() else NOT_ALL)


def _diff(options: argparse.Namespace) -> Answer:
    from tcc.report import as_text, compare_runs, find_run, read_run, write_comparison

    root = current().execution.data
    comparison = compare_runs([read_run(find_run(run, root)) for run in options.runs])
    text = as_text(comparison)
    if options.to:
        write_comparison(options.to, comparison)
        text += f"\npage: {options.to}\n"
    return Answer(dataclasses.asdict(comparison), text, NOT_ALL if comparison.settings or comparison.metrics else GOOD)


def _scheduler(options: argparse.Namespace) -> Answer:
    from pathlib import Path

    from pipeline.scheduler import serve

    print(f"http://127.0.0.1:{options.port} (Ctrl-C ends it)", flush=True)
    serve(Path(current().execution.data), options.port)
    return Answer(None, "")


def _replica(options: argparse.Namespace) -> Answer:
    from pipeline.replicas import serve
    from pipeline.training import TrainTask

    serve(options.rank, [task for task in _tasks() if isinstance(task, TrainTask)])
    return Answer(None, "")


_COMMANDS: Dict[str, Callable[[argparse.Namespace], Answer]] = {
    "status": _status,
    "plan": _plan,
    "why": _why,
    "verify": _verify,
    "clean": _clean,
    "mark-done": _mark_done,
    "check": _check,
    "diff": _diff,
    "replica": _replica,
    "scheduler": _scheduler,
}


def _tasks() -> List[Any]:
    from pipeline.base import tasks_in_order
    from pipeline.run_all import last_tasks

    return tasks_in_order(*last_tasks().values())


def _targets() -> Any:
    from pathlib import Path

    from pipeline.commands.targets import Targets

    return Targets(Path(current().execution.data))


def _named(text: str) -> List[Any]:
    from pipeline.commands.targets import find_tasks

    tasks = _tasks()
    found = find_tasks(text, tasks)
    if not found:
        known = ", ".join(dict.fromkeys(type(task).__name__ for task in tasks))
        raise SettingsError(f"{text}: no task of RunAll has this name; the tasks are {known}")
    return found


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
