"""The losses of every step: one JSON object a line, the same bytes however often the training was interrupted."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Dict, Iterator, List, Union

from tcc.errors import CheckpointError

HISTORY = "history.jsonl"


class History:
    """Appends to `history.jsonl` in a training's folder, from a step on.

    Lines after `last_step`, written after the checkpoint that the training resumes from, are cut off first.

    Raises: CheckpointError if lines up to `last_step` are missing.
    """

    def __init__(self, directory: Union[str, Path], *, last_step: int):
        self.path = Path(directory) / HISTORY
        kept = _lines_until(self.path, last_step)
        temporary = Path(f"{self.path}.tmp")
        temporary.write_text("".join(kept), encoding="utf-8")
        os.replace(temporary, self.path)
        self._file = open(self.path, "a", encoding="utf-8")  # noqa: SIM115 - closed by close()

    def append(self, step: int, values: Dict[str, Any]) -> None:
        """Add the line of one step."""
        self._file.write(json.dumps({"step": step, **values}) + "\n")

    def flush(self) -> None:
        """Everything up to here is on disk afterwards; to be called before a checkpoint is written."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file; nothing can be added afterwards."""
        self._file.close()


def read_history(directory: Union[str, Path]) -> List[Dict[str, Any]]:
    """The lines of a training's `history.jsonl`, in the order of the steps; none where it is absent."""
    return [json.loads(line) for line in _whole_lines(Path(directory) / HISTORY)]


def _lines_until(path: Path, last_step: int) -> List[str]:
    lines = list(_whole_lines(path))[:last_step]
    if len(lines) < last_step or (lines and json.loads(lines[-1])["step"] != last_step):
        raise CheckpointError(
            f"{path}: does not hold the steps up to the checkpoint of step {last_step}; delete its folder and run again"
        )
    return lines


def _whole_lines(path: Path) -> Iterator[str]:
    if not path.exists():
        return
    with open(path, encoding="utf-8") as file:
        for line in file:
            if line.endswith("\n"):
                yield line
