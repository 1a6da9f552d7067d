"""Shards that somebody else wrote, the reference's above all: found, checked, and written again with what ours have besides.

The frames are copied as they are; names, labels and times are completed. The reference has no test split: then its
validation shards are for testing, and a part of its training clips is held out for choosing the checkpoint.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, Sequence, Tuple, Union

import numpy as np

from tcc.config import SPLITS
from tcc.errors import LabelError, ShardError
from tcc.progress import Progress, silent
from tcc.sequences import UNLABELLED
from tcc.video.inventory import hold_out
from tcc.video.shards import ClipRecord, decode_jpegs, read_records, write_records
from tcc.video.tfrecord import read_payloads

_SHARD_NAME = re.compile(r"(?:(?P<set>.*)_)?(?P<split>train|val|test)-0*(?P<index>\d+)-of-0*(?P<count>\d+)\.tfrecords?")


@dataclass(frozen=True)
class ShardFile:
    """One file of a ready-made set: its path below the folder, and the split that its name tells."""

    name: str
    split: str


def find_shards(folder: Union[str, Path]) -> List[ShardFile]:
    """The shards below a folder, sorted: `[SET_]train-0-of-2.tfrecord`, also as `.tfrecords` and with leading zeros.

    Raises: ShardError if the folder is missing, holds no shard, shards of two sets, or not all of a split's shards.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ShardError(f"{folder}: no such folder of TFRecords; set [videos] path to an existing folder")
    return shards_by_name(
        sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()), str(folder)
    )


def shards_by_name(names: Sequence[str], where: str) -> List[ShardFile]:
    """As `find_shards`, from the files' names alone; others are passed over."""
    found: Dict[Tuple[str, str, int], Dict[int, str]] = defaultdict(dict)
    for name in names:
        match = _SHARD_NAME.fullmatch(Path(name).name)
        if match:
            key = (str(Path(name).parent / (match["set"] or "")), match["split"], int(match["count"]))
            other = found[key].setdefault(int(match["index"]), name)
            if other != name:
                raise ShardError(f"{where}: {other} and {name} are the same shard; remove one of them")
    _check(found, where)
    return [
        ShardFile(name, split) for (_, split, _), files in sorted(found.items()) for _, name in sorted(files.items())
    ]


def _check(found: Mapping[Tuple[str, str, int], Mapping[int, str]], where: str) -> None:
    if not found:
        raise ShardError(f"{where}: holds no shard; expected names such as pouring_train-0-of-2.tfrecord")
    sets = sorted({name for name, _, _ in found})
    if len(sets) > 1:
        raise ShardError(f"{where}: holds shards of several sets ({', '.join(sets)}); keep one set in a folder")
    for split in SPLITS:
        counts = [(count, files) for (_, of, count), files in found.items() if of == split]
        if len(counts) > 1:
            raise ShardError(
                f"{where}: the {split} shards disagree on how many there are; remove those of another version"
            )
        for count, files in counts:
            beyond = [name for index, name in files.items() if index >= count]
            if beyond:
                raise ShardError(f"{where}: {beyond[0]} is beyond the {count} shards that its name tells; rename it")
            missing = sorted(set(range(count)) - set(files))
            if missing:
                raise ShardError(f"{where}: of {count} {split} shards number {missing} is missing; fetch it again")
    if not any(split == "train" for _, split, _ in found):
        raise ShardError(f"{where}: holds no training shard; expected a name such as pouring_train-0-of-2.tfrecord")


def shard_fault(path: Union[str, Path]) -> str:
    """What is wrong with a file that should hold TFRecords, without its name; empty if nothing."""
    try:
        count = sum(1 for _ in read_payloads(path))
    except ShardError as error:
        return str(error).split(": ", 1)[-1].split(";", 1)[0] + ", so it is no whole TFRecord file"
    return "" if count else "it holds no record"


def list_clips(
    folder: Union[str, Path], shards: Sequence[ShardFile], progress: Progress = silent
) -> List[Dict[str, Any]]:
    """Read every record once, with its checksums.

    Returns: for each clip {"clip", "split" (that its file tells), "shard", "num_frames", "labelled_frames",
      "labels" (that occur)}, sorted by name.
    Raises: ShardError for a damaged record, or a name that two clips share.
    """
    clips: Dict[str, Dict[str, Any]] = {}
    for done, shard in enumerate(shards):
        progress(done / len(shards), f"checking {shard.name}, {len(clips)} clips so far")
        for record in read_records(Path(folder, shard.name)):
            if record.name in clips:
                other = clips[record.name]["shard"]
                raise ShardError(
                    f"{Path(folder, shard.name)}: clip {record.name!r} is also in {other}; remove one of them"
                )
            labels = record.frame_labels
            _check_record(Path(folder, shard.name), record)
            clips[record.name] = {
                "clip": record.name,
                "split": shard.split,
                "shard": shard.name,
                "num_frames": len(record),
                "labelled_frames": int(np.count_nonzero(labels != UNLABELLED)),
                "labels": sorted({int(label) for label in labels if label != UNLABELLED}),
            }
    return [clips[name] for name in sorted(clips)]


def _check_record(path: Path, record: ClipRecord) -> None:
    where = f"{path}: clip {record.name!r}"
    if not len(record):
        raise ShardError(f"{where} has no frames; write the shard without it")
    if record.frame_labels.min() < UNLABELLED:
        raise ShardError(f"{where} has the label {record.frame_labels.min()}; phases count from 0, -1 is none")
    try:
        decode_jpegs(record.frames[:1])
    except ShardError as error:
        raise ShardError(f"{where}: {error}") from error


def splits_of(
    clips: Sequence[Mapping[str, Any]], *, seed: int, train_fraction: float, val_fraction: float
) -> Dict[str, str]:
    """The split of each clip of `list_clips`.

    Where the files have all three splits, theirs. Without a test split val is the test split, and without a split to choose the
    checkpoint on, val_fraction / (train_fraction + val_fraction) of the training clips are held out, by a stable hash.
    """
    told = {clip["split"] for clip in clips}
    names = {"train": "train", "val": "val" if "test" in told else "test", "test": "test"}
    splits = {clip["clip"]: names[clip["split"]] for clip in clips}
    if told >= {"val", "test"}:
        return splits
    training = [name for name, split in splits.items() if split == "train"]
    return {**splits, **hold_out(training, seed=seed, train_fraction=train_fraction, val_fraction=val_fraction)}


def phase_names(clips: Sequence[Mapping[str, Any]], phases: Sequence[str]) -> List[str]:
    """Names of the phases 0 ... highest label; `phases` names them, or their numbers do. Empty without any label.

    Raises: LabelError if there are more phases than names.
    """
    count = max((label for clip in clips for label in clip["labels"]), default=UNLABELLED) + 1
    if not count:
        return []
    if phases and len(phases) < count:
        raise LabelError(f"[videos] phases names {len(phases)} phases, the shards have {count}; name them all or none")
    return list(phases) if phases else [str(number) for number in range(count)]


def write_again(
    path: Union[str, Path],
    folder: Union[str, Path],
    clips: Sequence[Mapping[str, Any]],
    *,
    fps_if_unknown: float,
    progress: Progress = silent,
) -> List[Dict[str, Any]]:
    """Write one shard with these clips of `list_clips`, in the order of their files; their frames byte for byte.

    Args:
      fps_if_unknown: gives times to records without timestamps.
    Returns: the index, as `write_records`.
    """
    return write_records(path, _in_order(folder, clips, fps_if_unknown, progress))


def _in_order(
    folder: Union[str, Path], clips: Sequence[Mapping[str, Any]], fps_if_unknown: float, progress: Progress
) -> Iterator[ClipRecord]:
    shards: Dict[str, List[str]] = defaultdict(list)
    for clip in clips:
        shards[clip["shard"]].append(clip["clip"])
    done = 0
    for shard, names in sorted(shards.items()):
        wanted = set(names)
        for record in read_records(Path(folder, shard), fps_if_unknown=fps_if_unknown):
            if record.name in wanted:
                progress(done / len(clips), f"{done} of {len(clips)} clips written")
                done += 1
                yield record
