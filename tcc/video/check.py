"""One table of every clip and what is wrong with it, from what other stages found; nothing is decoded here."""

from __future__ import annotations

import csv
import io
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Sequence, Tuple

from tcc.config import SPLITS
from tcc.video.container import incomplete
from tcc.video.inventory import UNREADABLE

_TEXT_COLUMNS = (
    "clip",
    "split",
    "codec",
    "frames",
    "fps",
    "VFR",
    "rotation",
    "seconds",
    "sampled",
    "phases",
    "problems",
)
_MOST_NAMED = 5


@dataclass(frozen=True)
class ClipCheck:
    """What is known of one clip.

    Attributes:
      clip, split, codec, frames, fps, rotation, seconds: as the probe found; `variable_rate`: times between frames vary.
      sampled: frames on the fixed clock; 0 if none was decoded.
      phases: names, in the order in which they are labelled.
      problems: why the clip is not used, or should not be: unreadable, truncated, damaged, too short, black, the same
        content as another clip.
      warnings: a few missing frames; of its labels: gaps, and missing, repeated or unordered phases.
    """

    clip: str
    split: str = ""
    codec: str = ""
    frames: int = 0
    fps: float = 0.0
    variable_rate: bool = False
    rotation: int = 0
    seconds: float = 0.0
    sampled: int = 0
    phases: Sequence[str] = ()
    problems: Sequence[str] = ()
    warnings: Sequence[str] = ()

    def as_row(self) -> Dict[str, str]:
        """Texts under the titles of the table."""
        return {
            "clip": self.clip,
            "split": self.split,
            "codec": self.codec,
            "frames": str(self.frames) if self.frames else "",
            "fps": f"{self.fps:g}" if self.fps else "",
            "VFR": "yes" if self.variable_rate else "",
            "rotation": str(self.rotation) if self.rotation else "",
            "seconds": f"{self.seconds:.2f}" if self.seconds else "",
            "sampled": str(self.sampled) if self.sampled else "",
            "phases": " ".join(self.phases),
            "problems": "; ".join(self.problems),
            "warnings": "; ".join(self.warnings),
        }


def check_clips(
    clips: Sequence[Mapping[str, Any]],
    decoded: Mapping[str, Mapping[str, Any]],
    skipped: Mapping[str, str],
) -> List[ClipCheck]:
    """Put together what is known of each clip, in their order.

    Args:
      clips: rows of ClipsTask: a `ClipInfo` as a dictionary with split, phases and warnings besides.
      decoded: {clip: row of the frames index}.
      skipped: {clip: why it has no frames}.
    """
    same = _same_content(clips)
    return [
        ClipCheck(
            clip=row["name"],
            split=row["split"],
            codec=row["codec"],
            frames=row["num_frames"],
            fps=row["fps"],
            variable_rate=row["variable_rate"],
            rotation=row["rotation"],
            seconds=row["duration_seconds"],
            sampled=decoded.get(row["name"], {}).get("num_frames", 0),
            phases=row["phases"],
            problems=_problems(row, decoded.get(row["name"], {}), skipped.get(row["name"], ""), same),
            warnings=[*row["warnings"], *_warnings(row, decoded.get(row["name"], {}))],
        )
        for row in clips
    ]


def _problems(
    row: Mapping[str, Any], frames: Mapping[str, Any], skipped: str, same: Mapping[str, List[Mapping[str, Any]]]
) -> List[str]:
    problems = [row["problem"] or skipped] if row["problem"] or skipped else []
    if frames.get("black"):
        problems.append("black: no sampled frame shows anything; record it again or remove it")
    missing, expected = _missing(row, frames)
    if not problems and incomplete(expected - missing, expected):
        problems.append(_tell_missing(missing, expected))
    problems += _duplicate(row, same.get(row["sha256"], []))
    return problems


def _warnings(row: Mapping[str, Any], frames: Mapping[str, Any]) -> List[str]:
    missing, expected = _missing(row, frames)
    few = missing and not incomplete(expected - missing, expected)
    return [f"{row['name']}: {_tell_missing(missing, expected)}"] if few else []


def _missing(row: Mapping[str, Any], frames: Mapping[str, Any]) -> Tuple[int, int]:
    """Frames that the file lost or the decoder could not read, and how many there should be."""
    return row["missing_frames"] + frames.get("missing_frames", 0), row["num_frames"] + row["missing_frames"]


def _tell_missing(missing: int, expected: int) -> str:
    return f"damaged: {missing} of {expected} frames are missing or cannot be decoded; copy or record the file again"


def _duplicate(row: Mapping[str, Any], same: Sequence[Mapping[str, Any]]) -> List[str]:
    """The first of several clips with the same content is good; all are bad where that puts it into two splits."""
    others = [other for other in same if other["name"] != row["name"]]
    elsewhere = next((other for other in others if other["split"] != row["split"]), None)
    if elsewhere is not None:
        return [f"the same content as {elsewhere['name']} of the {elsewhere['split']} split; remove one of them"]
    if others and same[0]["name"] != row["name"]:
        return [f"the same content as {same[0]['name']}; remove one of them"]
    return []


def _same_content(clips: Sequence[Mapping[str, Any]]) -> Dict[str, List[Mapping[str, Any]]]:
    rows: Dict[str, List[Mapping[str, Any]]] = defaultdict(list)
    for row in clips:
        if row["sha256"] and row["sha256"] != UNREADABLE:
            rows[row["sha256"]].append(row)
    return rows


def bad_clips(checks: Sequence[ClipCheck]) -> List[Dict[str, str]]:
    """The clips with a problem: [{"clip", "reason"}]."""
    return [{"clip": one.clip, "reason": "; ".join(one.problems)} for one in checks if one.problems]


def summary(checks: Sequence[ClipCheck]) -> str:
    """How many clips there are, and how many have problems."""
    bad = len(bad_clips(checks))
    share = f" ({100 * bad / len(checks):.0f} %)" if bad else ""
    return f"{len(checks)} clips, {bad} with problems{share}"


def usable_clips(checks: Sequence[ClipCheck]) -> Dict[str, int]:
    """How many clips of each split were decoded."""
    return Counter(one.split for one in checks if one.sampled)


def too_few(clips: Mapping[str, int], needed: Mapping[str, int]) -> List[str]:
    """What a run stops at for want of clips: empty splits, and fewer clips to train on than a batch takes; with the fix.

    Args:
      clips: how many each split has.
      needed: how many of each the run takes; of the training split, [training] batch_size.
    """
    counts = {split: clips.get(split, 0) for split in SPLITS}
    return [_too_few(split, counts[split], needed[split]) for split in SPLITS if counts[split] < needed.get(split, 0)]


def _too_few(split: str, count: int, needed: int) -> str:
    fix = "give more clips, or other splits ([videos] splits, [clips] train_fraction and val_fraction)"
    if count == 0:
        return f"no usable clip in the {split} split, a whole run needs {needed} or more; {fix}"
    lower = f"lower batch_size to {count}, " if count > 1 else ""
    are = "clips are" if count > 1 else "clip is"
    return (
        f"{count} usable {are} in the {split} split, and [training] batch_size = {needed} takes {needed}; {lower}{fix}"
    )


def too_many(checks: Sequence[ClipCheck], allowed: float) -> str:
    """Why there are too many clips with problems, and what to do; empty if there are not."""
    bad = bad_clips(checks)
    if len(bad) <= allowed * len(checks):
        return ""
    first = "; ".join(f"{one['clip']}: {one['reason']}" for one in bad[:_MOST_NAMED])
    more = f"; and {len(bad) - _MOST_NAMED} more" if len(bad) > _MOST_NAMED else ""
    return (
        f"{len(bad)} of {len(checks)} clips have problems, more than [clips] max_bad_fraction = {allowed} allows. "
        f"{first}{more}. Repair or remove them, or raise the setting"
    )


def as_csv(checks: Sequence[ClipCheck]) -> str:
    """The table as CSV, with a line per clip."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [*_TEXT_COLUMNS, "warnings"], lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(one.as_row() for one in checks)
    return text.getvalue()


def as_text(checks: Sequence[ClipCheck], warnings: Sequence[str] = ()) -> str:
    """The table for a terminal; columns that are empty for all clips are left out, warnings follow below.

    Args:
      warnings: what is to be said of the whole set; those of the clips are added.
    """
    rows = [{name: _one_line(value) for name, value in one.as_row().items()} for one in checks]
    columns = [name for name in _TEXT_COLUMNS if any(row[name] for row in rows)]
    widths = {name: max(len(name), *(len(row[name]) for row in rows)) for name in columns}
    lines = ["  ".join(row[name].ljust(widths[name]) for name in columns).rstrip() for row in [_titles(), *rows]]
    texts = dict.fromkeys([*warnings, *(text for one in checks for text in one.warnings)])
    told = [f"warning: {_one_line(text)}" for text in texts]
    return "\n".join([*lines, "", *told, f"{summary(checks)}, {len(texts)} warnings"]) + "\n"


def _titles() -> Dict[str, str]:
    return {name: name for name in _TEXT_COLUMNS}


def _one_line(text: str) -> str:
    """A name may hold line breaks; the table must not."""
    return text.encode("unicode_escape").decode() if not text.isprintable() else text
