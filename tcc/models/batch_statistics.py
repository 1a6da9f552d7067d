"""Whose mean and variance batch normalization takes in training: this batch's, or those of the batches of all replicas."""

from __future__ import annotations

import contextlib
import threading
from typing import Any, Callable, Iterator, Optional

Moments = Callable[[Any], Any]  # values [..., C] -> mean [C], variance [C]; and how many values they are of
_in_this_thread = threading.local()


@contextlib.contextmanager
def over_replicas(moments: Optional[Moments], count: int) -> Iterator[None]:
    """Within, in this thread, batch normalization takes `moments` of its inputs, which `count` replicas have; None: its own.

    A thread's own, because each replica of a strategy is traced in a thread.
    """
    before = current()
    _in_this_thread.value = None if moments is None else (moments, count)
    try:
        yield
    finally:
        _in_this_thread.value = before


def current() -> Any:
    """(moments, count) of the innermost `over_replicas`, or None."""
    return getattr(_in_this_thread, "value", None)
