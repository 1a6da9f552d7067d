"""What a metric returns: a value, what it rests on, and what was left out and why."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np
from scipy import stats

from tcc.errors import MetricUndefined

# Protocols: a change that can change a number counts the version up.
TCC_SVM = "tcc-svm v1"  # the reference's rules
CROSS_CLIP = "cross-clip v2"  # nearest neighbors from clip to clip, which a clock can't fake
LINEAR = "linear v1"  # logistic regression on single frames, as later papers
RETRIEVAL = "retrieval v1"  # nearest frames of all other clips
ALIGNMENT = "alignment v1"  # against the true progress
COLLAPSE = "collapse v1"  # whether embeddings tell frames apart

REASONS_SHOWN = 3  # kinds of reasons that an error message lists


@dataclass(frozen=True)
class MetricResult:
    """One metric on one split.

    Attributes:
      metric: its name. split: what it was measured on.
      protocol: name and version of the rules it follows, as in docs/metrics.md.
      value: the number that goes into a table; None where it is undefined.
      count: how many things the value is a mean (or median) over; details["count_of"] says of what.
      undefined: what was left out: [{"what": clip, pair or setting, "reason": text}].
      details: everything else, JSON-ready once passed through `as_dict`.
      interval: 95 % interval of the value, low and high; None where it has none.
      interval_over: what the interval is over, such as episodes; empty where there is none.
    """

    metric: str
    protocol: str
    split: str
    value: Optional[float]
    count: int
    undefined: List[Dict[str, str]] = field(default_factory=list)
    details: Dict[str, Any] = field(default_factory=dict)
    interval: Optional[Tuple[float, float]] = None
    interval_over: str = ""

    def as_dict(self) -> Dict[str, Any]:
        """Plain dictionary for JSON: no NumPy types; a number that is not finite becomes None."""
        return {
            "metric": self.metric,
            "protocol": self.protocol,
            "split": self.split,
            "value": plain(self.value),
            "interval": plain(self.interval),
            "interval_over": self.interval_over,
            "count": int(self.count),
            "undefined": plain(self.undefined),
            "details": plain(self.details),
        }


def mean_interval(values: Sequence[float]) -> Optional[Tuple[float, float]]:
    """95 % interval (low, high) of the mean by Student's t; None for fewer than two values."""
    if len(values) < 2:
        return None
    half = stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values))
    return float(np.mean(values) - half), float(np.mean(values) + half)


def plain(value: Any) -> Any:
    """`value` with NumPy arrays and scalars as Python lists and numbers, and None for NaN and infinity."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def left_out(what: str, reason: str) -> Dict[str, str]:
    """One entry of `MetricResult.undefined`."""
    return {"what": what, "reason": reason}


def nothing_left(metric: str, everything: str, undefined: List[Dict[str, str]]) -> MetricUndefined:
    """The error for a metric that nothing is left for; the message counts the reasons, the commonest first."""
    counts: Dict[str, int] = {}
    for entry in undefined:
        counts[entry["reason"]] = counts.get(entry["reason"], 0) + 1
    commonest = sorted(counts.items(), key=lambda item: -item[1])
    shown = "; ".join(f"{count} x {reason}" for reason, count in commonest[:REASONS_SHOWN])
    more = f"; and {len(commonest) - REASONS_SHOWN} other reasons" if len(commonest) > REASONS_SHOWN else ""
    return MetricUndefined(f"{metric}: no {everything} is left" + (f": {shown}{more}" if shown else ""))
