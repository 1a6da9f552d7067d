"""The folder of a trained model: all that it takes to use it on another machine, with this library alone.

model.json       what it is: settings, phases, thresholds, SHA-256 of the other two files and of itself
weights.npz      every variable of backbone and embedder by name, without pickle
references.npz   embeddings, times and labels of the training clips, as `tcc.sequences` stores clips
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Sequence, Tuple, Union

from tcc import weights
from tcc.at_work.model_settings import kept_settings, settings_of
from tcc.at_work.networks import Networks, build_networks
from tcc.at_work.thresholds import Thresholds, measure_thresholds
from tcc.config import Settings
from tcc.errors import ModelError, SettingsError, ShardError, WeightsError
from tcc.sequences import ClipSequence, load_sequences, save_sequences
from tcc.video.files import atomic_file

MODEL_FORMAT = 1
MODEL, WEIGHTS, REFERENCES = "model.json", "weights.npz", "references.npz"


@dataclass(frozen=True)
class TrainedModel:
    """What `load_model` gives.

    Attributes:
      name: of the training run. step: optimizer steps it was trained. fingerprint: of what made it; may be empty.
      settings: those of frames, networks and distance are the model's; all others have their defaults.
      phases: names of the phases that the references' labels index; empty without labels.
      thresholds: from the references; see `measure_thresholds`.
      references: embeddings [T, D] of the training clips, with times and labels.
      networks: backbone and encoder with the trained weights.
    """

    name: str
    step: int
    fingerprint: str
    settings: Settings
    phases: Tuple[str, ...]
    thresholds: Thresholds
    references: Tuple[ClipSequence, ...]
    networks: Networks


def save_model(
    directory: Union[str, Path],
    networks: Networks,
    references: Sequence[ClipSequence],
    *,
    settings: Settings,
    phases: Sequence[str],
    name: str,
    step: int,
    fingerprint: str = "",
) -> Dict[str, Any]:
    """Write a model's folder; the same model gives the same bytes. `load_model` takes it once model.json is there.

    Args:
      directory: made if it is not there.
      networks: with the trained weights.
      references: embeddings of the training clips by these networks; their frames give the thresholds.
      settings: of the run; only what turns a video into embeddings is kept, so no path of this machine.
      phases: names of the phases that the references' labels index.
      name, step, fingerprint: of the run.
    Returns: what model.json holds.
    Raises: MetricUndefined if embeddings are not finite.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    variables = networks.named_variables()
    weights.save(directory / WEIGHTS, {key: variable.numpy() for key, variable in variables.items()})
    save_sequences(directory / REFERENCES, references, phases=phases, fingerprint=fingerprint)
    about = {
        "format": MODEL_FORMAT,
        "name": name,
        "step": step,
        "fingerprint": fingerprint,
        "settings": kept_settings(settings),
        "feature_channels": networks.backbone.feature_channels,
        "phases": list(phases),
        "num_references": len(references),
        "thresholds": dataclasses.asdict(measure_thresholds(references, distance=settings.evaluation.distance)),
        "files": {file: weights.sha256_of(directory / file) for file in (WEIGHTS, REFERENCES)},
    }
    about["sha256"] = _digest(about)
    with atomic_file(directory / MODEL) as file:
        file.write((json.dumps(about, indent=1, sort_keys=True, allow_nan=False) + "\n").encode())
    return about


def load_model(directory: Union[str, Path]) -> TrainedModel:
    """Read a model's folder, check it against its checksums, and build its networks.

    Call `tcc.device.open_device` first, which has to come before the first variable.

    Raises: ModelError if the folder is missing, damaged, of another version, or holds something else.
    """
    directory = Path(directory)
    about = _read_about(directory)
    for file, expected in about["files"].items():
        _check_file(directory / file, expected)
    try:
        settings = settings_of(about["settings"])
        networks = build_networks(settings)
        weights.load_into(networks, directory / WEIGHTS)
        references, phases = load_sequences(directory / REFERENCES)
        return TrainedModel(
            name=about["name"],
            step=about["step"],
            fingerprint=about["fingerprint"],
            settings=settings,
            phases=tuple(phases),
            thresholds=Thresholds(**about["thresholds"]),
            references=tuple(references),
            networks=networks,
        )
    except (SettingsError, ShardError, WeightsError, KeyError, TypeError) as error:
        raise ModelError(
            f"{directory / MODEL}: was written by another version of this library ({type(error).__name__}: {error}); "
            "use that version, or make the folder again"
        ) from error


def _read_about(directory: Path) -> Dict[str, Any]:
    path = directory / MODEL
    if not path.is_file():
        raise ModelError(f"{directory}: no folder of a trained model, it has no {MODEL}; give one that ModelTask made")
    try:
        about = json.loads(path.read_bytes())
        version, own = about["format"], about.pop("sha256")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(path, f"is no description of a model: {type(error).__name__}: {error}") from error
    if version != MODEL_FORMAT:
        raise ModelError(
            f"{path}: is of format {version}, this library reads {MODEL_FORMAT}; use the version that wrote it"
        )
    if own != _digest(about):
        raise _damaged(path, "was changed after it was written")
    return dict(about)


def _check_file(path: Path, expected: str) -> None:
    if not path.is_file():
        raise _damaged(path, "is missing")
    if weights.sha256_of(path) != expected:
        raise _damaged(path, f"has another SHA-256 than {MODEL} says")


def _damaged(path: Path, what: str) -> ModelError:
    return ModelError(f"{path}: {what}; the model's folder is damaged, copy it again or make it again (ModelTask)")


def _digest(about: Dict[str, Any]) -> str:
    """SHA-256 of all the rest of model.json."""
    text = json.dumps(about, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def labelled_references(model: TrainedModel) -> List[ClipSequence]:
    """The references with at least one label."""
    return [clip for clip in model.references if clip.labels.max(initial=-1) >= 0]
