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
