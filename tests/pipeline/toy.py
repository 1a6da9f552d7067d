"""A toy pipeline of two stages, with faults on demand, for the tests of StageTask."""

from __future__ import annotations

import hashlib
import os
import signal
import time
from pathlib import Path
from typing import Any, Dict

import luigi

from pipeline.base import Job, Made, StageTask
from tcc.config import Settings
from tcc.errors import LabelError
from tcc.video.files import atomic_file


class ToyFirst(StageTask):
    """Counts up to [training] num_steps in steps that survive a kill; depends on [frames] fps."""

    stage = "toy_first"

    @classmethod
    def own_settings(cls, settings: Settings, **params: Any) -> Dict[str, Any]:
        return {"fps": settings.frames.fps}

    def make(self, job: Job) -> Made:
        print("the work of process", os.getpid())
        steps = job.directory / "steps"
        done = len(steps.read_text().splitlines()) if steps.exists() else 0
        for step in range(done, job.settings.training.num_steps):
            with open(steps, "a") as file:
                file.write(f"{step}\n")
            time.sleep(float(os.environ.get("TOY_STEP_SECONDS", "0")))
            job.progress((step + 1) / job.settings.training.num_steps, f"step {step + 1}")
            _fault(job.directory, step)
        return Made(counts={"in": 1, "out": 1, "skipped": 0})


class ToySecond(StageTask):
    """Says which process did the work, and whether TensorFlow was there."""

    stage = "toy_second"

    part = luigi.IntParameter(default=0)

    @classmethod
    def upstream(cls, settings: Settings, **params: Any) -> Dict[str, Any]:
        return {"first": ToyFirst()}

    @classmethod
    def own_settings(cls, settings: Settings, **params: Any) -> Dict[str, Any]:
        return {"distance": settings.evaluation.distance}

    @classmethod
    def hash_file(cls, path: Path) -> str:
        """Without the time, which differs from run to run."""
        return hashlib.sha256(path.read_text().split(" at ")[0].encode()).hexdigest()

    def make(self, job: Job) -> Made:
        (job.directory / "part").write_text(f"{self.part} at {time.time()}")
        print("the work of process", os.getpid())
        return Made(counts={"in": 1, "out": 1, "skipped": 0}, details={"part": self.part})


def _fault(directory: Path, step: int) -> None:
    """TOY_FAULT=WHAT:STEP, once: kill (SIGKILL itself), raise, refuse (an error of ours), wait (until told to stop), fill
    (the disk, of which less than 8 MB are left)."""
    what, _, at = os.environ.get("TOY_FAULT", ":").partition(":")
    once = Path(f"{directory}.fault-done")
    if not what or step != int(at) or once.exists():
        return
    once.touch()
    if what == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "refuse":
        raise LabelError("labels.csv, line 7: the toy refuses it; correct it")
    if what == "fill":
        _fill(directory)
    if what == "raise":
        raise ValueError("the toy broke")
    time.sleep(float(os.environ["TOY_WAIT"]))


def _fill(directory: Path) -> None:
    """Write more than a small disk holds, as a stage would."""
    with atomic_file(directory / "much") as file:
        file.write(bytes(8 << 20))
