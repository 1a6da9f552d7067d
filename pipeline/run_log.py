"""The log of a run, `data/logs/<time>-<host>-<pid>.jsonl`: a line for each attempt at a task; beside it a report of failures.

A line holds task, target, attempt, start, end, seconds, host, pid, exit (negative: killed by that signal), peak memory in
bytes, error, versions. The file is made with its first line: a run that finds nothing to do leaves none.
"""

from __future__ import annotations

import contextlib
import datetime
import importlib.metadata
import json
import os
import platform
import socket
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Dict, Optional

LOGS = "logs"
_NAME = "PIPELINE_RUN"  # in the environment: the name of the run that the process goes on with
_PACKAGES = ("tensorflow", "tensorflow-cpu", "numpy", "luigi", "opencv-python", "opencv-python-headless", "av")
_run: Dict[str, str] = {}  # its name; Luigi's worker processes inherit it


@dataclass(frozen=True)
class Attempt:
    """One attempt at a task.

    Attributes:
      started, ended: seconds since 1970.
      pid: of the child process that did the work.
      code: its exit code; negative: killed by that signal.
      peak_bytes: the most memory it held at once.
      error: what went wrong, in one line or a few; None if nothing did.
    """

    number: int
    started: float
    ended: float
    pid: int
    code: int
    peak_bytes: int
    error: Optional[str] = None


def begin() -> None:
    """Give the run of this process its name; later calls change nothing."""
    now = datetime.datetime.now(datetime.timezone.utc)
    _run.setdefault("name", os.environ.get(_NAME) or f"{now:%Y%m%dT%H%M%SZ}-{socket.gethostname()}-{os.getpid()}")


def as_environment() -> Dict[str, str]:
    """What a process that goes on with this run has to find in its environment."""
    begin()
    return {_NAME: _run["name"]}


def path_of(root: Path, suffix: str = ".jsonl") -> Path:
    """Where this run's log is, or with another suffix what lies beside it."""
    begin()
    return root / LOGS / (_run["name"] + suffix)


def record(task: Any, attempt: Attempt) -> None:
    """Append a line; on a full or read-only disk nothing happens."""
    line = {
        "task": task.task_family,
        "target": f"{task.stage}/{task.name}",
        "attempt": attempt.number,
        "start": _iso(attempt.started),
        "end": _iso(attempt.ended),
        "seconds": round(attempt.ended - attempt.started, 3),
        "host": socket.gethostname(),
        "pid": attempt.pid,
        "exit": attempt.code,
        "peak_memory_bytes": attempt.peak_bytes,
        "error": attempt.error,
        "versions": _versions(),
    }
    _append(path_of(task.root), json.dumps(line, sort_keys=True) + "\n")


def report_failure(task: Any, text: str) -> None:
    """Append to the report of failures what went wrong, with the last lines of the task's log."""
    _append(
        path_of(task.root, ".failures.txt"), f"{_iso(None)} {task.task_family} {task.stage}/{task.name}\n{text}\n\n"
    )


def _append(path: Path, text: str) -> None:
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "ab") as file:  # one write: lines of several processes do not mix
            file.write(text.encode("utf-8", "replace"))


def _iso(seconds: Optional[float]) -> str:
    when = datetime.datetime.now(datetime.timezone.utc)
    if seconds is not None:
        when = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
    return when.isoformat(timespec="milliseconds")


@cache
def _versions() -> Dict[str, str]:
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return found
