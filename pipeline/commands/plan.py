"""`python -m pipeline plan`: what RunAll would do now, and how long it may take by what earlier targets took."""

from __future__ import annotations

import statistics
from typing import Any, Dict, List, Optional, Sequence

from pipeline.base import StageTask
from pipeline.commands.answer import GOOD, NOT_ALL, Answer, columns, duration_text
from pipeline.commands.targets import DONE, RUNNING, Target, Targets, state_of

_TARGETS_LOOKED_AT = 5


def plan(tasks: Sequence[StageTask], targets: Targets) -> Answer:
    """The tasks that are not done, in the order in which they run, each with an estimate in seconds where there is one."""
    rows: List[Dict[str, Any]] = []
    for task in tasks:
        state = state_of(task, targets).state
        if state not in (DONE, RUNNING):
            rows.append(
                {
                    "task": type(task).__name__,
                    "state": state,
                    "target": str(task.directory),
                    "estimated_seconds": _estimate(task, targets),
                }
            )
    known = [row["estimated_seconds"] for row in rows if row["estimated_seconds"] is not None]
    unknown = len(rows) - len(known)
    data = {"tasks": rows, "estimated_seconds": sum(known), "without_estimate": unknown}
    return Answer(data, _text(rows, sum(known), unknown), NOT_ALL if rows else GOOD)


def _estimate(task: StageTask, targets: Targets) -> Optional[float]:
    """Median seconds per unit of work of the newest targets of this stage, times this task's units; None without any."""
    done = [one for one in targets.all if one.stage == task.stage and one.run.get("seconds") is not None]
    newest = sorted(done, key=lambda one: one.made)[-_TARGETS_LOOKED_AT:]
    rates = [rate for rate in (_rate(task, one) for one in newest) if rate is not None]
    if not rates:
        return None
    now = {"settings": task.own_settings(task.settings, **task.params)}
    return float(round(statistics.median(rates) * task.amount_of(now), 1))


def _rate(task: StageTask, target: Target) -> Optional[float]:
    """Seconds per unit of work; None for a target of an earlier version that does not say how many there were."""
    try:
        return float(target.run["seconds"]) / max(task.amount_of(target.result), 1e-9)
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def _text(rows: Sequence[Dict[str, Any]], seconds: float, unknown: int) -> str:
    if not rows:
        return "nothing to do: all is done or being done\n"
    lines = [[row["task"], row["state"], _about(row["estimated_seconds"]), row["target"]] for row in rows]
    total = f"{len(rows)} tasks, about {duration_text(seconds)} of work by what earlier targets took"
    if unknown:
        total += f"; of {unknown} tasks there is no earlier target"
    return columns([["task", "state", "about", "target"], *lines]) + total + "\n"


def _about(seconds: Optional[float]) -> str:
    return "unknown" if seconds is None else duration_text(seconds)
