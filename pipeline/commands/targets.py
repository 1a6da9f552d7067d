"""What lies under the root of all targets: whole targets by their manifests, and the state of each task."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, Optional, Type

from pipeline.base import StageTask
from pipeline.failures import FAILURE
from pipeline.lock import holder
from tcc.errors import TargetError
from tcc.manifest import MANIFEST, read_manifest

DONE, RUNNING, FAILED, INTERRUPTED, STALE, MISSING = "done", "running", "failed", "interrupted", "stale", "missing"


@dataclass(frozen=True)
class Target:
    """A whole target.

    Attributes:
      directory: where it is.
      result, run: the two parts of its manifest; empty where that is damaged.
      made: when, in seconds since 1970.
    """

    directory: Path
    result: Mapping[str, Any]
    run: Mapping[str, Any]
    made: float

    @property
    def stage(self) -> str:
        """Its stage: the folder above."""
        return self.directory.parent.name


@dataclass(frozen=True)
class State:
    """How a task stands.

    Attributes:
      task: the task.
      state: done, running, failed, interrupted (begun and not gone on with), stale (an earlier target is there) or missing.
      target: where it is done, its target; where it is stale, the earlier one.
      detail: what went wrong, or who is running it.
    """

    task: StageTask
    state: str
    target: Optional[Target] = None
    detail: str = ""


class Targets:
    """All whole targets under a root, read once."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.all = list(_whole(root))
        self._by_directory = {target.directory: target for target in self.all}

    def of(self, task: StageTask) -> Optional[Target]:
        """The target of a task, if it is done."""
        return self._by_directory.get(task.directory)

    def named(self, stage: str, name: str) -> Optional[Target]:
        """A target by its folder's name."""
        return self._by_directory.get(self.root / stage / name)

    def earlier(self, task: StageTask) -> Optional[Target]:
        """The newest other target of the same stage, parameters and, where there is one, the same readable name."""
        mine = [one for one in self.all if one.stage == task.stage and one.directory != task.directory]
        same = [one for one in mine if one.result.get("params") == _as_stored(task.params)]
        prefix = task.name[: -len(task.fingerprint)]
        alike = [one for one in same if one.directory.name[: -len(task.fingerprint)] == prefix]
        return max(alike or same, key=lambda one: one.made, default=None)


def state_of(task: StageTask, targets: Targets) -> State:
    """How a task stands now."""
    target = targets.of(task)
    who = holder(task.lock_path)
    if who is not None:
        return State(task, RUNNING, target, f"process {who['pid']} on {who['host']}" if "pid" in who else "")
    if target is not None:
        return State(task, DONE, target)
    failure = _read(task.work_directory / FAILURE)
    if failure:
        return State(task, FAILED, None, str(failure.get("error", "")))
    if task.work_directory.exists():
        return State(task, INTERRUPTED)
    earlier = targets.earlier(task)
    return State(task, MISSING if earlier is None else STALE, earlier)


def size_of(directory: Path) -> int:
    """Bytes of all files in a folder."""
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


def find_tasks(text: str, tasks: List[StageTask]) -> List[StageTask]:
    """The tasks that `text` names: a class (TrainTask), a stage (checkpoints), or a part of the name of a target."""
    exact = [task for task in tasks if text in (type(task).__name__, task.stage, task.name)]
    return exact or [task for task in tasks if text in f"{task.stage}/{task.name}"]


def stages() -> Dict[str, Type[StageTask]]:
    """Folders under the root that belong to the pipeline, and whose they are; others are the user's."""
    classes: List[Type[StageTask]] = [StageTask]
    found: Dict[str, Type[StageTask]] = {}
    while classes:
        one = classes.pop(0)
        classes.extend(one.__subclasses__())
        found.setdefault(one.stage, one)
    return {stage: found[stage] for stage in sorted(found) if stage}


def _whole(root: Path) -> Iterator[Target]:
    paths = [path for stage in stages() for path in sorted((root / stage).glob(f"*/{MANIFEST}"))]
    for path in paths:
        try:
            manifest = read_manifest(path.parent)
        except TargetError:
            manifest = {"result": {}, "run": {}}
        yield Target(path.parent, manifest["result"], manifest["run"], path.stat().st_mtime)


def _read(path: Path) -> Dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _as_stored(value: Any) -> Any:
    return json.loads(json.dumps(value))
