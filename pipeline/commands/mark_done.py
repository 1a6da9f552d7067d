"""`python -m pipeline mark-done TASK`: take a task's earlier target as what the present settings would make."""

from __future__ import annotations

import shutil
from typing import Any, Dict, Sequence

from pipeline.base import StageTask
from pipeline.child import publish
from pipeline.commands.answer import GOOD, NOT_ALL, Answer
from pipeline.commands.targets import Target, Targets
from pipeline.lock import locked
from pipeline.provenance import write_json
from tcc.manifest import MANIFEST
from tcc.progress import silent


def mark_done(tasks: Sequence[StageTask], targets: Targets) -> Answer:
    """Copy each stale task's earlier target to where the present settings look for it; its manifest says so.

    For changes that the user knows to change nothing, such as a new version of a stage's code. The earlier target stays.
    """
    answers = [_mark(task, targets) for task in tasks]
    lines = [f"{one['task']} {one['target']}: {one['outcome']}\n" for one in answers]
    all_done = all(one["outcome"] != "nothing to take: no earlier target" for one in answers)
    return Answer(answers, "".join(lines), GOOD if all_done else NOT_ALL)


def _mark(task: StageTask, targets: Targets) -> Dict[str, Any]:
    answer = {"task": type(task).__name__, "target": str(task.directory)}
    earlier = targets.earlier(task)
    if task.complete():
        return {**answer, "outcome": "done already"}
    if earlier is None:
        return {**answer, "outcome": "nothing to take: no earlier target"}
    with locked(task.lock_path, silent):
        _copy(task, earlier)
    return {**answer, "outcome": f"marked done, as {earlier.directory}"}


def _copy(task: StageTask, earlier: Target) -> None:
    work = task.work_directory
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(earlier.directory, work, ignore=shutil.ignore_patterns(MANIFEST))
    result = {
        **earlier.result,
        "name": task.name,
        "fingerprint": task.fingerprint,
        "marked_done_from": earlier.directory.name,
    }
    write_json(work / MANIFEST, {"result": result, "run": earlier.run})
    publish(work, task.directory)
