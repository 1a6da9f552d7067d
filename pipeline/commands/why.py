"""`python -m pipeline why TASK`: which setting, code version or input makes a task's earlier target stale."""

from __future__ import annotations

import json
from typing import Any, Dict, Iterator, List, Sequence, Tuple

from pipeline.base import StageTask
from pipeline.commands.answer import GOOD, NOT_ALL, Answer
from pipeline.commands.targets import STALE, Target, Targets, state_of

_SHOWN = 8
_VALUE_LENGTH = 60
_ABSENT = "(none)"

Change = Tuple[str, Any, Any]


def why(tasks: Sequence[StageTask], targets: Targets) -> Answer:
    """For each task: how it stands, and what differs from the earlier target if it is stale, down to the first cause."""
    answers = [_explain(task, targets) for task in tasks]
    stale = any(answer["state"] == STALE for answer in answers)
    return Answer(answers, "".join(_text(answer) for answer in answers), NOT_ALL if stale else GOOD)


def _explain(task: StageTask, targets: Targets) -> Dict[str, Any]:
    state = state_of(task, targets)
    answer: Dict[str, Any] = {"task": type(task).__name__, "target": str(task.directory), "state": state.state}
    if state.state != STALE or state.target is None:
        return {**answer, "detail": state.detail}
    return {**answer, "earlier": str(state.target.directory), "changes": _changes(task, state.target, targets)}


def _changes(task: StageTask, earlier: Target, targets: Targets) -> List[Dict[str, Any]]:
    """What differs between a task as it is now and an earlier target of its stage; of inputs, what differs in them."""
    found = []
    if earlier.result.get("version") != task.version:
        found.append(_change("version of the stage's code", earlier.result.get("version"), task.version))
    now = json.loads(json.dumps(task.own_settings(task.settings, **task.params)))
    found.extend(_change(*difference) for difference in differences(earlier.result.get("settings"), now))
    if "upstream" in task.identity(task.settings, **task.params):
        found.extend(_changed_inputs(task, earlier, targets))
    return found


def _changed_inputs(task: StageTask, earlier: Target, targets: Targets) -> Iterator[Dict[str, Any]]:
    before = earlier.result.get("upstream", {})
    for name, tasks in task.requires().items():
        now = tasks if isinstance(tasks, list) else [tasks]
        old = before.get(name, [])
        old = old if isinstance(old, list) else [old]
        for position, one in enumerate(now):
            was = old[position] if position < len(old) else None
            if was == one.name:
                continue
            change = _change(f"input {name}", was, one.name)
            then = targets.named(one.stage, was) if was else None
            change["because"] = _changes(one, then, targets) if then is not None else []
            yield change
        if len(old) > len(now):
            yield _change(f"number of inputs {name}", len(old), len(now))


def differences(old: Any, new: Any, where: str = "") -> List[Change]:
    """(where, old, new) of each value that differs between two values ready for JSON; None stands for absent."""
    if isinstance(old, dict) and isinstance(new, dict):
        keys = [*old, *(key for key in new if key not in old)]
        parts = [differences(old.get(key), new.get(key), f"{where}.{key}" if where else str(key)) for key in keys]
        return [change for part in parts for change in part]
    return [] if old == new else [(where, old, new)]


def _change(what: str, old: Any, new: Any) -> Dict[str, Any]:
    return {"what": what, "old": old, "new": new}


def _text(answer: Dict[str, Any]) -> str:
    head = f"{answer['task']} {answer['target']}: {answer['state']}"
    if "changes" not in answer:
        return head + (f": {answer['detail']}\n" if answer["detail"] else "\n")
    changes = answer["changes"] or [_change("nothing that is recorded", _ABSENT, _ABSENT)]
    return "".join([head, f"\n  earlier: {answer['earlier']}\n", *_lines(changes, "  ")])


def _lines(changes: Sequence[Dict[str, Any]], indent: str) -> Iterator[str]:
    for change in changes[:_SHOWN]:
        yield f"{indent}{change['what']}: {_short(change['old'])} -> {_short(change['new'])}\n"
        yield from _lines(change.get("because", []), indent + "  ")
    if len(changes) > _SHOWN:
        yield f"{indent}and {len(changes) - _SHOWN} more changes\n"


def _short(value: Any) -> str:
    text = _ABSENT if value is None else value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= _VALUE_LENGTH else text[: _VALUE_LENGTH - 3] + "..."
