"""RunAll on a disk that is full again and again, beside another RunAll, and under SIGKILL."""

from __future__ import annotations

import random
import time

import pytest

from benchmarks.torture import Tortured, torture
from tests.integration.conftest import Project
from tests.pipeline.test_faults import disk  # noqa: F401
from tests.pipeline.test_scheduler import scheduler  # noqa: F401

pytestmark = pytest.mark.slow

OTHER = {"TCC_TRAINING_NUM_STEPS": "9", "TCC_EVALUATION_TAU_FRAME_STRIDE": "1"}


def test_on_a_disk_that_is_full_again_and_again_it_ends_like_an_undisturbed_run(finished, disk):  # noqa: F811
    folder, mount = disk
    project, kilobytes, full = Project(folder / "data"), 100, 0
    while True:
        mount(f"size={kilobytes}k")
        code, told = project.run()
        if code == 0:
            break
        assert code == 30 and "the disk is full; make room" in told and "Traceback" not in told, told
        kilobytes, full = int(1.5 * kilobytes), full + 1
    assert full > 3
    assert project.results() == finished.results()
    assert project.python("verify")[0] == 0


def watch(project, runs):
    """Wait until the runs end; their exit codes, and the targets that were made more than once."""
    made, twice = {}, set()
    while any(run.poll() is None for run in runs):
        for path in project.data.glob("*/*/manifest.json"):
            found = path.stat()
            if made.setdefault(path, (found.st_ino, found.st_mtime_ns)) != (found.st_ino, found.st_mtime_ns):
                twice.add(path.parent.name)
        time.sleep(0.02)
    return [run.wait() for run in runs], twice


@pytest.mark.parametrize("options", [{}, OTHER], ids=["same settings", "other settings"])
@pytest.mark.parametrize("central", [False, True], ids=["no scheduler", "scheduler"])
def test_two_runs_at_once_make_everything_once(finished, scheduler, tmp_path, options, central):  # noqa: F811
    project = Project(tmp_path / "data", port=scheduler[0] if central else None)
    first = project.start()
    time.sleep(random.Random(f"{options} {central}").uniform(0, 5))
    codes, twice = watch(project, [first, project.start(**options)])
    assert codes == [0, 0] and not twice, project.log()
    assert {name: project.results()[name] for name in finished.results()} == finished.results()
    assert (project.results() == finished.results()) == (not options)
    assert project.python("verify")[0] == 0


def test_killed_at_random_it_ends_like_an_undisturbed_run(tmp_path):
    """One round of benchmarks/torture.py, which checks it and exits if it is not so."""
    assert sum(torture(Tortured(tmp_path, most_kills=6), kills=6)["kills"].values()) == 6
