"""A run that is killed in each stage ends like one that was not: the same files, byte for byte."""

from __future__ import annotations

import signal
import time

import psutil
import pytest

pytestmark = pytest.mark.slow


def child_of(luigi):
    """The process that does a stage's work, or None."""
    try:
        children = psutil.Process(luigi.pid).children()
        return next((child for child in children if "pipeline.child" in " ".join(child.cmdline())), None)
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return None


def stages_at_work(project):
    """The stages whose work folders are there: the one that is running, and those that were killed and wait."""
    folders = (project.data / ".work").glob("*-*/")
    return {folder.name.split("-")[0] for folder in folders if not folder.name.endswith(".old")}


def is_amidst(project, stage):
    """Whether the stage has something to lose: training has made steps."""
    if stage != "checkpoints":
        return True
    return any(
        len(path.read_text().splitlines()) > 0 for path in project.data.glob(".work/checkpoints-*/history.jsonl")
    )


def kill_once(project, killed):
    """Start RunAll, kill the child of the first stage that was not killed before; returns Luigi's exit code."""
    luigi = project.start()
    while luigi.poll() is None:
        stage, child = next(iter(stages_at_work(project) - killed), None), child_of(luigi)
        if stage and child is not None and is_amidst(project, stage):
            child.send_signal(signal.SIGKILL)
            killed.add(stage)
            break
        time.sleep(0.01)
    return luigi.wait()


def test_killed_in_every_stage_it_ends_like_an_undisturbed_run(finished, project):
    killed, code = set(), 1
    while code != 0 and len(killed) < 12:
        before = len(killed)
        code = kill_once(project, killed)
        assert code == 0 or len(killed) > before
    assert code == 0
    assert {"sources", "frames", "features", "checkpoints", "embeddings"} <= killed
    assert project.results() == finished.results()


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
