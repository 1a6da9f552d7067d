"""The child process of a stage: `python -m pipeline.child`, its request as JSON on standard input.

It holds the lock of its work folder, so that two runs never build the same target at once; writes what libraries print into
the log; and ends when its parent does, whatever happens to that.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import re
import shutil
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any, Callable, Dict, TextIO

import luigi.task
import luigi.task_register

from pipeline import settings as settings_module
from pipeline.base import Job, StageTask
from pipeline.failures import FAILURE, may_pass
from pipeline.lock import locked
from pipeline.provenance import LOG, describe_run, hash_files, write_json
from pipeline.supervisor import die_with_parent
from tcc.config import Settings
from tcc.errors import TargetError, TccError, disk_error, explain
from tcc.manifest import MANIFEST
from tcc.progress import Interrupted, Progress

EXIT_FAILED = 1
EXIT_INTERRUPTED = 143
_SECONDS_BETWEEN_LOOKS = 1.0
_SECONDS_TO_SAVE = 60.0
_SECONDS_BETWEEN_EVENTS = 0.2
_LEFTOVER = re.compile(r"\.\d+\.part$|\.tmp$")  # as atomic writes name what is not whole yet


def main() -> int:
    """Read a request, do the work, return the exit code."""
    request = json.loads(sys.stdin.read())
    stop = threading.Event()
    _follow_parent(request["parent"], stop)
    events = os.fdopen(os.dup(1), "w")
    try:
        with settings_module.using(Settings.from_dict(request["settings"])):
            return _serve(request, events, stop)
    except Interrupted:
        return EXIT_INTERRUPTED
    except Exception as error:
        _send_error(events, error, "")
        return EXIT_FAILED


def _serve(request: Dict[str, Any], events: TextIO, stop: threading.Event) -> int:
    task = _task(request)
    with locked(task.lock_path, _reporter(events, stop)):
        if task.complete() and not request["rerun"]:
            return 0
        return _build(task, events, stop, rerun=request["rerun"])


def _task(request: Dict[str, Any]) -> StageTask:
    importlib.import_module(request["module"])
    task: StageTask = luigi.task_register.Register.get_task_cls(request["task"])(**request["params"])
    if task.fingerprint != request["fingerprint"]:
        raise TargetError(
            f"{request['task']}: its inputs changed while it waited to start (fingerprint {request['fingerprint']} "
            f"became {task.fingerprint}); run again"
        )
    return task


def _build(task: StageTask, events: TextIO, stop: threading.Event, *, rerun: bool) -> int:
    work = task.work_directory
    work.mkdir(parents=True, exist_ok=True)
    if (work / MANIFEST).exists():  # a run was killed between its last two renames
        publish(work, task.directory)
        return 0
    _remove_leftovers(work)
    (work / FAILURE).unlink(missing_ok=True)
    with open(work / LOG, "a", encoding="utf-8") as log:
        _redirect_output(log)
        try:
            _make(task, events, stop, rerun=rerun)
        except (Interrupted, KeyboardInterrupt):
            print("stopped on request; run again to continue", flush=True)
            return EXIT_INTERRUPTED
        except Exception as error:
            _send_error(events, error, str(work / LOG))
            with contextlib.suppress(OSError):  # the disk may be full
                traceback.print_exc()
                write_json(work / FAILURE, {"error": explain(error), "time": time.time()})
            return EXIT_FAILED
    publish(work, task.directory)
    return 0


def _remove_leftovers(work: Path) -> None:
    """Delete what a killed run left half written; a download's own .part is gone on with."""
    for path in [*work.rglob("*.part"), *work.rglob("*.tmp"), *work.rglob(".*.tmp")]:
        if path.is_file() and _LEFTOVER.search(path.name):
            path.unlink(missing_ok=True)


def _make(task: StageTask, events: TextIO, stop: threading.Event, *, rerun: bool) -> None:
    started = time.time()
    progress = _reporter(events, threading.Event() if task.saves_when_stopped else stop)
    fail = _end_at_once(task, events)
    job = Job(task.work_directory, task.settings, progress, stop.is_set, rerun, _asked_for_a_checkpoint(), fail)
    for read in luigi.task.flatten(task.requires()):
        read.refuse_damaged()
    made = task.make(job)
    result = {
        **task.described(),
        "counts": made.counts,
        "skipped": made.skipped,
        **made.details,
        "files": hash_files(job.directory, task.hash_file),
    }
    run = describe_run(started=started, seconds=time.time() - started, device=made.device)
    write_json(job.directory / MANIFEST, {"result": result, "run": run})


def _end_at_once(task: StageTask, events: TextIO) -> Callable[[str], None]:
    def fail(text: str) -> None:
        _send(events, {"error": text, "log": str(task.work_directory / LOG), "traceback": "", "may_pass": True})
        os._exit(EXIT_FAILED)

    return fail


def publish(work: Path, target: Path) -> None:
    """Put a whole target in its place; what was there before goes when the new one is whole."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        old = work.with_name(f"{work.name}.old")
        shutil.rmtree(old, ignore_errors=True)
        os.rename(target, old)
        os.rename(work, target)
        shutil.rmtree(old, ignore_errors=True)
    else:
        os.rename(work, target)
    folder = os.open(target.parent, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)


def _reporter(events: TextIO, stop: threading.Event) -> Progress:
    """A progress callback that tells the parent; it ends the work by Interrupted once `stop` is set."""
    next_time = 0.0

    def report(fraction: float, status: str) -> None:
        nonlocal next_time
        if stop.is_set():
            raise Interrupted
        now = time.monotonic()
        if now >= next_time or fraction >= 1:
            next_time = now + _SECONDS_BETWEEN_EVENTS
            _send(events, {"fraction": min(max(float(fraction), 0.0), 1.0), "status": status})

    return report


def _send_error(events: TextIO, error: Exception, log: str) -> None:
    """To be called where the error is handled."""
    told = disk_error(error, str(Path(log).parent) if log else "") or error
    unexpected = "" if isinstance(told, TccError) else traceback.format_exc()
    _send(events, {"error": explain(told), "log": log, "traceback": unexpected, "may_pass": may_pass(error)})


def _send(events: TextIO, event: Dict[str, Any]) -> None:
    with contextlib.suppress(BrokenPipeError):  # the parent is gone; the watcher ends this process
        events.write(json.dumps(event) + "\n")
        events.flush()


def _redirect_output(log: TextIO) -> None:
    """What libraries print, in Python or below it, goes into the log."""
    sys.stdout.flush()
    os.dup2(log.fileno(), 1)
    os.dup2(log.fileno(), 2)


def _asked_for_a_checkpoint() -> Callable[[], bool]:
    """Whether SIGUSR1 came since the last call."""
    asked = threading.Event()
    signal.signal(signal.SIGUSR1, lambda *_: asked.set())

    def was_asked() -> bool:
        answer = asked.is_set()
        asked.clear()
        return answer

    return was_asked


def _follow_parent(parent: int, stop: threading.Event) -> None:
    """SIGTERM asks for a stop; so does the death of the parent, after which this process lives a minute at most."""
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent too, which then asks for a stop
    die_with_parent(signal.SIGTERM)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_SECONDS_BETWEEN_LOOKS)
        stop.set()
        time.sleep(_SECONDS_TO_SAVE)
        os._exit(EXIT_INTERRUPTED)

    threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    sys.exit(main())
