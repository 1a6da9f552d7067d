"""The lock of a work folder: two runs never build the same target, on one machine or on several that share the folder.

The kernel gives a lock back when its process dies. Some shared file systems keep such locks to each machine; the file
therefore also says who holds it, and the holder touches it every few seconds. A holder on another machine is believed alive
as long as that goes on: watched by this machine's own clock, so that clocks need not agree.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import threading
import time
from pathlib import Path
from typing import Any, Dict, Iterator, Optional, TextIO

from tcc.errors import TargetError
from tcc.progress import Progress

_SECONDS_BETWEEN_LOOKS = 1.0
_SECONDS_BETWEEN_TOUCHES = 5.0
_SECONDS_WITHOUT_A_TOUCH = 30.0  # a holder elsewhere that was not heard of for so long is dead


@contextlib.contextmanager
def locked(path: Path, progress: Progress) -> Iterator[None]:
    """Hold the lock `path`; wait for who holds it, saying so by `progress`. The file stays, for the next.

    Raises: TargetError where the file system has no locks.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _taken(path, progress) as file:
        _wait_for_another_machine(path, progress)
        _write(file, {"host": socket.gethostname(), "pid": os.getpid()})
        try:
            with _touched(path):
                yield
        finally:
            _write(file, {})


def holder(path: Path) -> Optional[Dict[str, Any]]:
    """Who holds the lock: {"host", "pid"} as far as it is known; None if nobody does. Waits for nothing.

    A holder on another machine counts for as long as the lock was touched in the last half minute by the clocks' account.
    """
    try:
        with open(path, encoding="utf-8") as file:
            told = _holder(path)
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                return told
            elsewhere = told.get("host") not in (None, socket.gethostname())
            return told if elsewhere and time.time() - path.stat().st_mtime < _SECONDS_WITHOUT_A_TOUCH else None
    except FileNotFoundError:
        return None


def _taken(path: Path, progress: Progress) -> TextIO:
    """The file of that name, locked. One that was deleted meanwhile (`clean`) locks nobody out: the new one is taken."""
    while True:
        file = open(path, "a+", encoding="utf-8")  # noqa: SIM115, the caller closes it
        while not _take(file.fileno(), path):
            progress(0.0, f"another run is doing this{who(_holder(path))}; waiting for it")
            time.sleep(_SECONDS_BETWEEN_LOOKS)
        if _is_still(file.fileno(), path):
            return file
        file.close()


def _is_still(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), os.stat(path))
    except FileNotFoundError:
        return False


def _take(file: int, path: Path) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False
    except OSError as error:
        raise TargetError(
            f"{path}: this file system cannot lock files ({error}); put [execution] data on one that can (NFS: version 4 or "
            "a lock daemon; Lustre: mount with flock)"
        ) from error


def _wait_for_another_machine(path: Path, progress: Progress) -> None:
    """Wait while a holder on another machine still touches the file, which its kernel's lock did not tell us."""
    told = _holder(path)
    if told.get("host") in (None, socket.gethostname()):
        return
    touched, since = _when_touched(path), time.monotonic()
    while _holder(path) and time.monotonic() - since < _SECONDS_WITHOUT_A_TOUCH:
        progress(0.0, f"another run is doing this{who(told)}; waiting for it")
        time.sleep(_SECONDS_BETWEEN_LOOKS)
        if _when_touched(path) != touched:
            touched, since = _when_touched(path), time.monotonic()


def _when_touched(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:  # its holder deleted it
        return 0


@contextlib.contextmanager
def _touched(path: Path) -> Iterator[None]:
    """Touch the file from time to time."""
    done = threading.Event()

    def touch() -> None:
        while not done.wait(_SECONDS_BETWEEN_TOUCHES):
            with contextlib.suppress(OSError):
                os.utime(path)

    thread = threading.Thread(target=touch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _holder(path: Path) -> Dict[str, Any]:
    """What the file says; nothing where it is empty or half written."""
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return {}


def _write(file: Any, who: Dict[str, Any]) -> None:
    with contextlib.suppress(OSError):  # a full disk: the kernel's lock holds all the same
        file.seek(0)
        file.truncate()
        file.write(json.dumps(who) if who else "")
        file.flush()


def who(told: Dict[str, Any]) -> str:
    """In words for the end of a sentence; nothing where it is not known."""
    return f" (process {told['pid']} on {told['host']})" if {"pid", "host"} <= set(told) else ""
