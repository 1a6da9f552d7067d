"""What a folder of a training says about itself, so that none is gone on with by mistake or under other settings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict

from tcc.errors import SettingsError
from tcc.video.files import atomic_file

RUN = "run.json"
_MAY_DIFFER = ("training.num_steps", "training.log_every", "training.frame_memory_mb")


def claim(folder: Path, run: Dict[str, Dict[str, Any]], *, go_on: bool) -> None:
    """Write down in `folder` what is trained there, or find that its checkpoints are of the same training.

    Args:
      run: section -> option -> value, of all that the weights depend on.
      go_on: whether a training that is there may be gone on with.
    Raises: SettingsError if there is one and it may not, or it is another.
    """
    path = folder / RUN
    run = json.loads(json.dumps(run))
    if not list(folder.glob("step-*")):
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_file(path) as file:
            file.write(json.dumps(run, indent=1, sort_keys=True).encode())
        return
    if not go_on:
        raise SettingsError(
            f"logdir: {folder} holds a training; give --force_train to go on with it, or another --logdir"
        )
    differing = _differing(_read(path), run)
    if differing:
        raise SettingsError(f"logdir: {folder} holds another training ({'; '.join(differing)}); give another --logdir")


def _read(path: Path) -> Dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise SettingsError(f"logdir: {path} is missing or damaged ({error}); give another --logdir") from error


def _differing(before: Dict[str, Any], now: Dict[str, Any]) -> list:
    old, new = _flat(before), _flat(now)
    names = [name for name in sorted({*old, *new}) if name not in _MAY_DIFFER and old.get(name) != new.get(name)]
    return [f"{name} was {old.get(name)}, is {new.get(name)}" for name in names]


def _flat(run: Dict[str, Any]) -> Dict[str, Any]:
    return {f"{section}.{name}": value for section, options in run.items() for name, value in options.items()}
