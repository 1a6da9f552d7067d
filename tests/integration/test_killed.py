"""A run that is killed in each stage ends like one that was not: the same files, byte for byte."""

from __future__ import annotations

import signal
import time

import psutil
import pytest

from tests.integration.conftest import Project

pytestmark = pytest.mark.slow

# Long enough to be caught between two checkpoints.
LONG_TRAINING = {"TCC_TRAINING_NUM_STEPS": "400", "TCC_TRAINING_CHECKPOINT_EVERY": "20"}
# The other stages take a few milliseconds and may end before they are caught.
SLOW_STAGES = {"sources", "frames", "features", "checkpoints", "embeddings", "evaluations", "reports"}


def child_of(luigi):
    """The process that does a stage's work, or None."""
    try:
        children = psutil.Process(luigi.pid).children()
        return next((child for child in children if "pipeline.child" in " ".join(child.cmdline())), None)
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return None


def stages_at_work(project):
    """The stages whose work folders are there: the one that is running, and those that were killed and wait."""
    folders = (path for path in project.data.glob(".work/*-*") if path.is_dir() and path.suffix != ".old")
    return {folder.name.split("-")[0] for folder in folders}


def has_something_to_lose(project, stage):
    """Training has saved a checkpoint; every other stage has begun."""
    return stage != "checkpoints" or bool(list(project.data.glob(".work/checkpoints-*/step-*")))


def run_and_kill(project, killed):
    """Start RunAll and kill the child of each stage that was not killed before; returns Luigi's exit code.

    Luigi goes on with what does not need the killed stage, so that one run may lose several.
    """
    luigi = project.start(**LONG_TRAINING)
    while luigi.poll() is None:
        new = stages_at_work(project) - killed
        child = child_of(luigi) if new else None
        if child is not None and has_something_to_lose(project, *new):
            child.send_signal(signal.SIGKILL)
            killed |= new
        time.sleep(0.001)
    return luigi.wait()


def test_killed_in_every_stage_it_ends_like_an_undisturbed_run(project, tmp_path):
    killed, code = set(), 1
    while code != 0:
        before = len(killed)
        code = run_and_kill(project, killed)
        assert code == 0 or len(killed) > before, "a run failed that nobody killed"
    assert killed >= SLOW_STAGES
    undisturbed = Project(tmp_path / "undisturbed")
    code, told = undisturbed.run(**LONG_TRAINING)
    assert code == 0, told
    assert project.results() == undisturbed.results()


def test_sigterm_saves_a_checkpoint_and_the_next_run_goes_on(finished, project):
    luigi = project.start()
    while luigi.poll() is None and "checkpoints" not in stages_at_work(project):
        time.sleep(0.02)
    while luigi.poll() is None and not list((project.data / ".work").glob("checkpoints-*/history.jsonl")):
        time.sleep(0.02)
    luigi.terminate()
    luigi.wait()
    code, told = project.run()
    assert code == 0, told
    assert project.results() == finished.results()
