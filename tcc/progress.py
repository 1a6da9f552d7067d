"""How long work tells what it has done: a callable `report(fraction, status)` that the caller may give.

The library calls it; what it does (a bar, a line, the scheduler's page) is the caller's affair.
"""

from __future__ import annotations

from typing import Callable

Progress = Callable[[float, str], None]


class Interrupted(BaseException):
    """The work was asked to stop, and what it had is saved. No Exception: nobody should swallow it as a failure."""


def silent(fraction: float, status: str) -> None:
    """The default: tell nobody."""


def part(progress: Progress, start: float, end: float) -> Progress:
    """What a part of the work may call from 0 to 1: it is told as `start` to `end` of the whole."""
    return lambda fraction, status: progress(start + (end - start) * fraction, status)
