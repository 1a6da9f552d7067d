"""`python -m tcc transfer RUN VIDEO ... --to DIR`: phases carried from labelled clips to new videos."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, List, Sequence, Tuple

from tcc.at_work.command_line import add_parser, embedded, exit_code, names_of, new_folder, open_model
from tcc.errors import LabelError

if TYPE_CHECKING:
    from tcc.at_work.model_folder import TrainedModel
    from tcc.at_work.transfer import ClipPhases
    from tcc.sequences import ClipSequence

PHASES, LABELS = "phases.csv", "labels.csv"


def register(commands: Any) -> None:
    """Add the command to a parser's."""
    parser = add_parser(commands, "transfer", text="phases carried from labelled clips to new videos", run=transfer)
    parser.add_argument("videos", nargs="+", type=Path, metavar="VIDEO", help="videos, or folders of videos")
    parser.add_argument("--to", required=True, type=Path, metavar="DIR", help="new or empty folder to write to")
    parser.add_argument(
        "--labels",
        nargs=2,
        type=Path,
        metavar=("LABELS", "FOLDER"),
        help="label file, and the folder of the videos that it labels; left out: the clips the model was trained on",
    )


def transfer(options: argparse.Namespace) -> int:
    """Write phases.csv and labels.csv; 1 if some of the videos were skipped."""
    from tcc.at_work.transfer import PhaseTransfer, write_labels, write_phases
    from tcc.at_work.videos import find_videos

    videos = find_videos(options.videos)
    with new_folder(options.to) as folder:
        model = open_model(options)
        references, phases = _labelled(model, options, folder)
        carry = PhaseTransfer(model, references)
        found = [
            carry.phases_of(one.clip, one.record)
            for one in embedded(model, videos, options, folder)
            if one.clip is not None and one.record is not None
        ]
        code = exit_code(options, len(found))
        write_phases(folder / PHASES, found, phases)
        write_labels(folder / LABELS, found, phases, clock_seconds=1 / model.settings.frames.fps)
    _tell(found, len(references), options.to)
    return code


def _labelled(
    model: TrainedModel, options: argparse.Namespace, scratch: Path
) -> Tuple[Sequence[ClipSequence], Sequence[str]]:
    """Labelled clips, embedded, and the names of their phases."""
    from tcc.at_work.model_folder import labelled_references

    if options.labels is None:
        references = labelled_references(model)
        if not references:
            raise LabelError(
                f"{options.model}: the {len(model.references)} clips that the model was trained on have no labels; "
                "give a label file and the folder of its videos: --labels LABELS FOLDER"
            )
        return references, model.phases
    return _embed_labelled(model, options, scratch)


def _embed_labelled(
    model: TrainedModel, options: argparse.Namespace, scratch: Path
) -> Tuple[List[ClipSequence], Sequence[str]]:
    from tcc.at_work.videos import find_videos
    from tcc.video.labels import read_labels

    path, folder = options.labels
    videos = find_videos([folder])
    labels = read_labels(path, bad_labels="drop").check_against(names_of(videos))
    for warning in labels.warnings:
        print(warning, file=sys.stderr)
    wanted = [video for video in videos if labels.num_segments(video.name)]
    if not wanted:
        raise LabelError(f"{path}: labels none of the {len(videos)} videos in {folder}; label at least one")
    if len(wanted) < len(videos):
        print(
            f"{len(videos) - len(wanted)} of {len(videos)} videos in {folder} have no label: left out", file=sys.stderr
        )
    clips = []
    for one in embedded(model, wanted, options, scratch):
        if one.clip is not None and one.record is not None:
            frame_labels = labels.label_frames(one.clip.name, one.record.timestamps, one.record.source_frames)
            clips.append(dataclasses.replace(one.clip, labels=frame_labels))
    if not clips:
        raise LabelError(f"none of the {len(wanted)} labelled videos can be used; nothing was written")
    return clips, labels.phases


def _tell(found: Sequence[ClipPhases], num_references: int, directory: Path) -> None:
    import numpy as np

    frames = sum(len(clip.phases) for clip in found)
    confidence = np.median(np.concatenate([clip.confidence for clip in found]))
    unlike = sum(int(clip.unlike.sum()) for clip in found)
    print(
        f"{len(found)} clips, {frames} frames, phases of {num_references} labelled clips, median confidence "
        f"{confidence:.2f}: {directory}"
    )
    print(f"{unlike} of {frames} frames are unlike anything the model was trained on")
