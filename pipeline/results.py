"""Results that were computed before: adding a checkpoint, a metric or a seed computes what is new, and a killed stage goes on.

One small file for each result under `data/.work/results/`, found by the SHA-256 of all that it depends on. Deleting the
folder costs time and nothing else.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Callable, Dict, Optional

from pipeline.lock import locked
from pipeline.provenance import canonical_json, write_json
from tcc.progress import Progress, silent

Result = Dict[str, Any]


class Results:
    """The results under a root of targets.

    Args:
      fresh: none is recalled, all are computed and kept anew.
      progress: told when another run is computing the same; may raise to stop waiting for it.
    """

    def __init__(self, root: Path, *, fresh: bool = False, progress: Progress = silent) -> None:
        self._folder = root / ".work" / "results"
        self._fresh = fresh
        self._progress = progress

    def recall(self, depends_on: Any, compute: Callable[[], Result]) -> Result:
        """What `compute()` gives, a dictionary ready for JSON; `depends_on`: all that it depends on, ready for JSON too."""
        digest = hashlib.sha256(canonical_json(depends_on).encode()).hexdigest()
        path = self._folder / digest[:2] / f"{digest[2:]}.json"
        known = self._known(path)
        if known is not None:
            return known
        lock = path.with_suffix(".lock")
        with locked(lock, self._progress):  # another run with other settings may want the same
            known = self._known(path)
            if known is None:
                known = compute()
                write_json(path, known)
            lock.unlink(missing_ok=True)
        return known

    def _known(self, path: Path) -> Optional[Result]:
        """None where it is not there, damaged, or not wanted: it is computed again."""
        try:
            return None if self._fresh else dict(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None
