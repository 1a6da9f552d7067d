"""A folder of embeddings that were made elsewhere: what the metrics need, read from files that anybody can write."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Tuple, Union

import numpy as np

from tcc.errors import LabelError, ShapeError
from tcc.sequences import UNLABELLED, ClipSequence, load_sequences
from tcc.stored_values import DAMAGED_NPZ
from tcc.true_progress import read_progress

SPLITS = ("train", "test")
LABELS, PROGRESS = "labels.csv", "progress.csv"
_SUFFIXES = (".npy", ".npz")


@dataclass(frozen=True)
class EmbeddingFolder:
    """Clips with embeddings [T, D] of both splits.

    Attributes:
      train, test: the clips.
      phases: names of the labels 0, 1, ...; empty without labels.
      truth: true progress of clips by name, float64 [T]; None where the folder does not tell it.
    """

    train: List[ClipSequence]
    test: List[ClipSequence]
    phases: Tuple[str, ...]
    truth: Optional[Dict[str, np.ndarray]]


def read_embedding_folder(directory: Union[str, Path], *, fps: Optional[float] = None) -> EmbeddingFolder:
    """Read train.npz and test.npz of `tcc.sequences`, or folders train/ and test/ with one file for each clip.

    A clip's file is .npy with embeddings [T, D], or .npz with `embeddings` and, if wanted, `timestamps` [T] in seconds and
    `labels` [T], phases by number with -1 for none. The clip is called train/NAME or test/NAME, as its file without suffix.
    Labels come from labels.csv (as `read_labels` takes it; frame n is row n of the embeddings) where clips have none of
    their own. progress.csv tells the true progress, as `read_progress` takes it.

    Args: fps: frames a second, for clips without timestamps.
    Raises: ShapeError for files that do not hold such arrays; LabelError for CSV files that cannot be understood; ShardError
      for a damaged train.npz or test.npz.
    """
    directory = Path(directory)
    stored = [directory / f"{split}.npz" for split in SPLITS]
    if all(path.is_file() for path in stored):
        (train, names), (test, test_names) = map(load_sequences, stored)
        phases: Sequence[str] = names
        if names != test_names:
            raise LabelError(
                f"{stored[1]}: has the phases {test_names}, {stored[0].name} has {names}; make them the same"
            )
    else:
        train, test = (_read_clips(directory, split, fps) for split in SPLITS)
        train, test, phases = _label(directory / LABELS, train, test)
    truth = read_progress(directory / PROGRESS, [*train, *test]) if (directory / PROGRESS).exists() else None
    return EmbeddingFolder(train, test, tuple(phases), truth)


def _read_clips(directory: Path, split: str, fps: Optional[float]) -> List[ClipSequence]:
    folder = directory / split
    paths = sorted(path for path in folder.rglob("*") if path.suffix in _SUFFIXES) if folder.is_dir() else []
    if not paths:
        raise ShapeError(
            f"{folder}: no .npy or .npz file; put one for each clip there, or train.npz and test.npz of tcc.sequences"
            f" into {directory}"
        )
    clips = [_read_clip(path, f"{split}/{path.relative_to(folder).with_suffix('').as_posix()}", fps) for path in paths]
    for one, following in zip(clips, clips[1:]):
        if one.name == following.name:
            raise ShapeError(f"{folder}: clip {one.name} is there as .npy and as .npz; keep one of them")
    return clips


def _read_clip(path: Path, name: str, fps: Optional[float]) -> ClipSequence:
    arrays = _load(path)
    if "embeddings" not in arrays:
        raise ShapeError(
            f"{path}: no array `embeddings`, got {', '.join(arrays) or 'nothing'}; store [T, D] under this name"
        )
    embeddings = arrays["embeddings"]
    if embeddings.ndim != 2 or embeddings.dtype.kind not in "fiu":
        raise ShapeError(f"{path}: expected numbers [T, D], got {embeddings.dtype} {list(embeddings.shape)}")
    if "timestamps" not in arrays and not fps:
        raise ShapeError(f"{path}: no array `timestamps`; store seconds [T], or give the frames a second by --fps")
    timestamps = arrays.get("timestamps", np.arange(len(embeddings)) / (fps or 1))
    labels = arrays.get("labels", np.full(len(embeddings), UNLABELLED))
    for what, array, kinds in (("timestamps", timestamps, "fiu"), ("labels", labels, "iu")):
        if array.shape != embeddings.shape[:1] or array.dtype.kind not in kinds:
            raise ShapeError(
                f"{path}: expected {'whole ' if kinds == 'iu' else ''}numbers [{len(embeddings)}] in `{what}`,"
                f" got {array.dtype} {list(array.shape)}"
            )
    if not np.isfinite(timestamps).all() or (np.diff(timestamps) <= 0).any():
        raise ShapeError(f"{path}: `timestamps` must rise from frame to frame")
    if len(labels) and labels.min() < UNLABELLED:
        raise ShapeError(f"{path}: `labels` must be at least -1 (no label), got {labels.min()}")
    return ClipSequence(name, timestamps.astype(np.float64), labels.astype(np.int64), embeddings)


def _load(path: Path) -> Dict[str, np.ndarray]:
    try:
        found = np.load(path, allow_pickle=False)
        if isinstance(found, np.ndarray):
            return {"embeddings": found}
        with found as arrays:
            return {key: arrays[key] for key in arrays.files}
    except DAMAGED_NPZ as error:
        raise ShapeError(f"{path}: not an array file of NumPy ({error}); write it again with numpy.save") from error


def _label(
    path: Path, train: Sequence[ClipSequence], test: Sequence[ClipSequence]
) -> Tuple[List[ClipSequence], List[ClipSequence], List[str]]:
    """The clips with labels, and the names of the phases."""
    clips = [*train, *test]
    own = [clip.name for clip in clips if (clip.labels != UNLABELLED).any()]
    if path.exists():
        if own:
            raise LabelError(f"{path}: clip {own[0]} has `labels` in its own file; delete one of the two")
        from tcc.video.label_checks import check_durations
        from tcc.video.labels import read_labels

        labels = read_labels(path).check_against([clip.name for clip in clips])
        labels = check_durations(labels, {clip.name: _duration(clip) for clip in clips})
        phases = list(labels.phases)
        clips = [
            dataclasses.replace(clip, labels=labels.label_frames(clip.name, clip.timestamps, np.arange(len(clip))))
            for clip in clips
        ]
    else:
        phases = [str(number) for number in range(1 + max(int(clip.labels.max(initial=-1)) for clip in clips))]
    return clips[: len(train)], clips[len(train) :], phases


def _duration(clip: ClipSequence) -> Tuple[float, float, int]:
    """Seconds to the end of a clip's last frame, seconds of a frame, and number of frames."""
    period = float(np.median(np.diff(clip.timestamps))) if len(clip) > 1 else 0.0
    return float(clip.timestamps[-1]) + period, period, len(clip)
