"""A run under a central scheduler ends well when all is done, whoever did it and whatever was killed meanwhile."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time

import psutil
import pytest

from tests.pipeline.test_scheduler import ROOT, answers, scheduler, serve, start, wait_for  # noqa: F401
from tests.pipeline.test_stage_task import command, environment, manifests

LONG = {"TCC_TRAINING_NUM_STEPS": "30", "TOY_STEP_SECONDS": "0.1"}


def attempts(data):
    """(target, exit code) of all runs' attempts."""
    lines = [line for path in data.glob("logs/*.jsonl") for line in path.read_text().splitlines()]
    return sorted((one["target"].split("/")[0], one["exit"]) for one in map(json.loads, lines))


def is_at_work(data):
    return list(data.glob(".work/*/steps"))


def end(run):
    told = run.communicate(timeout=100)[0]
    assert run.returncode == 0, told
    return told


def test_after_a_failure_the_same_command_goes_on_once_the_cause_is_gone(scheduler):  # noqa: F811
    broken = start(scheduler, "ToySecond", TOY_FAULT="refuse:1")
    assert "the toy refuses it" in broken.communicate()[0] and broken.returncode == 30
    end(start(scheduler, "ToySecond"))
    assert len(manifests(scheduler[1])) == 2


def test_two_runs_at_once_do_everything_once_and_both_end_well(scheduler):  # noqa: F811
    _, data = scheduler
    first = start(scheduler, "ToySecond", **LONG)
    wait_for(lambda: is_at_work(data))
    second = start(scheduler, "ToySecond", **LONG)
    told = end(second)
    end(first)
    assert "waiting for what other runs do: toy_first/toy_first-" in told
    assert attempts(data) == [("toy_first", 0), ("toy_second", 0)]


@pytest.mark.slow
def test_a_run_takes_over_from_one_that_was_killed(scheduler):  # noqa: F811
    _, data = scheduler
    first = start(scheduler, "ToySecond", **LONG)
    wait_for(lambda: is_at_work(data))
    second = start(scheduler, "ToySecond", **LONG)
    time.sleep(2)
    first.kill()
    first.communicate()
    end(second)
    assert attempts(data) == [("toy_first", 0), ("toy_second", 0)]


@pytest.mark.slow
def test_a_scheduler_that_was_killed_and_started_again_is_no_failure(scheduler, tmp_path):  # noqa: F811
    port, data = scheduler
    run = start(scheduler, "ToySecond", **LONG)
    wait_for(lambda: is_at_work(data))
    (old,) = [one for one in psutil.Process().children() if "scheduler" in one.cmdline()]
    old.kill()
    again = subprocess.Popen(serve(port), cwd=ROOT, env=environment(data), stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: answers(port))
        end(run)
    finally:
        again.kill()
        again.wait()


@pytest.mark.slow
def test_a_worker_process_that_was_killed_is_no_failure(tmp_path):
    run = subprocess.Popen(
        command("ToySecond", "--workers", "2"),
        cwd=ROOT,
        env=environment(tmp_path, **LONG),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    wait_for(lambda: is_at_work(tmp_path))
    worker = next(one for one in psutil.Process(run.pid).children() if one.children())
    worker.send_signal(signal.SIGKILL)
    told = end(run)
    assert "going on with what is not done yet" in told
    assert len(manifests(tmp_path)) == 2


@pytest.mark.parametrize("workers", [pytest.param("1", marks=pytest.mark.slow), "2"])
def test_ctrl_c_ends_it(tmp_path, workers):
    run = subprocess.Popen(
        command("ToySecond", "--workers", workers),
        cwd=ROOT,
        env=environment(tmp_path, **LONG),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # ignored where tests run in the background
    )
    wait_for(lambda: is_at_work(tmp_path))
    os.killpg(run.pid, signal.SIGINT)
    told = run.communicate(timeout=60)[0]
    assert run.returncode != 0 and "going on" not in told
    assert not manifests(tmp_path)


def test_without_a_scheduler_one_line_says_what_to_do(tmp_path):
    config = tmp_path / "quick.cfg"
    config.write_text("[core]\nrpc_retry_attempts = 1\n")
    told = start((1, tmp_path), "ToySecond", LUIGI_CONFIG_PATH=str(config))
    text = told.communicate(timeout=60)[0]
    assert told.returncode == 40
    assert "add --local-scheduler to the command" in text.splitlines()[-1] and "Traceback" not in text
