"""What the scheduling of a task costs: `python benchmarks/scheduling.py [--tasks 2000]`.

Stages that have nothing to do but write their manifest, all wanted by one task: first none of them is there, then all are.
Luigi's own tasks that write the same file stand beside, so that what a stage adds is seen. A stage's process is not started:
that is work, and takes .2 s, or seconds where it imports TensorFlow.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Dict, List, Tuple, Type

import luigi

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pipeline import settings as settings_module
from pipeline.base import StageTask
from pipeline.provenance import write_json
from tcc.config import ExecutionConfig, Settings
from tcc.manifest import MANIFEST


class Stage(StageTask):
    """A stage without work."""

    stage = "nothing"

    number = luigi.IntParameter()

    def run(self) -> None:
        self.directory.mkdir(parents=True)
        write_json(self.directory / MANIFEST, {"result": {}, "run": {}})


class Plain(luigi.Task):
    """The same without what StageTask adds."""

    root = luigi.Parameter(significant=False)
    number = luigi.IntParameter()

    def output(self) -> luigi.LocalTarget:
        return luigi.LocalTarget(str(Path(self.root) / f"plain-{self.number}" / MANIFEST))

    def run(self) -> None:
        Path(self.output().path).parent.mkdir(parents=True)
        write_json(Path(self.output().path), {"result": {}, "run": {}})


class All(luigi.WrapperTask):
    """Whatever is to be done."""

    kind = luigi.Parameter()

    def requires(self) -> List[luigi.Task]:
        return _wanted[self.kind]


_wanted: Dict[str, List[luigi.Task]] = {}


def run(kind: str) -> float:
    """Seconds that one run takes."""
    started = time.perf_counter()
    if not luigi.build([All(kind=kind)], local_scheduler=True, no_lock=True, log_level="WARNING"):
        raise SystemExit("the run failed")
    return time.perf_counter() - started


def measure(kind: str, make: Type[luigi.Task], tasks: int, **keywords: Any) -> Tuple[float, float]:
    """Milliseconds per task, to do all of them and to find all done."""
    started = time.perf_counter()
    _wanted[kind] = [make(number=number, **keywords) for number in range(tasks)]
    made = time.perf_counter() - started
    return tuple((made + run(kind)) * 1000 / tasks for _ in range(2))  # type: ignore[return-value]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=2000)
    tasks = parser.parse_args().tasks
    logging.getLogger("luigi-interface").setLevel(logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        with settings_module.using(Settings(execution=ExecutionConfig(data=folder))):
            stage = measure("stage", Stage, tasks)
        plain = measure("plain", Plain, tasks, root=folder)
    for name, (doing, done) in (("stages", stage), ("Luigi's tasks", plain)):
        print(f"{tasks} {name}: {doing:.1f} ms a task to do them, {done:.2f} ms to find them done")


if __name__ == "__main__":
    main()
