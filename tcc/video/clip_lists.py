"""Splits as text files with a clip a line, as the reference's lists of frame folders."""

from __future__ import annotations

from pathlib import Path
from typing import Collection, Dict, List, Mapping, Sequence, Tuple, Union

from tcc.errors import LabelError
from tcc.video.clip_names import resolve_names, short_names
from tcc.video.clip_rows import place, read_text, refuse_all


def read_clip_list(path: Union[str, Path]) -> List[str]:
    """The clips that a text file lists, one a line, in its order.

    Blank lines and lines that start with # are passed over, as are ./ before and / behind a name; `./#1.mp4` is a clip.

    Raises: LabelError, naming file, lines and the fix, if the file cannot be read, lists nothing, or a clip twice.
    """
    return list(_lines(path))


def _lines(path: Union[str, Path], known: Collection[str] = ()) -> Dict[str, int]:
    """Line number of each clip; a line that starts with # is one if what stands there is among the `known` names."""
    lines: Dict[str, int] = {}
    for number, text in enumerate(read_text(path, "text").splitlines(), 1):
        clip = _clip(text)
        if clip.startswith("#") and not text.strip().startswith("./"):
            clip = _clip_or_comment(clip, known, f"{path}, line {number}")
        if clip and lines.setdefault(clip, number) != number:
            raise LabelError(
                f"{path}, line {number}, clip {clip!r}: stands in line {lines[clip]} too; delete one of them"
            )
    if not lines:
        raise LabelError(f"{path}: lists no clip; write one a line, or leave the list out")
    return lines


def _clip(text: str) -> str:
    clip = text.strip()
    return (clip[2:] if clip.startswith("./") else clip).rstrip("/")


def _clip_or_comment(text: str, known: Collection[str], where: str) -> str:
    """The text, or nothing if it is a comment."""
    if text not in known:
        return ""
    if text[1:] in known:
        raise LabelError(
            f"{where}: {text!r} is a clip, and may also be a comment that takes clip {text[1:]!r} out; write './{text}' for"
            f" the clip, '## {text[1:]}' for a comment"
        )
    return text


def splits_from_lists(paths: Mapping[str, Union[str, Path]], names: Sequence[str]) -> Dict[str, str]:
    """Split of each clip that a list names, under the names of existing clips.

    Args:
      paths: list of each split, such as {"train": "train.txt", "val": "val.txt"}; a split whose path is empty has none.
      names: of the clips that exist; a list may write them without folder or suffix where that leaves no doubt.
    Returns: clip -> split; a clip that no list names is not in it. A line such as `#1.mp4` is that clip if there is one.
    Raises: LabelError as `read_clip_list`, for a clip that is unknown, ambiguous, or in two lists, and for `#1.mp4` if
      `1.mp4` is a clip too.
    """
    splits: Dict[str, str] = {}
    places: Dict[str, Tuple[str, int]] = {}
    known = {short for name in names for short in short_names(name)}
    for split, path in paths.items():
        lines = _lines(path, known) if path else {}
        resolved, unknown = resolve_names(lines, names, str(path))
        if unknown:
            raise refuse_all(str(path), [f"{place(lines[clip], clip)}: {unknown[clip]}" for clip in unknown])
        for written, clip in resolved.items():
            if clip in splits:
                other, line = places[clip]
                raise LabelError(
                    f"{path}, line {lines[written]}, clip {written!r}: is also in {other}, line {line}; a clip has one"
                    " split, delete one of the lines"
                )
            splits[clip], places[clip] = split, (str(path), lines[written])
    return splits
