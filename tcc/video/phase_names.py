"""Names and order of phases: as they are written, by number, or as somebody gave them."""

from __future__ import annotations

import difflib
import math
import re
from collections import defaultdict
from typing import Dict, Iterable, List, Mapping, NamedTuple, Sequence, Tuple

from tcc.errors import LabelError
from tcc.video.clip_rows import refuse_all

_INTEGER = re.compile(r"[+-]?[0-9]{1,9}")


class PhaseNames(NamedTuple):
    """{phase as written: its name}, and the names in order; the order is empty where the labels have to tell it."""

    names: Dict[str, str]
    order: Tuple[str, ...]


def is_integer(text: str) -> bool:
    """Whether a phase is written as a number."""
    return bool(_INTEGER.fullmatch(text))


def check_phases(phases: Sequence[str]) -> None:
    """Raise LabelError if a name in `phases` is empty or there twice."""
    for index, phase in enumerate(phases):
        if not phase:
            raise LabelError(f"phases: number {index} of {len(phases)} has no name; name it")
        if phase in phases[:index]:
            raise LabelError(f"phases: {phase!r} is there twice; name each phase once")


def name_phases(places: Mapping[str, str], phases: Sequence[str], path: str) -> PhaseNames:
    """Names and order of the phases that a file holds.

    Args:
      places: {phase as written: where it was met first}.
      phases: names of the phases 0, 1, ... if the file numbers them, else all names it may hold, in order; may be empty.
      path: the file, for messages.
    Raises: LabelError for a number without a name, or a name that is not among `phases`.
    """
    known = set(phases)
    if phases and known.issuperset(places):
        return PhaseNames({phase: phase for phase in places}, tuple(phases))
    if places and all(is_integer(phase) for phase in places):
        return number_phases(places, phases, path)
    unknown = [f"{where}: {_unknown(phase, phases)}" for phase, where in places.items() if phase not in known]
    if phases and unknown:
        raise refuse_all(path, unknown)
    return PhaseNames({phase: phase for phase in places}, ())


def number_phases(places: Mapping[str, str], phases: Sequence[str], path: str) -> PhaseNames:
    """As `name_phases`, for phases that all are numbers: in the order of the numbers, the numbers met if unnamed."""
    limit = len(phases) or math.inf
    wrong = [phase for phase in places if not 0 <= int(phase) < limit]
    if wrong:
        raise refuse_all(path, [f"{places[phase]}: {_without_name(phase, phases)}" for phase in wrong])
    if phases:
        return PhaseNames({phase: phases[int(phase)] for phase in places}, tuple(phases))
    order = tuple(str(number) for number in sorted({int(phase) for phase in places}))
    return PhaseNames({phase: str(int(phase)) for phase in places}, order)


def order_by_position(clips: Iterable[Sequence[str]]) -> Tuple[str, ...]:
    """Names in the order of the action: by their mean relative position among the phases of each clip."""
    positions: Dict[str, List[float]] = defaultdict(list)
    for found in clips:
        for rank, phase in enumerate(found):
            positions[phase].append((rank + 0.5) / len(found))
    return tuple(sorted(positions, key=lambda phase: (math.fsum(positions[phase]) / len(positions[phase]), phase)))


def _unknown(phase: str, phases: Sequence[str]) -> str:
    close = difflib.get_close_matches(phase, phases, n=1)
    hint = f"did you mean {close[0]!r}?" if close else "correct the label, or add the name to phases"
    return f"phase {phase!r} is not among the phases {', '.join(phases)}; {hint}"


def _without_name(phase: str, phases: Sequence[str]) -> str:
    if int(phase) < 0:
        return f"phase {phase} is negative; phases count from 0, and what has no phase needs no label"
    return f"phase {phase} has no name: phases names 0 to {len(phases) - 1}; add names up to this phase"
