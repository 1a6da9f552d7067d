"""The way back: shards to folders of images and a CSV, which `source = images` reads again."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any, Dict, List, Sequence, Union

from tcc.errors import LabelError
from tcc.progress import Progress, silent
from tcc.sequences import UNLABELLED
from tcc.video.files import atomic_file
from tcc.video.inventory import safe_file_name
from tcc.video.shards import ClipRecord, read_records

EXPORT_CSV = "labels.csv"
_MAX_NAME_BYTES = 200
_TAKEN = (EXPORT_CSV, "log.txt", "manifest.json")
_COLUMNS = ("clip", "frame", "phase", "seconds", "name")


def export_shards(
    shards: Sequence[Union[str, Path]],
    directory: Union[str, Path],
    *,
    phases: Sequence[str] = (),
    expected: Sequence[int] = (),
    fps_if_unknown: float = 1.0,
    progress: Progress = silent,
) -> Dict[str, int]:
    """Write every frame of the shards as `directory`/CLIP/000000.jpg, ... with the shards' own bytes, and labels.csv.

    labels.csv has the columns clip (the folder), frame (from 0), phase (empty where there is none), seconds and name (the
    clip's name in the shard, which is also the folder's name where that is harmless). It is written last.

    Args:
      phases: names of the labels 0, 1, ...; empty: their numbers are written.
      expected: how many clips each shard must hold; empty: what it holds.
      fps_if_unknown: gives times to records without timestamps.
    Returns: {"clips", "frames"}.
    Raises: ShardError if a shard is damaged; LabelError if there are more labels than names.
    """
    directory = Path(directory)
    rows: List[Dict[str, Any]] = []
    clips = 0
    for done, shard in enumerate(shards):
        count = expected[done] if expected else None
        for record in read_records(shard, fps_if_unknown=fps_if_unknown, expected=count):
            progress(done / len(shards), f"{clips} clips written")
            rows += _export_clip(record, directory, phases)
            clips += 1
    _write_rows(directory / EXPORT_CSV, rows)
    progress(1.0, f"{clips} clips written")
    return {"clips": clips, "frames": len(rows)}


def _export_clip(record: ClipRecord, directory: Path, phases: Sequence[str]) -> List[Dict[str, Any]]:
    name = _folder_name(record.name)
    folder = directory / name
    folder.mkdir(parents=True, exist_ok=True)
    for number, jpeg in enumerate(record.frames):
        (folder / f"{number:06d}.jpg").write_bytes(jpeg)
    return [
        {
            "clip": name,
            "frame": number,
            "phase": _phase(int(label), phases),
            "seconds": f"{seconds:.9g}",
            "name": record.name,
        }
        for number, (label, seconds) in enumerate(zip(record.frame_labels, record.timestamps))
    ]


def _folder_name(name: str) -> str:
    """The clip's name where it can be one folder's name on any system, else a harmless one that no other clip has."""
    fits = name.isprintable() and not set(name) & set('/\\:*?"<>|') and len(name.encode()) <= _MAX_NAME_BYTES
    if fits and name == name.strip(" .") and name.lower() not in _TAKEN:
        return name
    harmless, digest = safe_file_name(name)
    return f"{harmless}-{digest}"


def _phase(label: int, phases: Sequence[str]) -> str:
    if label == UNLABELLED:
        return ""
    if phases and label >= len(phases):
        raise LabelError(f"label {label} has no name among the {len(phases)} phases; name all of them, or none")
    return phases[label] if phases else str(label)


def _write_rows(path: Path, rows: List[Dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(rows)
    with atomic_file(path) as file:
        file.write(text.getvalue().encode("utf-8", "surrogateescape"))
