"""`python -m pipeline verify`: whether all targets are what their manifests say."""

from __future__ import annotations

from pathlib import Path
from typing import Dict, Iterator, List, Tuple

from pipeline.commands.answer import GOOD, NOT_ALL, Answer, size_text
from pipeline.commands.targets import Target, Targets, stages
from pipeline.provenance import LOG, UNLISTED_FOLDERS
from tcc.manifest import MANIFEST


def verify(targets: Targets) -> Answer:
    """Hash every file of every target again; name those that are missing, changed, or in no manifest."""
    damaged: List[Dict[str, str]] = []
    files, size = 0, 0
    for target in targets.all:
        damaged.extend(_problems(target))
        listed = target.result.get("files", {})
        files += len(listed)
        size += sum(_size(target.directory / name) for name in listed)
    damaged.extend(_without_manifest(targets))
    data = {"targets": len(targets.all), "files": files, "bytes": size, "damaged": damaged}
    lines = [f"{one['path']}: {one['problem']}\n" for one in damaged]
    total = f"{len(targets.all)} targets, {files} files, {size_text(size)}: "
    total += (
        f"{len(damaged)} damaged; delete the folder of each, or run its task with --rerun" if damaged else "all whole"
    )
    return Answer(data, "".join(lines) + total + "\n", NOT_ALL if damaged else GOOD)


def _problems(target: Target) -> Iterator[Dict[str, str]]:
    listed = target.result.get("files")
    if not isinstance(listed, dict):
        yield _problem(target.directory / MANIFEST, "not a whole manifest")
        return
    for path, problem in stages()[target.stage].damaged_files(target.directory, listed):
        yield _problem(path, problem if problem == "missing" else f"{problem} since it was made")
    for path, name in _files(target.directory):
        if name not in listed:
            yield _problem(path, "in no manifest")


def _files(directory: Path) -> Iterator[Tuple[Path, str]]:
    for path in sorted(directory.rglob("*")):
        name = path.relative_to(directory)
        if path.is_file() and name.parts[0] not in (MANIFEST, LOG, *UNLISTED_FOLDERS):
            yield path, name.as_posix()


def _without_manifest(targets: Targets) -> Iterator[Dict[str, str]]:
    for stage in stages():
        for path in sorted((targets.root / stage).glob("*")):
            if not (path / MANIFEST).is_file():
                yield _problem(path, "no target: it has no manifest")


def _problem(path: Path, problem: str) -> Dict[str, str]:
    return {"path": str(path), "problem": problem}


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
