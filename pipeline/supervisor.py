"""The parent's side of a stage's child process: start it, pass on its progress, stop it, say why it failed.

The child's standard output carries one JSON object a line: {"fraction", "status"}, and last, if it failed, {"error", "log",
"traceback", "may_pass"}; the traceback is empty for errors of our own family, which say all that a user needs. What may pass (a
file server or network that does not answer, a process that something killed) is tried again; nothing else is.
"""

from __future__ import annotations

import ctypes
import json
import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Callable, Dict, Optional, Tuple

from tqdm import tqdm

from pipeline import page, run_log
from pipeline.failures import StageFailed
from pipeline.provenance import LOG
from tcc.device import tensorflow_environment

_log = logging.getLogger("luigi-interface.pipeline")
_PR_SET_PDEATHSIG = 1
_SECONDS_BETWEEN_LINES = 10.0
_SECONDS_BETWEEN_PAGE_UPDATES = 1.0
_SECONDS_TO_STOP = 60.0
_LOG_LINES_SHOWN = 15


def run_in_child(task: Any) -> None:
    """Do a task's work in a fresh process and return when its target is whole.

    Raises: StageFailed with the child's error, or how it died and the end of its log.
    """
    if multiprocessing.parent_process() is not None:  # one of Luigi's worker processes, which outlive a killed Luigi
        die_with_parent(signal.SIGTERM)
    execution = task.settings.execution
    page.show_log_link(task)
    for number in range(1, execution.retries + 2):
        failure = _attempt(task, number)
        if failure is None:
            return
        if not failure.may_pass or number > execution.retries:
            run_log.report_failure(task, _report(task, failure))
            raise failure
        _log.warning("%s; again in %g s (%d of %d)", failure, execution.retry_seconds, number, execution.retries)
        time.sleep(execution.retry_seconds)


def _attempt(task: Any, number: int) -> Optional[StageFailed]:
    """Try once; the failure, or None."""
    started, stopped = time.time(), threading.Event()
    child = _start(task)
    try:
        with page.obeying_messages(task, _on_message(task, child, stopped)):
            last = _relay(task, child)
        code, peak = _wait(child)
    finally:
        _stop(child)
    failure = None if code == 0 else _failure(task, code, last, stopped.is_set())
    error = None if failure is None else str(failure)
    run_log.record(task, run_log.Attempt(number, started, time.time(), child.pid, code, peak, error))
    return failure


def _on_message(task: Any, child: subprocess.Popen[str], stopped: threading.Event) -> Dict[str, Callable[[], str]]:
    """What the words that can be sent from the scheduler's page do."""

    def stop() -> str:
        stopped.set()
        child.send_signal(signal.SIGTERM)
        return "stopping; what is done is kept"

    def checkpoint() -> str:
        child.send_signal(signal.SIGUSR1)
        return "a checkpoint will be written after this step"

    return {page.STOP: stop, page.CHECKPOINT: checkpoint} if task.saves_when_stopped else {page.STOP: stop}


def _wait(child: subprocess.Popen[str]) -> Tuple[int, int]:
    """Wait for the child: its exit code and the most memory it held at once, in bytes."""
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
    return child.returncode, usage.ru_maxrss * 1024


def die_with_parent(signal_number: int) -> None:
    """Ask the kernel to send this process `signal_number` when its parent dies (Linux; elsewhere nothing happens)."""
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal_number)
    except (OSError, AttributeError):
        _log.debug("no prctl here: a killed parent is noticed by polling alone")


def _start(task: Any) -> subprocess.Popen[str]:
    request = {
        "module": type(task).__module__,
        "task": task.task_family,
        "params": task.params,
        "fingerprint": task.fingerprint,
        "rerun": task.rerun,
        "settings": task.settings.as_dict(),
        "parent": os.getpid(),
    }
    project = str(Path(__file__).resolve().parent.parent)
    paths = [project, *filter(None, [os.environ.get("PYTHONPATH")])]
    child = subprocess.Popen(
        [sys.executable, "-m", "pipeline.child"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**tensorflow_environment(), **os.environ, "PYTHONPATH": os.pathsep.join(paths)},
    )
    assert child.stdin is not None
    child.stdin.write(json.dumps(request))
    child.stdin.close()
    return child


def _relay(task: Any, child: subprocess.Popen[str]) -> Dict[str, Any]:
    """Pass the child's events on to the terminal, the log and the scheduler's page; return the last one."""
    last: Dict[str, Any] = {}
    assert child.stdout is not None
    with _Display(task) as display:
        for line in child.stdout:
            last = json.loads(line)
            if "fraction" in last:
                display.show(last["fraction"], last["status"])
    return last


def _stop(child: subprocess.Popen[str]) -> None:
    """Let the child save and stop; kill it if it does not."""
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(_SECONDS_TO_STOP)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
    if child.stdout is not None:
        child.stdout.close()


def _failure(task: Any, code: int, last: Dict[str, Any], stopped: bool) -> StageFailed:
    if stopped:
        return StageFailed(f"{task.task_family}: stopped by a message from the scheduler's page; run again to continue")
    if "error" in last:
        error, log = f"{task.task_family}: {last['error']}", f"(log: {last['log'] or 'none was begun'})"
        if last["traceback"]:
            return StageFailed(f"{error}\n{log}", last["traceback"], may_pass=last["may_pass"])
        return StageFailed(error, log, may_pass=last["may_pass"])
    log = task.work_directory / LOG
    how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    return StageFailed(
        f"{task.task_family}: its process ended early ({how}); run again to continue\n{_tail(log)}(log: {log})",
        may_pass=code == -signal.SIGKILL,
    )


def _report(task: Any, failure: StageFailed) -> str:
    """For the report of failures."""
    parts = [str(failure), failure.details, f"last lines of the log:\n{_tail(task.work_directory / LOG)}"]
    return "\n".join(filter(None, parts))


def _tail(log: Path) -> str:
    try:
        lines = log.read_text(errors="replace").splitlines()[-_LOG_LINES_SHOWN:]
    except OSError:
        return ""
    return "".join(f"  {line}\n" for line in lines)


class _Display:
    """A bar in a terminal, plain lines elsewhere, percentage and status in the scheduler's page."""

    def __init__(self, task: Any) -> None:
        self._task = task
        self._title = f"{task.stage} {task.name}"
        self._bar: Optional[tqdm] = None
        self._next_line = time.monotonic() + _SECONDS_BETWEEN_LINES
        self._next_page_update = 0.0

    def __enter__(self) -> _Display:
        if sys.stderr.isatty():
            bar_format = "{desc} {percentage:3.0f}%|{bar:20}| {postfix}"
            self._bar = tqdm(total=100, desc=self._title, bar_format=bar_format, leave=False, dynamic_ncols=True)
        return self

    def __exit__(self, *exception: Any) -> None:
        if self._bar is not None:
            self._bar.close()

    def show(self, fraction: float, status: str) -> None:
        now = time.monotonic()
        if self._bar is not None:
            self._bar.n = round(100 * fraction)
            self._bar.set_postfix_str(status)
        elif now >= self._next_line:
            _log.info("%s: %3.0f %%, %s", self._title, 100 * fraction, status)
            self._next_line = now + _SECONDS_BETWEEN_LINES
        if now >= self._next_page_update or fraction >= 1:
            self._task.set_progress_percentage(round(100 * fraction))
            self._task.set_status_message(status)
            self._next_page_update = now + _SECONDS_BETWEEN_PAGE_UPDATES
