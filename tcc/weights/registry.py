"""The pretrained files that come with this project, each with its SHA-256."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

_FOLDER = Path(__file__).parent / "data"
# Backbone -> (file, SHA-256); scripts/make_<backbone>_weights.py makes the file and prints the sum.
_SHIPPED = {
    "efficientnet_lite0": (
        "efficientnet_lite0.npz",
        "fc07126ec41508de141dca87174a334d65888a2799778ef8d613ec6384211ab9",
    ),
}


def shipped_path(name: str) -> Optional[Path]:
    """The weights shipped for one backbone, or None where there are none."""
    return _FOLDER / _SHIPPED[name][0] if name in _SHIPPED else None


def shipped_sha256(name: str) -> Optional[str]:
    """SHA-256 that the shipped file must have, or None where there is no such file."""
    return _SHIPPED[name][1] if name in _SHIPPED else None
