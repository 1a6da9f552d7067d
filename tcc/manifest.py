"""Manifests of targets: read, and checked before anything in them is believed.

A manifest is a JSON object of two: `result`, which the same inputs and settings reproduce byte for byte, and `run`, which tells
how it came about and may differ. docs/architecture.md describes both.
"""

from __future__ import annotations

import json
import math
from pathlib import Path, PurePosixPath
from typing import Any, Dict, Mapping, Union

from tcc.errors import TargetError

MANIFEST = "manifest.json"
_RESULT = {
    "stage": str,
    "name": str,
    "fingerprint": str,
    "version": int,
    "params": dict,
    "settings": dict,
    "upstream": dict,
    "counts": dict,
    "skipped": list,
    "warnings": list,
    "files": dict,
}
_MOST_SECONDS = 1e10
_RUN = {"started": str, "seconds": (int, float), "host": str, "versions": dict}


def read_manifest(directory: Union[str, Path]) -> Dict[str, Any]:
    """The manifest of a complete target.

    Raises: TargetError if there is none, or it is damaged: cut off, of other types, or with names that lead out of its folder.
    """
    path = Path(directory) / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"), parse_constant=_finite, parse_float=_finite)
        _check(manifest)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        told = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise TargetError(f"{path}: not a whole manifest ({told}); delete the folder and run again") from error
    return dict(manifest)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is not a number of JSON")
    return number


def _check(manifest: Any) -> None:
    result, run = manifest["result"], manifest["run"]
    _check_types(result, _RESULT)
    _check_types(run, _RUN)
    if not 0 <= run.get("seconds", 0) < _MOST_SECONDS:
        raise ValueError(f"seconds: {run['seconds']!r:.40}")
    for name, digest in result["files"].items():
        if not isinstance(digest, str) or not _stays_inside(name):
            raise ValueError(f"files: {name!r}")
    for names in result.get("upstream", {}).values():
        for name in names if isinstance(names, list) else [names]:
            if not isinstance(name, str) or not _stays_inside(name):
                raise ValueError(f"upstream: {name!r}")
    for row in result.get("skipped", []):
        _check_types(row, {"clip": str, "reason": str})


def _check_types(value: Any, types: Mapping[str, Any]) -> None:
    if not isinstance(value, dict):
        raise TypeError(f"{value!r:.40} where an object belongs")
    for key, kind in types.items():
        if key in value and (not isinstance(value[key], kind) or isinstance(value[key], bool)):
            raise TypeError(f"{key}: {value[key]!r:.40}")


def _stays_inside(name: str) -> bool:
    path = PurePosixPath(name)
    return bool(name) and not path.is_absolute() and ".." not in path.parts and "\0" not in name
