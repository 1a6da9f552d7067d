"""A further process of a training on several devices: `python -m pipeline.replica`, its request as JSON on standard input.

It has its rank in the environment, trains along and writes nothing; it dies with its parent.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

import luigi.task_register

from pipeline import settings as settings_module
from pipeline.replicas import EXIT_INTERRUPTED, train_along
from pipeline.supervisor import die_with_parent
from tcc.config import Settings

_SECONDS_BETWEEN_LOOKS = 0.2


def main() -> int:
    """Read the request, train along, return the exit code."""
    request = json.loads(sys.stdin.read())
    stop = _stop_with(request["parent"])
    importlib.import_module(request["module"])
    with settings_module.using(Settings.from_dict(request["settings"])):
        task = luigi.task_register.Register.get_task_cls(request["task"])(**request["params"])
        return train_along(task, Path(request["directory"]), stop)


def _stop_with(parent: int) -> threading.Event:
    """Set by SIGTERM, and by the death of the parent, after which this process does not live long either."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    die_with_parent(signal.SIGKILL)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_SECONDS_BETWEEN_LOOKS)
        os._exit(EXIT_INTERRUPTED)

    threading.Thread(target=watch, daemon=True).start()
    return stop


if __name__ == "__main__":
    sys.exit(main())
