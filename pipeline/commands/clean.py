"""`python -m pipeline clean`: delete targets that no present or recent run uses, and what killed runs left."""

from __future__ import annotations

import shutil
from collections import defaultdict
from pathlib import Path
from typing import Any, Dict, Iterator, List, Sequence, Set

from pipeline.base import StageTask
from pipeline.commands.answer import GOOD, NOT_ALL, Answer, columns, size_text
from pipeline.commands.targets import Target, Targets, size_of, stages
from pipeline.lock import holder
from tcc.manifest import MANIFEST

_KEPT_WORK = ("results", "hashes.json")  # under .work: what saves time to any run


def clean(tasks: Sequence[StageTask], targets: Targets, *, keep: int, really: bool) -> Answer:
    """List, or delete, what is superseded.

    Kept are the targets of the present settings, the newest `keep` others of each kind (same stage, readable name and
    parameters), and whatever any of these was made from. Work folders go unless the present settings go on with them or
    somebody is working in them.
    """
    doomed = [*_superseded(tasks, targets, keep), *_strays(targets.root), *_abandoned_work(tasks, targets.root)]
    sizes = [_size(path) for path in doomed]
    if really:
        for path in doomed:
            _delete(path)
    total = size_text(sum(sizes))
    lines = columns([[size_text(size), str(path)] for size, path in zip(sizes, doomed)])
    rows = [{"path": str(path), "bytes": size} for size, path in zip(sizes, doomed)]
    summary = f"deleted {len(rows)}, {total}" if really else f"{len(rows)} to delete, {total}; --yes deletes them"
    text = f"{lines}{summary}\n" if rows else "nothing to delete\n"
    return Answer({"deleted": really, "paths": rows}, text, NOT_ALL if rows and not really else GOOD)


def _superseded(tasks: Sequence[StageTask], targets: Targets, keep: int) -> List[Path]:
    current = {task.directory for task in tasks}
    kinds: Dict[Any, List[Target]] = defaultdict(list)
    for target in targets.all:
        if target.directory not in current:
            kinds[_kind(target)].append(target)
    kept = [
        one for kind in kinds.values() for one in sorted(kind, key=lambda one: one.made)[len(kind) - keep :] if keep
    ]
    used = current | _with_upstream(kept, targets)
    used |= _with_upstream([one for one in targets.all if one.directory in current], targets)
    return [one.directory for one in targets.all if one.directory not in used]


def _kind(target: Target) -> Any:
    readable = target.directory.name.rpartition("-")[0]
    return target.stage, readable, str(sorted(target.result.get("params", {}).items()))


def _with_upstream(kept: Sequence[Target], targets: Targets) -> Set[Path]:
    """Directories of targets and of all that they were made from."""
    by_name = {one.directory.name: one for one in targets.all}
    seen: Set[Path] = set()
    waiting = list(kept)
    while waiting:
        one = waiting.pop()
        if one.directory in seen:
            continue
        seen.add(one.directory)
        for names in one.result.get("upstream", {}).values():
            for name in names if isinstance(names, list) else [names]:
                if name in by_name:
                    waiting.append(by_name[name])
    return seen


def _strays(root: Path) -> Iterator[Path]:
    """What lies in a stage's folder and is no target."""
    for stage in stages():
        for path in sorted((root / stage).glob("*")):
            if not (path / MANIFEST).is_file():
                yield path


def _abandoned_work(tasks: Sequence[StageTask], root: Path) -> Iterator[Path]:
    wanted = {task.work_directory.name for task in tasks if not task.complete()}
    for path in sorted((root / ".work").glob("*")):
        name = path.name[: -len(".lock")] if path.name.endswith(".lock") else path.name
        lock = path.with_name(f"{name}.lock")
        if path.name not in _KEPT_WORK and name not in wanted and holder(lock) is None:
            yield path


def _size(path: Path) -> int:
    return size_of(path) if path.is_dir() else path.stat().st_size


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
