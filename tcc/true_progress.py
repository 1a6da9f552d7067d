"""The true progress of clips, from a CSV of source frames to the times of sampled ones."""

from __future__ import annotations

import math
from collections import defaultdict
from pathlib import Path
from typing import Dict, List, Sequence, Tuple, Union

import numpy as np

from tcc.sequences import ClipSequence
from tcc.video.clip_names import resolve_names
from tcc.video.clip_rows import Row, place, read_rows, refuse_all

COLUMNS = ("clip", "seconds", "progress")


def read_progress(path: Union[str, Path], clips: Sequence[ClipSequence]) -> Dict[str, np.ndarray]:
    """Progress in [0, 1] of each clip that the file tells of, at the clip's timestamps; float64 [T] by name.

    The file has a row for each source frame: clip,seconds,progress (and further columns, as the rendered set's frame). Between
    two frames progress is interpolated linearly. Where a row has no progress it is not known (NaN), nor up to the next rows
    that have one, nor further than one frame before the first row and behind the last one.

    Args:
      clips: whose timestamps are wanted; clips of the file that are not among them are passed over.
    Raises: LabelError, naming file, line, clip and the fix, for what is no number, progress out of [0, 1] or falling, times
      that do not rise, and names that could be several clips.
    """
    _, rows = read_rows(path, COLUMNS)
    lines: Dict[str, int] = {}
    points: Dict[str, List[Tuple[float, float]]] = defaultdict(list)
    highest: Dict[str, float] = {}
    for row in rows:
        lines.setdefault(row.clip, row.line)
        seconds, progress = _number(row, "seconds"), _progress(row)
        if points[row.clip] and seconds <= points[row.clip][-1][0]:
            raise row.refuse(f"seconds {seconds:g} does not come after {points[row.clip][-1][0]:g}; order rows by time")
        if progress < highest.get(row.clip, 0.0):
            raise row.refuse(f"progress {progress:g} falls from {highest[row.clip]:g}; it may stand still, not go back")
        if not math.isnan(progress):
            highest[row.clip] = progress
        points[row.clip].append((seconds, progress))
    by_name = {clip.name: clip for clip in clips}
    resolved, unknown = resolve_names(lines, list(by_name), str(path))
    if not resolved and unknown:
        raise refuse_all(str(path), [f"{place(lines[clip], clip)}: {problem}" for clip, problem in unknown.items()])
    return {
        name: _interpolate(np.array(points[written]), by_name[name].timestamps) for written, name in resolved.items()
    }


def _number(row: Row, column: str) -> float:
    try:
        value = float(row.values[column])
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise row.refuse(f"{column} {row.values[column]!r} is not a number; write it with a decimal point, such as 1.5")
    return value


def _progress(row: Row) -> float:
    if not row.values["progress"]:
        return math.nan
    progress = _number(row, "progress")
    if not 0 <= progress <= 1:
        raise row.refuse(f"progress {progress:g} is not between 0 and 1; leave it empty where it is not known")
    return progress


def _interpolate(points: np.ndarray, timestamps: np.ndarray) -> np.ndarray:
    seconds, progress = points.T
    step = float(np.median(np.diff(seconds))) if len(seconds) > 1 else 0.0
    found = np.interp(timestamps, seconds, progress)
    found[(timestamps < seconds[0] - step) | (timestamps > seconds[-1] + step)] = np.nan
    return found
