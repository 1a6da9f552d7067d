"""Where the reference's numbers lie: files that are used when they are there and are no part of the project."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_BESIDE_PROJECT = Path(__file__).resolve().parents[2] / "shared" / "golden"


def golden_path(name: str) -> Path:
    """Path of one golden file; skips the calling test, with the reason, where the file is absent."""
    path = Path(os.environ.get("TCC_GOLDEN", str(_BESIDE_PROJECT))) / name
    if not path.exists():
        pytest.skip(f"golden file {name} is not here; set TCC_GOLDEN to its folder")
    return path
