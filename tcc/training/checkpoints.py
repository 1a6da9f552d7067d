"""Checkpoints of a training: folders `step-00000600/`, absent or whole, with the same bytes for the same training.

A checkpoint holds the encoder, the head where the method has one, and the optimizer, whose `iterations` is the step; the
step is also the position in the data. TensorFlow 2.6 and the newest read each other's.
"""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Union

import tensorflow as tf

from tcc.errors import CheckpointError
from tcc.training.history import HISTORY

_PREFIX = "checkpoint"
_TEMPORARY = ".writing-"


@dataclass(frozen=True)
class Trained:
    """What a checkpoint holds: the encoder, the optimizer, and the head and the loss scale where there is one."""

    encoder: Any
    optimizer: Any
    head: Any = None
    loss_scale: Any = None

    def parts(self) -> Dict[str, Any]:
        """By their names in the checkpoint."""
        # Ascend's loss scale is the optimizer's own, and no object for a checkpoint.
        scale = self.loss_scale if isinstance(self.loss_scale, tf.Module) else None
        optional = {"head": self.head, "loss_scale": scale}
        present = {name: part for name, part in optional.items() if part is not None}
        return {"encoder": self.encoder, "optimizer": self.optimizer, **present}


def checkpoint_path(directory: Union[str, Path], step: int) -> Path:
    """Folder of the checkpoint of one step."""
    return Path(directory) / f"step-{step:08d}"


def list_checkpoints(directory: Union[str, Path]) -> List[int]:
    """Steps of the checkpoints in a folder, in order; half-written ones do not count."""
    folders = Path(directory).glob("step-*")
    return sorted(
        int(folder.name[5:])
        for folder in folders
        if re.fullmatch(r"step-\d{8,}", folder.name) and (folder / f"{_PREFIX}.index").is_file()
    )


def save(directory: Union[str, Path], step: int, trained: Trained) -> Path:
    """Write the checkpoint of a step: into a temporary folder, which is then renamed. One that is there is kept.

    Returns: the checkpoint's folder.
    """
    target = checkpoint_path(directory, step)
    if target.exists():
        return target
    temporary = target.parent / f"{_TEMPORARY}{target.name}"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    # write, not save: save would add a file with the time of day in it.
    tf.train.Checkpoint(**trained.parts()).write(str(temporary / _PREFIX))
    _to_disk(temporary)
    os.replace(temporary, target)
    _sync(target.parent)
    return target


def restore(directory: Union[str, Path], step: int, trained: Trained) -> None:
    """Read the checkpoint of a step into an encoder, its optimizer and its head.

    Raises: CheckpointError if it is missing or damaged, or not every value found its variable and the reverse.
    """
    path = _existing(directory, step)
    _check_optimizer(path, trained.optimizer)
    _read(path, lambda status: status.assert_consumed(), **trained.parts())
    stored = int(trained.optimizer.iterations.numpy())
    if stored != step:
        raise CheckpointError(f"{path}: holds step {stored}; the folder was renamed, delete it and run again")


def _check_optimizer(path: Path, optimizer: Any) -> None:
    """Raise CheckpointError where a checkpoint has Keras' optimizer, which Ascend's wraps, and ours is wanted; or reverse."""
    try:
        names = [name for name, _ in tf.train.list_variables(str(path / _PREFIX))]
    except (ValueError, tf.errors.OpError):
        return  # damaged: reading it says how
    was, now = any(name.startswith("optimizer/keras/") for name in names), hasattr(optimizer, "keras")
    if was != now:
        kinds = {True: "Ascend's loss-scale optimizer", False: "no loss scale of Ascend's"}
        raise CheckpointError(
            f"{path}: was trained with {kinds[was]} and loss_scale of [device] asks for {kinds[now]}; "
            "set it as it was, or begin anew in another folder"
        )


def restore_encoder(directory: Union[str, Path], step: int, encoder: Any, *, head: Any = None) -> None:
    """Read only the encoder of a checkpoint, for embedding, and the head for losses.

    Raises: CheckpointError if it is missing or damaged, or not every value found its variable and the reverse.
    """
    path = _existing(directory, step)
    parts = Trained(encoder, None, head).parts()
    del parts["optimizer"]
    _read(path, lambda status: status.assert_existing_objects_matched(), **parts)
    names = [name for name, _ in tf.train.list_variables(str(path / _PREFIX)) if name.startswith("encoder/")]
    if len(names) != len(encoder.variables):
        raise _mismatch(path, f"it holds {len(names)} variables, the model has {len(encoder.variables)}")


def remove_checkpoints(directory: Union[str, Path], *, keep: Callable[[int], bool]) -> None:
    """Delete what a killed writer left, and the checkpoints of steps that `keep` says no to."""
    for folder in Path(directory).glob(f"{_TEMPORARY}*"):
        shutil.rmtree(folder)
    for step in list_checkpoints(directory):
        if not keep(step):
            shutil.rmtree(checkpoint_path(directory, step))


def take_over(source: Union[str, Path], directory: Union[str, Path], *, keep: Callable[[int], bool]) -> None:
    """Copy another training's history and its checkpoints of the steps that `keep` says yes to; the folder has none yet.

    The copies share their bytes on the disk with the originals where the file system can do that.
    """
    target = Path(directory)
    steps = [step for step in list_checkpoints(source) if keep(step)]
    if not steps:
        return
    shutil.copyfile(Path(source) / HISTORY, target / HISTORY)
    for step in steps:
        temporary = target / f"{_TEMPORARY}{checkpoint_path(target, step).name}"
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.copytree(checkpoint_path(source, step), temporary, copy_function=_link_or_copy)
        os.replace(temporary, checkpoint_path(target, step))
    _sync(target)


def newest_checkpoint(directory: Union[str, Path]) -> Optional[int]:
    """The latest step with a checkpoint, or None."""
    steps = list_checkpoints(directory)
    return steps[-1] if steps else None


def _existing(directory: Union[str, Path], step: int) -> Path:
    path = checkpoint_path(directory, step)
    if step not in list_checkpoints(directory):
        raise CheckpointError(f"{path}: no such checkpoint; there are {list_checkpoints(directory) or 'none'}")
    return path


def _read(path: Path, check: Callable[[Any], Any], **objects: Any) -> None:
    status = None
    try:
        status = tf.train.Checkpoint(**objects).read(str(path / _PREFIX))
        check(status)
    except (AssertionError, LookupError, ValueError, tf.errors.OpError) as error:
        raise _mismatch(path, error) from error
    finally:
        if status is not None:
            # We have checked what matters; without this TensorFlow logs a line for every other value.
            status.expect_partial()


def _mismatch(path: Path, reason: Any) -> CheckpointError:
    first_line = str(reason).strip().split("\n")[0]
    return CheckpointError(
        f"{path}: is damaged or belongs to another model ({first_line}); "
        "use the settings it was trained with, or delete the folder"
    )


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)  # checkpoints are never changed in place
    except OSError:
        shutil.copyfile(source, target)


def _to_disk(folder: Path) -> None:
    for path in sorted(folder.iterdir()):
        _sync(path)
    _sync(folder)


def _sync(path: Path) -> None:
    descriptor = os.open(str(path), os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
