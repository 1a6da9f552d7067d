"""The pretrained files that are known: those that come with this project, and those that others have published."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Iterable, Optional, Tuple

from tcc.errors import WeightsError

_FOLDER = Path(__file__).parent / "data"
# Backbone -> (file, SHA-256); scripts/make_<backbone>_weights.py makes the file and prints the sum.
_SHIPPED = {
    "efficientnet_lite0": (
        "efficientnet_lite0.npz",
        "fc07126ec41508de141dca87174a334d65888a2799778ef8d613ec6384211ab9",
    ),
}


@dataclass(frozen=True)
class Published:
    """A file of weights in Keras' format that somebody else has published.

    Attributes:
      url: the folder it is published in.
      file_names: what the file is called: by Keras first, then as others spell it.
      md5: the checksum that Keras states of it, in hexadecimal; no SHA-256 is stated anywhere.
      layers_beyond: its layers with weights after the one where our network ends.
    """

    url: str
    file_names: Tuple[str, ...]
    md5: str
    layers_beyond: Tuple[str, ...]


def _resnet50v2_beyond() -> Tuple[str, ...]:
    blocks = [*(f"conv4_block{number}" for number in (4, 5, 6)), *(f"conv5_block{number}" for number in (1, 2, 3))]
    parts = ("preact_bn", "1_conv", "1_bn", "2_conv", "2_bn", "3_conv")
    return (*(f"{block}_{part}" for block in blocks for part in parts), "conv5_block1_0_conv", "post_bn")


_PUBLISHED = {
    "resnet50v2": Published(
        url="https://storage.googleapis.com/tensorflow/keras-applications/resnet/",
        file_names=(
            "resnet50v2_weights_tf_dim_ordering_tf_kernels_notop.h5",
            "resnet50v2_weight_tf_dim_ordering_tf_kernels_notop.h5",  # in the README of the Ascend port
        ),
        md5="fac2f116257151a9d068a22e544a4917",
        layers_beyond=_resnet50v2_beyond(),
    ),
}


def shipped_path(name: str) -> Optional[Path]:
    """The weights shipped for one backbone, or None where there are none."""
    return _FOLDER / _SHIPPED[name][0] if name in _SHIPPED else None


def shipped_sha256(name: str) -> Optional[str]:
    """SHA-256 that the shipped file must have, or None where there is no such file."""
    return _SHIPPED[name][1] if name in _SHIPPED else None


def published(name: str) -> Optional[Published]:
    """The weights that others have published for one backbone, or None where none are known."""
    return _PUBLISHED.get(name)


def find_published(name: str, folders: Iterable[Path]) -> Optional[Path]:
    """The published file of a backbone under any of its spellings, in the first of the folders that has one.

    Raises: WeightsError if a folder has it under two spellings.
    """
    file_names = _PUBLISHED[name].file_names if name in _PUBLISHED else ()
    for folder in folders:
        found = [folder / file_name for file_name in file_names if (folder / file_name).is_file()]
        if len(found) > 1:
            raise WeightsError(
                f"{folder}: holds the weights of {name} twice, as {found[0].name} and {found[1].name}; "
                "remove one of them, or name the file in [backbone] weights"
            )
        if found:
            return found[0]
    return None
