"""The Penn Action data set as released: clips of one action, and what the literature says of the thirteen actions.

`<root>/frames/<id>/*.jpg` are the images of a clip, `<root>/labels/<id>.mat` tells its action and its part of the release.
Phase labels are no part of the release.
"""

from __future__ import annotations

import difflib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Mapping, Sequence, Tuple, Union

import numpy as np

from tcc.errors import LabelError, SettingsError, VideoError
from tcc.progress import Progress, silent
from tcc.video.inventory import list_image_folders

FRAMES_FOLDER = "frames"
LABELS_FOLDER = "labels"
_NAMED_IN_WARNINGS = 3


@dataclass(frozen=True)
class PennAction:
    """One of the thirteen actions on which temporal cycle-consistency was evaluated.

    Attributes:
      name: in the paper and its code.
      mat_name: in the release's label files.
      key_events: the boundaries between its phases, in order.
      paper_sizes: clips for training and for evaluation in the paper's table.
      code_sizes: the same in the table of the reference code.
    """

    name: str
    mat_name: str
    key_events: Tuple[str, ...]
    paper_sizes: Tuple[int, int]
    code_sizes: Tuple[int, int]

    @property
    def num_phases(self) -> int:
        """Phases 0, 1, ...: one before each key event and one after the last."""
        return len(self.key_events) + 1


_ACTIONS = (
    PennAction(
        "baseball_pitch",
        "baseball_pitch",
        ("knee fully up", "arm fully stretched out", "ball release"),
        (103, 63),
        (103, 63),
    ),
    PennAction("baseball_swing", "baseball_swing", ("bat swung back fully", "bat hits ball"), (113, 57), (113, 57)),
    PennAction("bench_press", "bench_press", ("bar fully down",), (69, 71), (113, 57)),
    PennAction("bowling", "bowl", ("ball swung fully back", "ball release"), (134, 85), (134, 84)),
    PennAction(
        "clean_and_jerk",
        "clean_and_jerk",
        ("bar at hip", "fully squatting", "standing", "begin thrusting", "beginning balance"),
        (40, 42),
        (40, 42),
    ),
    PennAction("golf_swing", "golf_swing", ("stick swung fully back", "stick hits ball"), (87, 77), (87, 77)),
    PennAction(
        "jumping_jacks",
        "jumping_jacks",
        ("hands at shoulder (going up)", "hands above head", "hands at shoulders (going down)"),
        (56, 56),
        (56, 56),
    ),
    PennAction("pullups", "pullup", ("chin above bar",), (98, 101), (98, 100)),
    PennAction("pushups", "pushup", ("head at floor",), (102, 105), (102, 105)),
    PennAction("situp", "situp", ("abs fully crunched",), (50, 50), (50, 50)),
    PennAction(
        "squats",
        "squat",
        ("hips at knees (going down)", "hips at floor", "hips at knee (going up)"),
        (114, 116),
        (114, 115),
    ),
    PennAction(
        "tennis_forehand", "tennis_forehand", ("racket swung fully back", "racket touches ball"), (79, 74), (79, 74)
    ),
    PennAction(
        "tennis_serve",
        "tennis_serve",
        ("ball released from hand", "racket swung fully back", "ball touches racket"),
        (115, 69),
        (115, 68),
    ),
)
PENN_ACTIONS: Dict[str, PennAction] = {action.name: action for action in _ACTIONS}
_NAMES = {action.mat_name: action.name for action in _ACTIONS}


@dataclass(frozen=True)
class PennClip:
    """One clip: `name` is its folder of images relative to the root, `split` train, test or empty (the file tells none)."""

    name: str
    action: str
    split: str


@dataclass(frozen=True)
class PennClips:
    """The clips of one action in the order of their names, and what was left out or is missing, in words."""

    clips: Tuple[PennClip, ...]
    warnings: Tuple[str, ...]


def read_penn_action(root: Union[str, Path], action: str, progress: Progress = silent) -> PennClips:
    """The clips of one action of the Penn Action data set.

    Args:
      root: the folder that holds `frames` and `labels`.
      action: its name in the paper or in the label files (bowling or bowl); an action of the release beyond the
        thirteen of PENN_ACTIONS may be given too.
    Returns: the clips, with `action` as the paper spells it; the release's test part is `test`, and a validation split
      is for the caller to hold out. Clips of the action without images, and folders of images without label file, are
      left out and told in the warnings.
    Raises: VideoError if a folder is missing or no clip is left, LabelError if a label file cannot be understood,
      SettingsError if no label file tells this action.
    """
    root = Path(root)
    _check_layout(root)
    labels = _read_labels(root / LABELS_FOLDER, progress)
    wanted = _known_action(action, Counter(found for found, _ in labels.values()), root / LABELS_FOLDER)
    framed = set(list_image_folders(root / FRAMES_FOLDER))
    mine = {clip: split for clip, (found, split) in labels.items() if found == wanted}
    clips = tuple(PennClip(f"{FRAMES_FOLDER}/{clip}", wanted, mine[clip]) for clip in mine if clip in framed)
    if not clips:
        raise VideoError(
            f"{root / FRAMES_FOLDER}: none of the {len(mine)} clips of {wanted} has a folder of images here, such as"
            f" {sorted(mine)[0]}/000001.jpg; extract the data set again"
        )
    return PennClips(clips, tuple(_warnings(wanted, mine, framed, labels)))


def _check_layout(root: Path) -> None:
    missing = [name for name in (FRAMES_FOLDER, LABELS_FOLDER) if not (root / name).is_dir()]
    if not missing:
        return
    inside = root.glob(f"*/{LABELS_FOLDER}")
    better = next((path.parent for path in sorted(inside) if (path.parent / FRAMES_FOLDER).is_dir()), None)
    hint = (
        f"did you mean {better}?"
        if better
        else "set the path to the folder that holds frames/<id>/*.jpg and labels/<id>.mat"
    )
    raise VideoError(f"{root}: no folder {' and no folder '.join(missing)} here; {hint}")


def _read_labels(folder: Path, progress: Progress) -> Dict[str, Tuple[str, str]]:
    """Action, as the paper spells it, and split of each clip, in the order of their ids."""
    paths = sorted(path for path in folder.glob("*.mat") if not path.name.startswith("."))
    if not paths:
        raise VideoError(f"{folder}: holds no label file; expected files that end in .mat")
    labels = {}
    for done, path in enumerate(paths):
        progress(done / len(paths), f"reading {done} of {len(paths)} label files")
        fields = _fields(path)
        labels[path.stem] = _action(path, fields), _split(fields)
    progress(1.0, f"read {len(paths)} label files")
    return labels


def _fields(path: Path) -> Mapping[str, Any]:
    # Here, because only this data set needs it: it takes longer to import than the rest of the package.
    import scipy.io

    try:
        return scipy.io.loadmat(str(path), variable_names=["action", "train"])
    except NotImplementedError as error:
        raise LabelError(
            f"{path}: is of MATLAB's format 7.3 (HDF5), which is not read; take the release's own file, or save it in"
            " MATLAB with the option -v7"
        ) from error
    except Exception as error:
        # What a damaged file raises depends on where it is damaged.
        raise LabelError(
            f"{path}: cannot be read as a MATLAB file ({type(error).__name__}: {error}); copy it again"
        ) from error


def _action(path: Path, fields: Mapping[str, Any]) -> str:
    found = np.ravel(fields.get("action", []))
    if not len(found) or not isinstance(found[0], str):
        raise LabelError(f"{path}: tells no action; take the release's own file, or remove it with its images")
    return _as_in_paper(found[0])


def _split(fields: Mapping[str, Any]) -> str:
    part = np.ravel(fields.get("train", []))
    if not len(part):
        return ""
    return "train" if part[0] == 1 else "test"


def _as_in_paper(action: str) -> str:
    name = action.strip().lower().replace(" ", "_").replace("-", "_")
    return _NAMES.get(name, name)


def _known_action(action: str, counts: Mapping[str, int], folder: Path) -> str:
    wanted = _as_in_paper(action)
    if wanted in counts:
        return wanted
    close = difflib.get_close_matches(wanted, [*counts, *(old for old, new in _NAMES.items() if new in counts)], n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    listed = ", ".join(f"{name} ({counts[name]})" for name in sorted(counts))
    raise SettingsError(f"action: no clip of {action!r} in {folder}; {hint}They hold {listed}")


def _warnings(action: str, mine: Mapping[str, str], framed: set, labels: Mapping[str, Tuple[str, str]]) -> List[str]:
    without_images = [clip for clip in mine if clip not in framed]
    without_label = sorted(framed - set(labels))
    without_split = [clip for clip in mine if not mine[clip]]
    found = [
        (without_images, f"of {len(mine)} clips of {action} have a label file and no images, and are left out"),
        (without_label, "folders of images have no label file, and are left out"),
        (without_split if len(without_split) < len(mine) else [], f"of {len(mine)} clips of {action} tell no split"),
    ]
    return [f"{len(clips)} {text}: {_some(clips)}" for clips, text in found if clips]


def _some(clips: Sequence[str]) -> str:
    more = ", ..." if len(clips) > _NAMED_IN_WARNINGS else ""
    return ", ".join(clips[:_NAMED_IN_WARNINGS]) + more
