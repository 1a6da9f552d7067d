"""`python -m pipeline status`: each task of RunAll, how it stands, and where its target is."""

from __future__ import annotations

import time
from typing import Any, Dict, Sequence

from pipeline.base import StageTask
from pipeline.commands.answer import GOOD, NOT_ALL, Answer, columns, duration_text, size_text
from pipeline.commands.targets import DONE, STALE, State, Targets, size_of, state_of


def status(tasks: Sequence[StageTask], targets: Targets, results: Dict[str, str]) -> Answer:
    """How each task stands.

    Args: results: what a person looks for at the end -> where it is.
    """
    states = [state_of(task, targets) for task in tasks]
    rows = [_row(state) for state in states]
    head = ["state", "task", "size", "age", "took", "target"]
    lines = [[_cell(row, column) for column in head] for row in rows]
    notes = "".join(f"{row['task']} {row['state']}: {row['detail']}\n" for row in rows if row["detail"])
    found = "".join(f"{what}: {where}\n" for what, where in results.items())
    text = columns([head, *lines]) + notes + found
    done = all(state.state == DONE for state in states)
    return Answer({"tasks": rows, **results}, text, GOOD if done else NOT_ALL)


def _row(state: State) -> Dict[str, Any]:
    row: Dict[str, Any] = {
        "state": state.state,
        "task": type(state.task).__name__,
        "target": str(state.task.directory),
        "bytes": None,
        "age_seconds": None,
        "seconds": None,
        "detail": state.detail,
    }
    if state.target is not None:
        row["bytes"] = size_of(state.target.directory)
        row["age_seconds"] = max(0.0, round(time.time() - state.target.made, 1))  # a clock may be set back
        row["seconds"] = state.target.run.get("seconds")
    if state.state == STALE and state.target is not None:
        row["detail"] = f"earlier: {state.target.directory}; python -m pipeline why {row['task']}"
    return row


def _cell(row: Dict[str, Any], column: str) -> str:
    texts: Dict[str, Any] = {
        "size": size_text(row["bytes"]),
        "age": duration_text(row["age_seconds"]),
        "took": duration_text(row["seconds"]),
    }
    return str(texts.get(column, row.get(column)))
