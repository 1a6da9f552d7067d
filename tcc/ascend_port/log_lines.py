"""The port's log: lines with absl's prefix, whose sixth and eighth field the scripts read."""

from __future__ import annotations

import logging
import time

LOG = logging.getLogger("tcc.train")


def log_to_stderr() -> None:
    """Send the log to standard error, in absl's form; a second call changes nothing."""
    if not LOG.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(_AbslFormatter())
        LOG.addHandler(handler)
    LOG.setLevel(logging.INFO)
    LOG.propagate = False


def iteration_line(step: int, num_steps: int, *, seconds: float, loss: float) -> str:
    """What is logged of a step; with the prefix, seconds are field 6 and the loss is field 8.

    The port had one decimal of the seconds, so that steps faster than 0.05 s took none.
    """
    return f"Iter[{step}/{num_steps}], {max(seconds, 1e-6):.6f}s/iter, Loss: {loss:.6f}"


class _AbslFormatter(logging.Formatter):
    """I1124 22:23:11.956568 140495288101760 train.py:193] message"""

    def format(self, record: logging.LogRecord) -> str:
        message = super().format(record)
        day = time.strftime("%m%d %H:%M:%S", time.localtime(record.created))
        microseconds = int(record.created % 1 * 1e6)
        place = f"{record.filename}:{record.lineno}"
        return f"{record.levelname[0]}{day}.{microseconds:06d} {record.thread} {place}] {message}"
