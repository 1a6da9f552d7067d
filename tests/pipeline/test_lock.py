"""The lock of a work folder."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time

import pytest

from pipeline import lock
from pipeline.lock import holder, locked
from tcc.errors import TargetError
from tcc.progress import silent


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(lock, "_SECONDS_BETWEEN_LOOKS", 0.02)
    monkeypatch.setattr(lock, "_SECONDS_BETWEEN_TOUCHES", 0.05)
    monkeypatch.setattr(lock, "_SECONDS_WITHOUT_A_TOUCH", 0.5)


def test_who_holds_it_is_told_while_it_is_held(tmp_path):
    path = tmp_path / "deep" / "a.lock"
    assert holder(path) is None
    with locked(path, silent):
        assert holder(path) == {"host": socket.gethostname(), "pid": os.getpid()}
    assert holder(path) is None


def test_an_error_gives_it_back(tmp_path):
    with pytest.raises(ValueError), locked(tmp_path / "a.lock", silent):
        raise ValueError
    assert holder(tmp_path / "a.lock") is None


def test_a_second_one_waits_and_says_for_whom(tmp_path):
    told, order = [], []

    def second():
        with locked(tmp_path / "a.lock", lambda fraction, status: told.append(status)):
            order.append("second")

    with locked(tmp_path / "a.lock", silent):
        thread = threading.Thread(target=second)
        thread.start()
        while not told:
            time.sleep(0.01)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
    assert told[0] == f"another run is doing this (process {os.getpid()} on {socket.gethostname()}); waiting for it"


def test_one_of_a_killed_process_never_blocks(tmp_path):
    path = tmp_path / "a.lock"
    code = (
        "import os, signal, sys; from pathlib import Path; from pipeline.lock import locked; from tcc.progress import silent\n"
        "with locked(Path(sys.argv[1]), silent): os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code, str(path)])
    assert json.loads(path.read_text())["host"] == socket.gethostname()
    assert holder(path) is None
    told = []
    with locked(path, lambda fraction, status: told.append(status)):
        assert told == []


def test_one_of_a_live_process_on_another_machine_is_respected_until_it_is_silent(tmp_path):
    path = tmp_path / "a.lock"
    path.write_text(json.dumps({"host": "elsewhere", "pid": 7}))
    assert holder(path) == {"host": "elsewhere", "pid": 7}
    alive, got = threading.Event(), threading.Event()
    alive.set()

    def touch():
        while alive.is_set():
            os.utime(path)
            time.sleep(0.05)

    def take():
        with locked(path, silent):
            got.set()

    threads = [threading.Thread(target=touch), threading.Thread(target=take)]
    for thread in threads:
        thread.start()
    assert not got.wait(1.2)
    alive.clear()
    assert got.wait(5)
    for thread in threads:
        thread.join()


def test_one_that_another_machine_gave_back_is_taken_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "_SECONDS_WITHOUT_A_TOUCH", 60)
    path = tmp_path / "a.lock"
    path.write_text(json.dumps({"host": "elsewhere", "pid": 7}))
    threading.Timer(0.1, lambda: path.write_text("")).start()
    with locked(path, silent):
        assert holder(path)["pid"] == os.getpid()


def test_a_file_system_without_locks_is_named(tmp_path, monkeypatch):
    def refuse(file, how):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(lock.fcntl, "flock", refuse)
    with (
        pytest.raises(TargetError, match=r"this file system cannot lock files .*Lustre"),
        locked(tmp_path / "a", silent),
    ):
        pass


def test_a_lock_file_that_was_deleted_while_somebody_waited_for_it_is_made_again(tmp_path):
    path = tmp_path / "a.lock"
    waiting, held = threading.Event(), threading.Event()

    def wait():
        with locked(path, lambda *_: waiting.set()):
            held.set()
            done.wait(20)

    done = threading.Event()
    thread = threading.Thread(target=wait, daemon=True)
    with locked(path, silent):
        thread.start()
        assert waiting.wait(20)
        path.unlink()
    assert held.wait(20)
    assert holder(path) == {"host": socket.gethostname(), "pid": os.getpid()}
    done.set()
    thread.join()
