"""CSV files with rows about clips: read row by row, each row knowing its place for messages."""

from __future__ import annotations

import contextlib
import csv
import io
from collections import Counter
from pathlib import Path
from typing import Any, Dict, Iterator, NamedTuple, Sequence, Tuple, Union

from tcc.config import SPLITS
from tcc.errors import LabelError

OPTIONAL_COLUMNS = ("split", "group")
NAMED_PROBLEMS = 5
Columns = Tuple[str, ...]


def place(line: int, clip: str) -> str:
    """Where in a label file something was written; line 0 where the file has no lines."""
    return f"line {line}, clip {clip!r}" if line else f"clip {clip!r}"


def refuse_all(path: str, problems: Sequence[str]) -> LabelError:
    """One error for all problems of a file, each with its place; the first few are named."""
    named = "; ".join(problems[:NAMED_PROBLEMS])
    if len(problems) == 1:
        return LabelError(f"{path}, {named}")
    more = f"; and {len(problems) - NAMED_PROBLEMS} more" if len(problems) > NAMED_PROBLEMS else ""
    return LabelError(f"{path}: {len(problems)} problems: {named}{more}")


class Row(NamedTuple):
    """One row about one clip: {column: text without blanks around it}; split and group are there, empty if need be."""

    path: str
    line: int
    values: Dict[str, str]

    @property
    def clip(self) -> str:
        """Name of the clip as it is written."""
        return self.values["clip"]

    def refuse(self, problem: str) -> LabelError:
        """The error that this row is wrong."""
        return LabelError(f"{self.path}, {place(self.line, self.clip)}: {problem}")


class ClipFacts:
    """What the rows say of whole clips, gathered row by row.

    Attributes:
      splits, groups: of each clip that has one.
      lines: first line of each clip.
    """

    def __init__(self) -> None:
        self.splits: Dict[str, str] = {}
        self.groups: Dict[str, str] = {}
        self.lines: Dict[str, int] = {}

    def add(self, row: Row) -> None:
        """Take in a row.

        Raises: LabelError for an unknown split, and for a clip in two splits or groups.
        """
        self.lines.setdefault(row.clip, row.line)
        split, group = row.values["split"], row.values["group"]
        if split and split not in SPLITS:
            raise row.refuse(f"unknown split {split!r}; write one of {', '.join(SPLITS)}")
        if split and self.splits.setdefault(row.clip, split) != split:
            earlier = self.splits[row.clip]
            raise row.refuse(f"split {split} contradicts {earlier} of an earlier line; a clip has one split")
        if group and self.groups.setdefault(row.clip, group) != group:
            earlier = self.groups[row.clip]
            raise row.refuse(f"group {group!r} contradicts {earlier!r} of an earlier line; a clip has one group")


def read_text(path: Union[str, Path], kind: str) -> str:
    """A file's text; `kind` is what the messages call it. Raises: LabelError if it cannot be read or is not UTF-8."""
    try:
        return Path(path).read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise LabelError(f"{path}: cannot be read ({error.strerror}); give the path of a {kind} file") from error
    except UnicodeDecodeError as error:
        raise LabelError(f"{path}: is not UTF-8 text ({error.reason}); save it as {kind} in UTF-8") from error


def read_rows(path: Union[str, Path], *formats: Columns) -> Tuple[Columns, Iterator[Row]]:
    """The rows of a CSV file, and which of the formats its header has; other columns are passed over.

    Args:
      formats: the columns that each allowed format needs; the first that the header has all of counts.
    Raises: LabelError, naming file, line and the fix, for a file that is no CSV or a header of no format; the same for
      a row with missing or superfluous cells or without a clip, when that row is reached.
    """
    reader = csv.reader(io.StringIO(read_text(path, "CSV"), newline=""), strict=True)
    with _csv_errors(path, reader):
        header = [name.strip().lower() for name in next(reader, [])]
    found = _format_of(path, header, formats)
    return found, _rows(path, reader, header)


@contextlib.contextmanager
def _csv_errors(path: Union[str, Path], reader: Any) -> Iterator[None]:
    try:
        yield
    except csv.Error as error:
        raise LabelError(f"{path}, line {reader.line_num}: not CSV ({error}); check its quotes") from error


def _format_of(path: Union[str, Path], header: Sequence[str], formats: Sequence[Columns]) -> Columns:
    missing = {columns: [name for name in columns if name not in header] for columns in formats}
    found = next((columns for columns in formats if not missing[columns]), None)
    if found is None:
        closest = max(formats, key=lambda columns: len(columns) - len(missing[columns]))
        allowed = " or ".join(",".join(columns) for columns in formats)
        raise LabelError(
            f"{path}, line 1: no column {', '.join(missing[closest])}; the first line must be {allowed}"
            f" separated by commas, got {','.join(header)!r}"
        )
    counts = Counter(header)
    for name in (*found, *OPTIONAL_COLUMNS):
        if counts[name] > 1:
            raise LabelError(f"{path}, line 1: column {name} is there {counts[name]} times; keep one of them")
    return found


def _rows(path: Union[str, Path], reader: Any, header: Sequence[str]) -> Iterator[Row]:
    with _csv_errors(path, reader):
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield _row(str(path), reader.line_num, header, cells)


def _row(path: str, line: int, header: Sequence[str], cells: Sequence[str]) -> Row:
    values = {"clip": "", **dict.fromkeys(OPTIONAL_COLUMNS, ""), **{k: cell.strip() for k, cell in zip(header, cells)}}
    row = Row(path, line, values)
    if len(cells) != len(header):
        raise row.refuse(f"has {len(cells)} cells, the header has {len(header)}; quote names that contain a comma")
    if not row.clip:
        raise row.refuse("has no clip; write the name of the video file")
    return row
