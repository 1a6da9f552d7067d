"""Which clip a person means: its whole name, or its name without folder or suffix where that leaves no doubt."""

from __future__ import annotations

import difflib
from collections import defaultdict
from pathlib import PurePosixPath
from typing import Dict, List, Mapping, Sequence

from tcc.errors import LabelError


def resolve_names(lines: Mapping[str, int], names: Sequence[str], path: str) -> Dict[str, str]:
    """The existing clip behind each name that a file gives.

    Args:
      lines: names as written, each with its line of the file.
      names: of the clips that exist.
      path: the file, for messages.
    Raises: LabelError, naming file, line, clip and the fix, for one that is unknown, ambiguous, or written in two ways.
    """
    shortened: Dict[str, List[str]] = defaultdict(list)
    for name in names:
        for short in _short_names(name):
            shortened[short].append(name)
    resolved: Dict[str, str] = {}
    taken: Dict[str, str] = {}
    for clip, line in lines.items():
        found = [clip] if clip in shortened.get(clip, []) else shortened.get(clip, [])
        where = f"{path}, line {line}, clip {clip!r}"
        if len(found) != 1:
            raise LabelError(f"{where}: {_not_one(clip, found, names)}")
        if taken.setdefault(found[0], clip) != clip:
            raise LabelError(f"{where}: is the same clip as {taken[found[0]]!r} of another line; write one name for it")
        resolved[clip] = found[0]
    return resolved


def _short_names(name: str) -> set:
    path = PurePosixPath(name)
    return {name, path.name, path.stem, path.with_suffix("").as_posix()}


def _not_one(clip: str, found: Sequence[str], names: Sequence[str]) -> str:
    if found:
        return f"could be {' or '.join(map(repr, sorted(found)))}; write the whole name"
    close = difflib.get_close_matches(clip, list(names), n=1)
    hint = f"did you mean {close[0]!r}?" if close else "correct the name or remove the line"
    return f"no such clip among {len(names)} videos; {hint}"
