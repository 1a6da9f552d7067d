"""Clips by the names that people write: without folder or suffix where that leaves no doubt."""

from __future__ import annotations

import difflib
import unicodedata
from collections import defaultdict
from pathlib import PurePosixPath
from typing import Dict, Mapping, Sequence, Set, Tuple

from tcc.errors import LabelError
from tcc.video.clip_rows import NAMED_PROBLEMS, place
from tcc.video.inventory import VIDEO_SUFFIXES


def resolve_names(lines: Mapping[str, int], names: Sequence[str], path: str) -> Tuple[Dict[str, str], Dict[str, str]]:
    """The names of existing clips for the names that are written in a file.

    Args:
      lines: {name as written: line}.
      names: of the clips that exist.
      path: the file, for messages.
    Returns: {written: existing}, and for names of no clip {written: what is wrong and the fix}.
    Raises: LabelError if a name could be several clips, or a clip is written in two ways.
    """
    shortened: Dict[str, Set[str]] = defaultdict(set)
    for name in names:
        for short in short_names(name):
            shortened[_composed(short)].add(name)
    resolved: Dict[str, str] = {}
    unknown: Dict[str, str] = {}
    taken: Dict[str, str] = {}
    for clip, line in lines.items():
        found = shortened.get(_composed(clip), set())
        found = {clip} if clip in found else found
        if not found:
            # A search for similar names takes long among many, and who misspells all clips needs no more hints.
            unknown[clip] = _unknown(clip, shortened if len(unknown) < NAMED_PROBLEMS else {}, len(names))
            continue
        if len(found) > 1:
            choices = " or ".join(map(repr, sorted(found)))
            raise LabelError(f"{path}, {place(line, clip)}: could be {choices}; write the whole name")
        (name,) = found
        if taken.setdefault(name, clip) != clip:
            raise LabelError(
                f"{path}, {place(line, clip)}: is the same clip as {taken[name]!r} of another line; write one name for it"
            )
        resolved[clip] = name
    return resolved, unknown


def short_names(name: str) -> Set[str]:
    """A name without its folder, its suffix, and both; `run.2` is a folder of images and has no suffix."""
    path = PurePosixPath(name)
    if path.suffix.lower() not in VIDEO_SUFFIXES:
        return {name, path.name}
    return {name, path.name, path.stem, path.with_suffix("").as_posix()}


def _composed(name: str) -> str:
    """One spelling for what looks the same: some systems write an umlaut as two characters."""
    return unicodedata.normalize("NFC", name)


def _unknown(clip: str, shortened: Mapping[str, Set[str]], count: int) -> str:
    candidates = {short.casefold(): short for short in shortened}
    close = difflib.get_close_matches(_composed(clip).casefold(), candidates, n=1)
    hint = "correct the name or remove the line"
    if close:
        hint = f"did you mean {min(shortened[candidates[close[0]]])!r}?"
    return f"no such clip among {count} videos; {hint}"
