"""What is hashed, and what a manifest records.

A fingerprint is the first 8 hex digits of the SHA-256 of canonical JSON. A manifest has two parts: `result`, which the same
inputs and settings reproduce byte for byte, and `run`, which tells how it came about and may differ.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import platform
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable, Dict, Optional

from tcc.manifest import MANIFEST

LOG = "log.txt"
# Event files, and what an NPU's engine writes on request: they differ from run to run.
UNLISTED_FOLDERS = ("summaries", "dumps", "profiles")
_RECORDED_PACKAGES = ("tensorflow", "numpy", "cv2", "av", "sklearn", "scipy", "luigi", "pyarrow")


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces: the same value gives the same text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def fingerprint(identity: Any) -> str:
    """First 8 hex digits of the SHA-256 of `identity` as canonical JSON."""
    return hashlib.sha256(canonical_json(identity).encode()).hexdigest()[:8]


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def hash_files(directory: Path, hash_file: Callable[[Path], str] = sha256_file) -> Dict[str, str]:
    """SHA-256 of every file of a target but the manifest, logs and event files; keys are relative paths."""
    listed = {}
    for path in sorted(directory.rglob("*")):
        relative = path.relative_to(directory)
        if path.is_file() and relative.parts[0] not in (MANIFEST, LOG, *UNLISTED_FOLDERS):
            listed[relative.as_posix()] = hash_file(path)
    return listed


def write_json(path: Path, value: Any) -> None:
    """Write readable JSON atomically: the file is absent or whole, also after a power cut."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    with open(temporary, "w", encoding="utf-8") as file:
        json.dump(value, file, indent=1, sort_keys=True, allow_nan=False)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def describe_run(*, started: float, seconds: float, device: Optional[str]) -> Dict[str, Any]:
    """The part of a manifest that may differ from run to run."""
    return {
        "started": datetime.datetime.fromtimestamp(started, datetime.timezone.utc).isoformat(timespec="seconds"),
        "seconds": round(seconds, 3),
        "host": socket.gethostname(),
        "platform": platform.platform(),
        "device": device,
        "versions": _versions(),
        "code_commit": _code_commit(),
    }


def _versions() -> Dict[str, str]:
    loaded = {name: getattr(sys.modules.get(name), "__version__", None) for name in _RECORDED_PACKAGES}
    return {"python": platform.python_version(), **{name: str(text) for name, text in loaded.items() if text}}


def _code_commit() -> Optional[str]:
    root = Path(__file__).resolve().parent.parent
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() or None
