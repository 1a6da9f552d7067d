"""Training on several devices through TrainTask: stopped, killed, gone on with by another number of them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.integration.conftest import Project

pytestmark = pytest.mark.slow
LONG = {"TCC_DEVICE_KIND": "cpu", "TCC_TRAINING_NUM_STEPS": "600", "TCC_TRAINING_CHECKPOINT_EVERY": "10"}
SHORT = {"TCC_DEVICE_KIND": "cpu", "TCC_TRAINING_NUM_STEPS": "40", "TCC_TRAINING_CHECKPOINT_EVERY": "10"}


@pytest.fixture(scope="module")
def features(tmp_path_factory):
    """All that training reads, and one training by one process."""
    project = Project(tmp_path_factory.mktemp("replicas") / "data")
    code, told = project.run("TrainTask", **SHORT)
    assert code == 0, told
    return project


@pytest.fixture
def untrained(features, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(features.data, data, ignore=shutil.ignore_patterns("checkpoints", "checkpoints-*"))
    return Project(data)


def history(project):
    (path,) = project.data.glob("**/history.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]


def wait_for(condition, seconds=120):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)


def processes(word):
    answer = subprocess.run(["pgrep", "-f", word], stdout=subprocess.PIPE, text=True)
    return [int(line) for line in answer.stdout.split()]


def test_two_processes_train_as_one_does_and_leave_the_same_files(features, untrained):
    code, told = untrained.run("TrainTask", **SHORT, TCC_DEVICE_REPLICAS="2")
    assert code == 0, told
    one, two = history(features), history(untrained)
    assert [line["step"] for line in one] == [line["step"] for line in two]
    assert [line["loss"] for line in two[:20]] == pytest.approx([line["loss"] for line in one[:20]], rel=1e-3)
    names = [sorted(result["files"]) for project in (features, untrained) for result in trainings(project)]
    assert names[0] == names[1]


def trainings(project):
    return [result for name, result in project.results().items() if name.startswith("checkpoints/")]


def test_the_death_of_one_stops_all_and_another_number_goes_on(untrained):
    run = untrained.start("TrainTask", **LONG, TCC_DEVICE_REPLICAS="2")
    wait_for(lambda: list(untrained.data.glob(".work/checkpoints-*/step-00000010")))
    (other,) = [pid for pid in processes("pipeline.replica$") if is_of(pid, untrained)]
    os.kill(other, signal.SIGKILL)
    assert run.wait(60) == 30
    assert not [pid for pid in processes("pipeline.replica$") if is_of(pid, untrained)]
    (log,) = untrained.data.glob(".work/checkpoints-*/log.txt")
    assert log.exists()
    code, told = untrained.run("TrainTask", **LONG)
    assert code == 0, told
    steps = [line["step"] for line in history(untrained)]
    assert steps == list(range(1, 601))


def is_of(pid, project):
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False
    return str(project.data).encode() in environment


def test_a_stop_is_heeded_by_all_at_the_same_step(untrained):
    run = untrained.start("TrainTask", **LONG, TCC_DEVICE_REPLICAS="2")
    wait_for(lambda: list(untrained.data.glob(".work/checkpoints-*/step-00000010")))
    (child,) = [pid for pid in processes("pipeline.child$") if is_of(pid, untrained)]
    os.kill(child, signal.SIGTERM)
    assert run.wait(60) != 0
    wait_for(lambda: not [pid for pid in processes("pipeline.replica$") if is_of(pid, untrained)], 30)
    newest = max(path.name for path in untrained.data.glob(".work/checkpoints-*/step-*"))
    assert history(untrained)[-1]["step"] == int(newest[5:])


def test_a_batch_that_cannot_be_shared_is_refused(untrained):
    code, told = untrained.run("TrainTask", **SHORT, TCC_DEVICE_REPLICAS="3")
    assert code == 30
    assert "replicas: 3 of them cannot share a batch of batch_size = 2 clips evenly" in told
