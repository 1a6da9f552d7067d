"""Call a function on many items in processes whose crash or hang costs one item.

Native decoders fail in ways that no `except` catches: a segmentation fault, an endless loop. The processes are plain
subprocesses, not multiprocessing's: those refuse to start inside a daemonic process and run the caller's main module
again.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import pickle
import resource
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from dataclasses import dataclass
from multiprocessing import connection as pipes
from typing import Any, Callable, Deque, List, Optional, Sequence, Set

from tcc.errors import VideoError

CRASHED = "decoder_crashed"
HUNG = "decoder_hung"
HUNG_ADVICE = "; to give it longer, raise [execution] clip_timeout_seconds and run its stage with --rerun"
ERROR = "error"

_START_TIMEOUT_SECONDS = 300.0
_HEARTBEAT_SECONDS = 0.2
_DYING_SECONDS = 5.0
_MOST_LOST = 3
_PR_SET_PDEATHSIG = 1
# Signals that people, schedulers and the out-of-memory killer send; a decoder that crashes does not raise them.
_FROM_OUTSIDE = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
# FFmpeg would write a line for every damaged packet.
_QUIET = {"OPENCV_FFMPEG_LOGLEVEL": "-8", "OPENCV_LOG_LEVEL": "SILENT"}
_BOOT = (
    "import json, sys; a = sys.argv; sys.path[:] = json.loads(a[1]); "
    "from tcc import isolation; isolation._serve(int(a[2]), int(a[3]))"
)


@dataclass(frozen=True)
class Outcome:
    """What became of one item.

    Attributes:
      value: what the function returned.
      reason: empty, decoder_crashed, decoder_hung or error.
      detail: in words.
      exception: what the function raised (reason error).
    """

    value: Any = None
    reason: str = ""
    detail: str = ""
    exception: Optional[BaseException] = None

    @property
    def text(self) -> str:
        """Reason and detail in one line."""
        return self.detail if self.reason == ERROR else f"{self.reason}: {self.detail}"

    @property
    def problem(self) -> str:
        """The same for who has to mend it: with what to do about a hang."""
        return self.text + (HUNG_ADVICE if self.reason == HUNG else "")


def run_isolated(
    function: Callable[[Any], Any],
    items: Sequence[Any],
    *,
    workers: int,
    timeout_seconds: float,
    on_result: Optional[Callable[[int, Outcome], None]] = None,
) -> List[Outcome]:
    """Call `function(item)` for each item in worker processes; one Outcome per item, in the order of the items.

    A worker that dies by its own fault (a signal such as SIGSEGV, or an exit) costs its item, which is not tried again;
    one that is killed from outside (SIGKILL, SIGTERM) is replaced and its item tried once more. Workers die with the
    process that started them, however that ends.

    Args:
      function: of an importable module; items, results and exceptions are pickled.
      workers: number of processes, at most one per item.
      timeout_seconds: an item is given up if its worker neither returns nor calls `heartbeat` for so long.
      on_result: called in this process with (position of the item, Outcome) as each is done; may raise to stop it all.
    Raises: VideoError if a worker cannot start or cannot import the function.
    """
    pool = _Pool(pickle.dumps(function), list(items), timeout_seconds, on_result)
    try:
        return pool.run(min(workers, len(items)))
    finally:
        pool.stop()


def heartbeat() -> None:
    """Tell that the present item makes progress; nothing outside a worker. Cheap: may be called for every frame."""
    if _caller is not None:
        _caller.beat()


class _Pool:
    def __init__(self, function: bytes, items: List[Any], timeout: float, on_result: Optional[Callable]) -> None:
        self._function, self._items, self._timeout, self._on_result = function, items, timeout, on_result
        self._waiting: Deque[int] = deque(range(len(items)))
        self._outcomes: List[Optional[Outcome]] = [None] * len(items)
        self._unfinished = len(items)
        self._retried: Set[int] = set()
        self._lost = 0  # workers killed from outside before they could start
        self._workers: List[_Worker] = []

    def run(self, size: int) -> List[Outcome]:
        while self._unfinished:
            while len(self._workers) < size and len(self._free()) < len(self._waiting):
                self._workers.append(_Worker(self._function))
            self._feed()
            self._listen()
            self._give_up_hung()
        return [outcome for outcome in self._outcomes if outcome is not None]

    def stop(self) -> None:
        for worker in self._workers:
            worker.kill()

    def _free(self) -> List[_Worker]:
        return [worker for worker in self._workers if worker.item is None]

    def _feed(self) -> None:
        for worker in self._free():
            if worker.started and self._waiting:
                worker.item = self._waiting.popleft()
                worker.deadline = time.monotonic() + self._timeout
                # A worker that is already dead is noticed by the next read.
                with contextlib.suppress(OSError):
                    worker.pipe.send_bytes(pickle.dumps(self._items[worker.item]))

    def _listen(self) -> None:
        left = min(worker.deadline for worker in self._workers) - time.monotonic()
        ready = pipes.wait([worker.pipe for worker in self._workers], min(max(0.0, left), _START_TIMEOUT_SECONDS))
        for worker in [worker for worker in self._workers if worker.pipe in ready]:
            try:
                kind, content = pickle.loads(worker.pipe.recv_bytes())
            except (EOFError, OSError):
                self._bury(worker)
            else:
                self._handle(worker, kind, content)

    def _handle(self, worker: _Worker, kind: str, content: Any) -> None:
        if kind == "unusable":
            raise VideoError(
                f"a decoder process cannot take its work ({content}); pass a function of an importable module"
            )
        if kind == "ready":
            worker.started, worker.deadline = True, float("inf")
        elif kind == "alive":
            worker.deadline = time.monotonic() + self._timeout
        elif kind == "done":
            self._finish(worker, Outcome(value=content))
        else:
            self._finish(worker, Outcome(reason=ERROR, detail=_describe(content), exception=content))

    def _finish(self, worker: _Worker, outcome: Outcome) -> None:
        position = worker.item
        assert position is not None
        self._outcomes[position] = outcome
        self._unfinished -= 1
        worker.item, worker.deadline = None, float("inf")
        if self._on_result is not None:
            self._feed()  # what is done with the result is done while the workers go on
            self._on_result(position, outcome)

    def _bury(self, worker: _Worker) -> None:
        self._workers.remove(worker)
        status = worker.kill(_DYING_SECONDS)
        if not worker.started and -status in _FROM_OUTSIDE and self._lost < _MOST_LOST:
            self._lost += 1
            return
        if not worker.started:
            raise VideoError(
                f"a decoder process could not start ({_death(status)}); its messages are on standard error"
            )
        if worker.item is None:
            return
        if -status in _FROM_OUTSIDE and worker.item not in self._retried:
            self._retried.add(worker.item)
            self._waiting.appendleft(worker.item)
        else:
            self._finish(worker, Outcome(reason=CRASHED, detail=_death(status)))

    def _give_up_hung(self) -> None:
        now = time.monotonic()
        for worker in [worker for worker in self._workers if worker.deadline <= now]:
            self._workers.remove(worker)
            worker.kill()
            if not worker.started:
                raise VideoError(
                    f"a decoder process did not start within {_START_TIMEOUT_SECONDS:g} s; is the machine overloaded?"
                )
            self._finish(worker, Outcome(reason=HUNG, detail=f"no progress for {self._timeout:g} s"))


class _Worker:
    """One process, seen from the caller. `item` is the position of what it works on."""

    def __init__(self, function: bytes) -> None:
        self.pipe, theirs = pipes.Pipe()
        self.item: Optional[int] = None
        self.started = False
        self.deadline = time.monotonic() + _START_TIMEOUT_SECONDS
        path = json.dumps([entry or os.getcwd() for entry in sys.path])
        arguments = [sys.executable, "-c", _BOOT, path, str(theirs.fileno()), str(os.getpid())]
        self.process = subprocess.Popen(
            arguments, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()], env={**_QUIET, **os.environ}
        )
        theirs.close()
        with contextlib.suppress(OSError):
            self.pipe.send_bytes(function)

    def kill(self, patience: float = 0.0) -> int:
        """End the process, after `patience` seconds to end by itself; its exit status, negative for a signal."""
        self.pipe.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.process.wait(timeout=patience)
        self.process.kill()
        return self.process.wait()


def _death(status: int) -> str:
    if status >= 0:
        return f"exit status {status}"
    return f"signal {signal.Signals(-status).name}"


def _describe(error: BaseException) -> str:
    if isinstance(error, VideoError):
        return str(getattr(error, "reason", error))
    return f"{type(error).__name__}: {error}"


# What follows runs in the worker.


class _Caller:
    """The caller, seen from the worker."""

    def __init__(self, pipe: pipes.Connection) -> None:
        self._pipe = pipe
        self._lock = threading.Lock()
        self._last = 0.0

    def receive(self) -> Any:
        return pickle.loads(self._pipe.recv_bytes())

    def send(self, kind: str, content: Any = None) -> None:
        message = pickle.dumps((kind, content))
        with self._lock:
            self._pipe.send_bytes(message)

    def beat(self) -> None:
        now = time.monotonic()
        if now - self._last >= _HEARTBEAT_SECONDS:
            self._last = now
            self.send("alive")


_caller: Optional[_Caller] = None


def _serve(descriptor: int, parent: int) -> None:
    global _caller
    _die_with(parent)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Control-C reaches the whole process group; the caller decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _caller = _Caller(pipes.Connection(descriptor))
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        try:
            function = _caller.receive()
        except Exception as error:
            _caller.send("unusable", f"{type(error).__name__}: {error}")
            return
        _caller.send("ready")
        while True:
            _answer(_caller, function, _caller.receive())


def _answer(caller: _Caller, function: Callable[[Any], Any], item: Any) -> None:
    try:
        value = function(item)
    except Exception as error:
        caller.send("error", _portable(error))
    else:
        caller.send("done", value)


def _portable(error: Exception) -> Exception:
    """The exception itself, or its text where it cannot be pickled."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def _die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent ends, also by SIGKILL; not on Linux, the pipe's end does."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
