"""A run that is killed in each stage ends like one that was not: the same files, byte for byte."""

from __future__ import annotations

import signal
import time

import psutil
import pytest

pytestmark = pytest.mark.slow


def child_of(luigi):
    """The process that does a stage's work, with the stage's work folder open, or None."""
    try:
        children = psutil.Process(luigi.pid).children()
    except psutil.NoSuchProcess:
        return None
    return next((child for child in children if "pipeline.child" in " ".join(child.cmdline())), None)


def stage_at_work(project):
    """The stage whose work folder is there."""
    folders = (project.data / ".work").glob("*-*/")
    return next((folder.name.split("-")[0] for folder in folders if not folder.name.endswith(".old")), None)


def kill_once(project, killed, delay):
    """Start RunAll, kill the child of the first stage not killed before; returns Luigi's exit code."""
    luigi = project.start()
    while luigi.poll() is None:
        stage = stage_at_work(project)
        if stage and stage not in killed:
            time.sleep(delay)
            child = child_of(luigi)
            if child is not None and stage_at_work(project) == stage:
                child.send_signal(signal.SIGKILL)
                killed.add(stage)
                break
        time.sleep(0.02)
    return luigi.wait()


def test_killed_in_every_stage_it_ends_like_an_undisturbed_run(finished, project):
    killed = set()
    codes = []
    for attempt in range(30):
        codes.append(kill_once(project, killed, delay=0.3 * (attempt % 4)))
        if codes[-1] == 0:
            break
    assert codes[-1] == 0
    assert len(killed) >= 8, killed
    assert project.results() == finished.results()


def test_sigterm_saves_a_checkpoint_and_the_next_run_goes_on(finished, project):
    luigi = project.start()
    while luigi.poll() is None and stage_at_work(project) != "checkpoints":
        time.sleep(0.02)
    while luigi.poll() is None and not list((project.data / ".work").glob("checkpoints-*/history.jsonl")):
        time.sleep(0.02)
    luigi.terminate()
    luigi.wait()
    code, told = project.run()
    assert code == 0, told
    assert project.results() == finished.results()
