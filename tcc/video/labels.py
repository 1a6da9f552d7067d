"""Label files of every kind, and files of splits, through one door."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Mapping, Optional, Sequence, Union

from tcc.config import SPLITS, check_choice
from tcc.errors import LabelError
from tcc.video.annotations import read_annotations
from tcc.video.clip_labels import FramePhases, Labels, Segment, frame_labels
from tcc.video.clip_names import resolve_names
from tcc.video.clip_rows import ClipFacts, place, read_rows, refuse_all
from tcc.video.label_csv import read_label_csv
from tcc.video.phase_names import check_phases

__all__ = [
    "FramePhases",
    "Labels",
    "Segment",
    "Splits",
    "check_groups",
    "frame_labels",
    "read_labels",
    "read_splits",
]

SPLIT_COLUMNS = ("clip", "split")


@dataclass(frozen=True)
class Splits:
    """A file of splits: the split of each clip, and the group of each clip that the file gives one."""

    splits: Dict[str, str]
    groups: Dict[str, str]


def read_labels(path: Union[str, Path], *, bad_labels: str = "refuse", phases: Sequence[str] = ()) -> Labels:
    """Read a label file of one of three formats.

    CSV with clip,start_seconds,end_seconds,phase: half-open segments; without end_seconds, the last segment of a clip
      lasts until its end. A row with a clip and nothing but its split or group tells only that.
    CSV with clip,frame,phase: frames of the source video from 0; frames without a row or phase are unlabelled.
    JSON, told by its suffix: {video: {annotator: {"0": [start_us, end_us], ...}}} of the reference, whose annotators
      are merged; before its first segment a clip has the phase of that one, after the last one the phase of the last.
    Both CSV may have the columns split and group; further columns are passed over.

    Args:
      bad_labels: refuse, or drop: segments whose end equals their start and (`check_against`) labels of clips that do
        not exist are left out and named in `warnings`.
      phases: names of the phases 0, 1, ... if the file numbers them, else the names that it may use, in order. Without
        it, numbers are in the order of numbers and names in the order of the action.
    Raises: LabelError, naming file, line, clip and the fix, for whatever cannot be understood, contradicts itself or
      overlaps, and for phases that are not among `phases`. SettingsError for another value of `bad_labels`.
    """
    check_choice("bad_labels", bad_labels, ("refuse", "drop"))
    check_phases(phases)
    read = read_annotations if Path(path).suffix.lower() == ".json" else read_label_csv
    labels = read(path, drop=bad_labels == "drop", phases=phases)
    check_groups(labels.splits, labels.groups, path)
    return labels


def read_splits(path: Union[str, Path], names: Optional[Sequence[str]] = None) -> Splits:
    """Read a CSV of splits: clip,split with train, val or test, and if wanted group.

    Args:
      names: of the clips that exist; splits and groups are then told under these names.
    Raises: LabelError, naming file, line, clip and the fix, for a missing column, an unknown split, a clip in two
      splits or groups, a group in two splits, and with `names` for a clip that is unknown, ambiguous, or written in two
      ways.
    """
    _, rows = read_rows(path, SPLIT_COLUMNS)
    facts = ClipFacts()
    for row in rows:
        if not row.values["split"]:
            raise row.refuse(f"has no split; write one of {', '.join(SPLITS)}")
        facts.add(row)
    check_groups(facts.splits, facts.groups, path)
    if names is None:
        return Splits(facts.splits, facts.groups)
    resolved, unknown = resolve_names(facts.lines, names, str(path))
    if unknown:
        raise refuse_all(str(path), [f"{place(facts.lines[clip], clip)}: {unknown[clip]}" for clip in unknown])
    splits = {resolved[clip]: split for clip, split in facts.splits.items()}
    return Splits(splits, {resolved[clip]: group for clip, group in facts.groups.items()})


def check_groups(splits: Mapping[str, str], groups: Mapping[str, str], path: Union[str, Path]) -> None:
    """Raise LabelError if two clips of one group are in two splits; `path` is named in the message."""
    first: Dict[str, str] = {}
    for clip in sorted(set(groups) & set(splits)):
        other = first.setdefault(groups[clip], clip)
        if splits[other] != splits[clip]:
            raise LabelError(
                f"{path}: group {groups[clip]!r} is in two splits: clip {other!r} in {splits[other]}, clip {clip!r} in"
                f" {splits[clip]}; put all clips of a group into one split"
            )
