"""Checks of rank and size, made once at the public doors; inside, shapes are trusted."""

from __future__ import annotations

from typing import Any

from tcc.errors import ShapeError


def check_rank(name: str, array: Any, rank: int, *, axes: str) -> None:
    """Raise ShapeError unless `array` has `rank` axes; `axes` names them, as in "B T D"."""
    if len(array.shape) != rank:
        raise ShapeError(f"{name}: expected [{axes.replace(' ', ', ')}], got shape {list(array.shape)}")


def check_same_axis(name_a: str, a: Any, name_b: str, b: Any, *, axis: int, what: str) -> None:
    """Raise ShapeError unless both arrays have the same size along `axis`; `what` names that size."""
    if a.shape[axis] != b.shape[axis]:
        raise ShapeError(f"{name_a} and {name_b} differ in {what}: got shapes {list(a.shape)} and {list(b.shape)}")
