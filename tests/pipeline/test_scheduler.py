"""The central scheduler: its page's link to a log, and messages that are obeyed. The toy pipeline, on a free port."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import luigi.rpc
import pytest

from pipeline.scheduler import log_of
from tests.pipeline.test_stage_task import environment

ROOT = Path(__file__).resolve().parents[2]


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as one:
        return one.getsockname()[1]


def wait_for(condition, seconds=60):
    until = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < until
        time.sleep(0.1)


@pytest.fixture
def scheduler(tmp_path):
    """(port, data folder) of a scheduler that runs."""
    port = free_port()
    process = subprocess.Popen(
        serve(port), cwd=ROOT, env=environment(tmp_path), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    wait_for(lambda: answers(port))
    yield port, tmp_path
    process.terminate()
    process.wait(20)


def serve(port):
    return [sys.executable, "-m", "pipeline", "scheduler", "--port", str(port)]


def answers(port):
    try:
        return urllib.request.urlopen(f"http://127.0.0.1:{port}/static/visualiser/index.html", timeout=2).status == 200
    except OSError:
        return False


def read(address):
    try:
        return urllib.request.urlopen(address, timeout=2).read()
    except OSError:  # there is no log before the task's process has begun it
        return b""


def start(scheduler, task="ToyFirst", **variables):
    port, data = scheduler
    command = [sys.executable, "-m", "luigi", "--module", "tests.pipeline.toy", task, "--scheduler-port", str(port)]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment(data, **variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_a_task_has_a_link_to_its_log_and_stops_when_it_is_told_to(scheduler):
    port, data = scheduler
    run = start(scheduler, TCC_TRAINING_NUM_STEPS="100000000")
    api = luigi.rpc.RemoteScheduler(f"http://127.0.0.1:{port}")
    tasks = wait_for(lambda: {k: v for k, v in api.task_list("RUNNING", "").items() if v.get("tracking_url")})
    ((name, shown),) = tasks.items()
    assert shown["accepts_messages"]
    assert shown["tracking_url"].startswith(f"http://127.0.0.1:{port}/logs/toy_first/toy_first-")
    wait_for(lambda: b"the work of process" in read(shown["tracking_url"]))
    wait_for(lambda: "step" in (api.get_task_status_message(name)["statusMessage"] or ""))
    wrong = api.send_scheduler_message(shown["worker_running"], name, "please")["message_id"]
    answer = wait_for(lambda: api.get_scheduler_message_response(name, wrong)["response"])
    assert answer == "not understood; send one of: stop"
    sent = api.send_scheduler_message(shown["worker_running"], name, "stop")["message_id"]
    told = run.communicate(timeout=60)[0]
    assert run.returncode == 30
    assert "ToyFirst: stopped by a message from the scheduler's page; run again to continue" in told
    assert sent
    assert (data / ".work").exists() and not list(data.glob("toy_first/*"))


def test_a_log_is_found_by_its_names_alone(tmp_path):
    work, done = tmp_path / ".work" / "stage-a", tmp_path / "stage" / "b"
    for folder in (work, done):
        folder.mkdir(parents=True)
        (folder / "log.txt").write_text(folder.name)
    assert log_of(tmp_path, "stage", "a") == b"stage-a"
    assert log_of(tmp_path, "stage", "b") == b"b"
    assert log_of(tmp_path, "stage", "c") is None
    (tmp_path / "log.txt").write_text("secret")
    for stage, name in (("..", tmp_path.name), (".", "."), ("stage", ".."), ("a/b", "c"), ("", "")):
        assert log_of(tmp_path, stage, name) is None


def test_the_history_is_kept_without_a_pickle(scheduler):
    pytest.importorskip("sqlalchemy")
    port, data = scheduler
    run = start(scheduler)
    assert run.wait(60) == 0
    history = urllib.request.urlopen(f"http://127.0.0.1:{port}/history").read().decode()
    assert "ToyFirst" in history
    assert (data / ".work" / "task_history.db").stat().st_size > 0
    assert not list(data.rglob("*.pickle"))
