"""Phases of clips in seconds, from a CSV file; labels of frames from them.

The file has the columns clip, start_seconds, end_seconds, phase and, if wanted, split; intervals are half-open. A row
whose start, end and phase are empty only tells the split of its clip.
"""

from __future__ import annotations

import csv
import dataclasses
import difflib
import io
import math
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Dict, Iterator, List, Mapping, Optional, Sequence, Tuple, Union

import numpy as np

from tcc.config import SPLITS
from tcc.errors import LabelError
from tcc.sequences import UNLABELLED

LABEL_COLUMNS = ("clip", "start_seconds", "end_seconds", "phase")
SPLIT_COLUMNS = ("clip", "split")


@dataclass(frozen=True)
class Segment:
    """One phase of one clip: start_seconds <= t < end_seconds; `line` of the file says where it was written."""

    start_seconds: float
    end_seconds: float
    phase: str
    line: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether it holds no time at all."""
        return self.end_seconds == self.start_seconds


@dataclass(frozen=True)
class Labels:
    """A label file.

    Attributes:
      path: the file, for messages.
      segments: of each labelled clip, ordered by time.
      splits: of each clip that the file gives one.
      phases: names in the order of the action: by their mean relative position among the segments of the clips.
      lines: first line of each clip, for messages.
      dropped: empty segments (clip, segment) that were left out on request.
    """

    path: str
    segments: Dict[str, List[Segment]]
    splits: Dict[str, str]
    phases: Tuple[str, ...]
    lines: Dict[str, int]
    dropped: Tuple[Tuple[str, Segment], ...] = ()

    def check_against(self, names: Sequence[str]) -> Labels:
        """These labels under the names of the clips that exist.

        A clip may be written without its folder or suffix where that leaves no doubt.

        Raises: LabelError if a clip is unknown, ambiguous, or written in two ways.
        """
        resolved = _resolve(self.lines, names, self.path)
        return dataclasses.replace(
            self,
            segments={resolved[name]: list(found) for name, found in self.segments.items()},
            splits={resolved[name]: split for name, split in self.splits.items()},
            lines={resolved[name]: line for name, line in self.lines.items()},
            dropped=tuple((resolved[name], segment) for name, segment in self.dropped),
        )


@dataclass(frozen=True)
class _Row:
    path: str
    line: int
    values: Dict[str, str]

    @property
    def clip(self) -> str:
        return self.values["clip"]

    def refuse(self, problem: str) -> LabelError:
        return LabelError(f"{self.path}, line {self.line}, clip {self.clip!r}: {problem}")


def read_labels(path: Union[str, Path], *, drop_empty: bool = False) -> Labels:
    """Read a CSV of phases: clip,start_seconds,end_seconds,phase and, if wanted, split.

    Args:
      drop_empty: leave out segments whose end equals their start, which label no frame, and list them in `dropped`.
    Raises: LabelError, naming file, line, clip and the fix, for a missing column, a time that is no number, an end that
      is not after its start, an overlap, an unknown split, or a clip in two splits.
    """
    rows = list(_rows(path, LABEL_COLUMNS))
    drawn = [(row.clip, _segment(row, drop_empty)) for row in rows if not _only_tells_split(row)]
    segments: Dict[str, List[Segment]] = defaultdict(list)
    for clip, segment in drawn:
        if not segment.is_empty:
            segments[clip].append(segment)
    ordered = {clip: _ordered(str(path), clip, found) for clip, found in segments.items()}
    lines = dict(sorted({row.clip: row.line for row in reversed(rows)}.items()))
    dropped = tuple((clip, segment) for clip, segment in drawn if segment.is_empty)
    return Labels(str(path), ordered, _splits(rows), _phase_order(ordered), lines, dropped)


def read_splits(path: Union[str, Path], names: Optional[Sequence[str]] = None) -> Dict[str, str]:
    """Read a CSV of splits: clip,split with train, val or test; with `names`, under the names of existing clips.

    Raises: LabelError, naming file, line, clip and the fix, for a missing column, an unknown split, a clip in two
      splits, and with `names` for a clip that is unknown, ambiguous, or written in two ways.
    """
    rows = list(_rows(path, SPLIT_COLUMNS))
    for row in rows:
        if not row.values["split"]:
            raise row.refuse(f"has no split; write one of {', '.join(SPLITS)}")
    splits = _splits(rows)
    if names is None:
        return splits
    resolved = _resolve({row.clip: row.line for row in reversed(rows)}, names, str(path))
    return {resolved[clip]: split for clip, split in splits.items()}


def frame_labels(segments: Sequence[Segment], phases: Sequence[str], timestamps: np.ndarray) -> np.ndarray:
    """Index into `phases` for each time in seconds; UNLABELLED (-1) outside any segment. int64 [T].

    Times are compared in whole nanoseconds, so that 0.1 + 0.2 lies in a segment that starts at 0.3.

    Raises: LabelError if a segment's phase is not among `phases`.
    """
    times = _nanoseconds(timestamps)
    labels = np.full(len(times), UNLABELLED, np.int64)
    for segment in segments:
        if segment.phase not in phases:
            raise LabelError(
                f"phase {segment.phase!r} is not among the phases {list(phases)}; pass all phases of the labels"
            )
        start, end = _nanoseconds([segment.start_seconds, segment.end_seconds])
        labels[(times >= start) & (times < end)] = list(phases).index(segment.phase)
    return labels


def _nanoseconds(seconds) -> np.ndarray:
    return np.round(np.asarray(seconds, np.float64) * 1e9).astype(np.int64)


def _rows(path: Union[str, Path], columns: Sequence[str]) -> Iterator[_Row]:
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise LabelError(f"{path}: cannot be read ({error.strerror}); give the path of a CSV file") from error
    except UnicodeDecodeError as error:
        raise LabelError(f"{path}: is not UTF-8 text ({error.reason}); save it as CSV in UTF-8") from error
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [name.strip().lower() for name in next(reader, [])]
        _check_header(path, header, columns)
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield _row(path, reader.line_num, header, cells)
    except csv.Error as error:
        raise LabelError(f"{path}, line {reader.line_num}: not CSV ({error}); check its quotes") from error


def _check_header(path: Union[str, Path], header: Sequence[str], columns: Sequence[str]) -> None:
    missing = [name for name in columns if name not in header]
    if missing:
        raise LabelError(
            f"{path}, line 1: no column {', '.join(missing)}; the first line must be {','.join(columns)}"
            f" separated by commas, got {','.join(header)!r}"
        )


def _row(path: Union[str, Path], line: int, header: Sequence[str], cells: Sequence[str]) -> _Row:
    row = _Row(str(path), line, {"clip": "", "split": "", **dict(zip(header, (cell.strip() for cell in cells)))})
    if len(cells) != len(header):
        raise row.refuse(f"has {len(cells)} cells, the header has {len(header)}; quote names that contain a comma")
    if not row.clip:
        raise row.refuse("has no clip; write the name of the video file")
    return row


def _only_tells_split(row: _Row) -> bool:
    return bool(row.values["split"]) and not any(row.values[name] for name in LABEL_COLUMNS[1:])


def _segment(row: _Row, empty_allowed: bool) -> Segment:
    start, end = (_seconds(row, name) for name in ("start_seconds", "end_seconds"))
    if start < 0:
        raise row.refuse(f"start_seconds {start} is negative; times count from the clip's first frame")
    if end < start or (end == start and not empty_allowed):
        raise row.refuse(f"end_seconds {end} is not after start_seconds {start}; correct them or delete the line")
    if not row.values["phase"]:
        raise row.refuse("has no phase; name it, or delete the line (frames outside any segment stay unlabelled)")
    return Segment(start, end, row.values["phase"], row.line)


def _seconds(row: _Row, column: str) -> float:
    text = row.values[column]
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise row.refuse(f"{column} {text!r} is not a number; write seconds with a decimal point, such as 1.5")
    return value


def _ordered(path: str, clip: str, segments: List[Segment]) -> List[Segment]:
    ordered = sorted(segments, key=lambda segment: (segment.start_seconds, segment.line))
    for before, after in zip(ordered, ordered[1:]):
        if after.start_seconds < before.end_seconds:
            raise LabelError(
                f"{path}, line {after.line}, clip {clip!r}: {after.phase} starts at {after.start_seconds}, inside"
                f" {before.phase} of line {before.line}, which ends at {before.end_seconds}; segments may not overlap"
            )
    return ordered


def _splits(rows: Sequence[_Row]) -> Dict[str, str]:
    splits: Dict[str, str] = {}
    for row in rows:
        split = row.values["split"]
        if not split:
            continue
        if split not in SPLITS:
            raise row.refuse(f"unknown split {split!r}; write one of {', '.join(SPLITS)}")
        if splits.setdefault(row.clip, split) != split:
            raise row.refuse(f"split {split} contradicts {splits[row.clip]} of an earlier line; a clip has one split")
    return splits


def _phase_order(segments: Mapping[str, Sequence[Segment]]) -> Tuple[str, ...]:
    positions: Dict[str, List[float]] = defaultdict(list)
    for found in segments.values():
        for rank, segment in enumerate(found):
            positions[segment.phase].append((rank + 0.5) / len(found))
    return tuple(sorted(positions, key=lambda phase: (math.fsum(positions[phase]) / len(positions[phase]), phase)))


def _resolve(lines: Mapping[str, int], names: Sequence[str], path: str) -> Dict[str, str]:
    shortened: Dict[str, List[str]] = defaultdict(list)
    for name in names:
        for short in _short_names(name):
            shortened[short].append(name)
    resolved: Dict[str, str] = {}
    taken: Dict[str, str] = {}
    for clip, line in lines.items():
        found = [clip] if clip in set(shortened.get(clip, [])) else shortened.get(clip, [])
        where = f"{path}, line {line}, clip {clip!r}"
        if len(found) != 1:
            raise LabelError(f"{where}: {_not_one(clip, found, names)}")
        if taken.setdefault(found[0], clip) != clip:
            raise LabelError(f"{where}: is the same clip as {taken[found[0]]!r} of another line; write one name for it")
        resolved[clip] = found[0]
    return resolved


def _short_names(name: str) -> set:
    path = PurePosixPath(name)
    return {name, path.name, path.stem, path.with_suffix("").as_posix()}


def _not_one(clip: str, found: Sequence[str], names: Sequence[str]) -> str:
    if found:
        return f"could be {' or '.join(map(repr, sorted(found)))}; write the whole name"
    close = difflib.get_close_matches(clip, list(names), n=1)
    hint = f"did you mean {close[0]!r}?" if close else "correct the name or remove the line"
    return f"no such clip among {len(names)} videos; {hint}"
