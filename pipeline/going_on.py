"""A run ends when all that it was asked for is done, whoever does it.

Luigi's worker ends, with an exit code that speaks of trouble, when there is no task left that it may begin: another run under
the same central scheduler is at them, a process of Luigi or the scheduler was killed. Nothing failed by that: this run
waits for as long as somebody works, then starts its command again in the same process, which finds what was done. It gives up
when that brings nothing for three minutes: a scheduler takes up to two to notice that a run was killed.
"""

from __future__ import annotations

import atexit
import logging
import os
import sys
import time
from typing import Any, Dict, List, Optional, Set

import luigi

from pipeline import failures, lock, run_log
from pipeline.base import StageTask, tasks_in_order

# In the environment of a command that was started again: how often that brought nothing.
IN_VAIN = "PIPELINE_WENT_ON_IN_VAIN"
_MOST_IN_VAIN = 6
_SECONDS_BETWEEN_LOOKS = 1.0
_LOOKS_WITHOUT_A_HOLDER = 3  # between two tasks nobody holds a lock; twice as many after each time in vain

_log = logging.getLogger("luigi-interface.pipeline")
_asked_for: List[luigi.Task] = []  # the first task that Luigi looks at and finds missing: what the command names
_present: Set[str] = set()  # tasks that were done before


def until_done() -> None:
    """From now on, let this process go on until what Luigi's command names is done."""
    luigi.Task.event_handler(luigi.Event.DEPENDENCY_PRESENT)(_note_present)
    luigi.Task.event_handler(luigi.Event.DEPENDENCY_DISCOVERED)(_note_missing)
    atexit.register(_go_on, os.getpid())


def _note_present(task: Any) -> None:
    _present.add(task.task_id)


def _note_missing(task: Any, dependency: Any) -> None:
    if not _asked_for:
        _asked_for.append(task)


def _go_on(process: int) -> None:
    if os.getpid() != process or not _asked_for or _was_stopped() or _is_rerun():
        return
    task = _asked_for[0]
    if failures.told():
        return
    if task.task_id in failures.succeeded():
        _end_well(task)
        return
    needed, in_vain = _stages(task), int(os.environ.get(IN_VAIN, "0"))
    helped = _wait_for_others(needed, _LOOKS_WITHOUT_A_HOLDER * 2**in_vain)
    in_vain = 0 if helped or any(one.complete() and one.task_id not in _present for one in needed) else in_vain + 1
    if in_vain > _MOST_IN_VAIN:
        print("error: nothing failed, yet not all is done: see `python -m pipeline status`", file=sys.stderr)
    else:
        _start_again({IN_VAIN: str(in_vain), **run_log.as_environment()})


def _end_well(task: luigi.Task) -> None:
    """Where others did a part of it, Luigi's exit code speaks of tasks that were not granted, though all is done."""
    known = {*_present, *failures.succeeded()}
    if any(one.task_id not in known for one in _stages(task)):
        sys.stdout.flush()
        sys.stderr.flush()
        logging.shutdown()
        os._exit(0)


def _was_stopped() -> bool:
    """Whether Ctrl-C ended this process, or an error of Luigi's own such as a scheduler that does not answer."""
    return isinstance(getattr(sys, "last_value", None), KeyboardInterrupt) or failures.luigi_failed()


def _is_rerun() -> bool:
    return any(word.startswith("--rerun") for word in sys.argv)


def _stages(task: luigi.Task) -> List[StageTask]:
    """The stages that a task stands for, and all upstream of them."""
    last = [task] if isinstance(task, StageTask) else luigi.task.flatten(task.requires())
    return tasks_in_order(*(one for one in last if isinstance(one, StageTask)))


def _wait_for_others(needed: List[StageTask], most: int) -> bool:
    """Wait until one more of the tasks is done, or `most` looks in a row find nobody at any; whether there was somebody."""
    left = [task for task in needed if not task.complete()]
    worked, looks = False, 0
    while looks < most and not any(task.complete() for task in left):
        at_work = _at_work(left)
        if at_work and not worked:
            _log.info("waiting for what other runs do: %s", ", ".join(at_work))
        worked, looks = worked or bool(at_work), 0 if at_work else looks + 1
        time.sleep(_SECONDS_BETWEEN_LOOKS)
    return worked


def _at_work(left: List[StageTask]) -> List[str]:
    """Those of the tasks whose lock somebody holds, and who does."""
    holders: Dict[str, Optional[Dict[str, Any]]] = {
        f"{task.stage}/{task.name}": lock.holder(task.lock_path) for task in left
    }
    return [f"{name}{lock.who(held)}" for name, held in holders.items() if held is not None]


def _start_again(environment: Dict[str, str]) -> None:
    _log.info("going on with what is not done yet")
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(sys.executable, [sys.executable, "-m", "luigi", *sys.argv[1:]], {**os.environ, **environment})
