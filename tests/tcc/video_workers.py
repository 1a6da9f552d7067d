"""What the tests of isolation let the worker processes do; importable by them, so not inside a test module.

Decoders are imported where they are used: most of these workers need none, and start faster without.
"""

from __future__ import annotations

import errno
import importlib
import os
import signal
import time
from pathlib import Path
from typing import Any

from tcc.isolation import heartbeat


class Unpicklable(Exception):
    def __init__(self, first: str, second: str) -> None:
        super().__init__(first)


def act(item: Any) -> Any:
    """Do what the item says."""
    kind, value = item
    if kind == "square":
        return value * value
    if kind == "signal":
        os.kill(os.getpid(), value)
    if kind == "signal_once" and not Path(value).exists():
        Path(value).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if kind == "touch":
        Path(value).touch()
    if kind == "exit":
        os._exit(value)
    if kind == "sleep":
        time.sleep(value)
    if kind == "beat":
        for _ in range(10):
            time.sleep(value / 10)
            heartbeat()
    if kind == "raise":
        raise ValueError(value)
    if kind == "unpicklable":
        raise Unpicklable("odd", "error")
    if kind == "pid_then_sleep":
        Path(value, str(os.getpid())).touch()
        time.sleep(60)
    return kind


def decode_badly(job: Any) -> None:
    """Crash, hang or fail for clips that are named so; each attempt leaves a mark beside the video."""
    with open(f"{job.source}.attempts", "a") as marks:
        marks.write("x")
    if "crash" in job.clip.name:
        os.kill(os.getpid(), signal.SIGSEGV)
    if "hang" in job.clip.name:
        time.sleep(60)
    if "full" in job.clip.name:
        raise OSError(errno.ENOSPC, "No space left on device")
    if "away" in job.clip.name:
        os.rename(job.source, f"{job.source}.elsewhere")
    importlib.import_module("tcc.video.frames").decode_clip(job)
    if "replaced" in job.clip.name:
        os.utime(job.source, (1, 1))


def probe_badly(path: str) -> Any:
    """Crash or hang for files that are named so."""
    if "crash" in path:
        os.kill(os.getpid(), signal.SIGSEGV)
    if "hang" in path:
        time.sleep(60)
    return importlib.import_module("tcc.video.probe").probe_clip(path)


def render_badly(item: Any) -> None:
    """Exit in place of rendering the first clip, find the disk full in place of the second."""
    if item[2] == "train_000.mp4":
        os._exit(7)
    raise OSError(errno.ENOSPC, "No space left on device", item[2])
