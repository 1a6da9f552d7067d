"""What a command answers: for people as text, for programs as JSON, for shells as an exit code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, List, Sequence

GOOD = 0
NOT_ALL = 1  # something is missing, stale, damaged, to be deleted
ERROR = 2


@dataclass(frozen=True)
class Answer:
    """The answer of a command.

    Attributes:
      data: ready for JSON.
      text: the same for people; ends with a line feed, or is empty.
      code: exit code.
    """

    data: Any
    text: str
    code: int = GOOD


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Rows as text, in columns as wide as their widest cell; the last one is as it is."""
    if not rows:
        return ""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    lines: List[str] = []
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths)]
        lines.append("  ".join([*cells, row[-1]]).rstrip())
    return "\n".join(lines) + "\n"


def duration_text(seconds: float | None) -> str:
    """12 s, 3 min 20 s, 2 h 5 min; a dash for None."""
    if seconds is None:
        return "-"
    whole = int(round(seconds))
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    if whole < 48 * 3600:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86400} days"


def size_text(size: int | None) -> str:
    """Bytes in the largest unit that leaves at least 1; a dash for None."""
    if size is None:
        return "-"
    value, units = float(size), ["B", "kB", "MB", "GB", "TB"]
    while value >= 1000 and len(units) > 1:
        value, units = value / 1000, units[1:]
    return f"{size} B" if units[0] == "B" else f"{value:.1f} {units[0]}"
