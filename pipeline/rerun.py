"""What `--rerun` and `--rerun-downstream` do again."""

from __future__ import annotations

from typing import Any, Dict, List, Sequence

import luigi

from pipeline.base import StageTask, tasks_in_order


class RerunDownstream(luigi.WrapperTask):
    """A task again, and after it all tasks of RunAll that read its target, directly or through others.

    `luigi --module pipeline EvalTask --rerun-downstream` stands for it.
    """

    first = luigi.Parameter(description="computed; which task is done again")
    attempt = luigi.Parameter(description="computed; tells one from the next")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.tasks: List[StageTask] = []

    def requires(self) -> List[StageTask]:
        return self.tasks


def rerun_downstream(first: StageTask) -> RerunDownstream:
    """The task that does `first`, which is to be done again, and all that follows from it."""
    from pipeline.run_all import last_tasks

    plain = type(first)(**first.params)
    wrapper = RerunDownstream(first=plain.task_id, attempt=first.attempt)
    following = downstream(plain, tasks_in_order(*last_tasks().values()))
    wrapper.tasks = again(following, {plain.task_id: first})
    return wrapper


def again(tasks: Sequence[StageTask], before: Dict[str, StageTask] | None = None) -> List[StageTask]:
    """The same tasks with --rerun, each after those that it reads from; `tasks` are given in the order in which they run.

    Args: before: by the name of the task that it does again, what is done again before these.
    """
    done: Dict[str, StageTask] = dict(before or {})
    for task in tasks:
        one = type(task)(**task.params, rerun=True)
        one.after = [done[read.task_id] for read in luigi.task.flatten(task.requires()) if read.task_id in done]
        done[task.task_id] = one
    return list(done.values())


def downstream(first: StageTask, tasks: Sequence[StageTask]) -> List[StageTask]:
    """Those of `tasks`, given in the order in which they run, that read the target of `first`, directly or through others."""
    changed = {first.task_id}
    found = []
    for task in tasks:
        if any(one.task_id in changed for one in luigi.task.flatten(task.requires())):
            changed.add(task.task_id)
            found.append(task)
    return found
