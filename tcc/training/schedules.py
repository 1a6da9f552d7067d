"""The learning rate as a function of the step: pure arithmetic, always from the initial rate."""

from __future__ import annotations

import math
from typing import Callable, Dict

from tcc.config import ScheduleConfig


def learning_rate_at(step: int, *, learning_rate: float, schedule: ScheduleConfig) -> float:
    """The rate of one step: what the schedule says, or on the way up to it over the first warmup_steps steps.

        rate(step) = learning_rate step / warmup_steps     for step < warmup_steps
                     learning_rate f(step)                 from then on, with f of the schedule's kind:

        fixed         1
        exponential   decay_rate ^ floor(step / decay_steps)
        manual        decay_rate ^ (number of boundaries <= step)
        polynomial    (1 - e) (1 - min(step, n) / n) ^ power + e          n = decay_steps, e = end_fraction
        cosine        (1 - e) (1 + cos(pi min(step, n) / n)) / 2 + e

    The reference feeds the present rate back in as the initial one, so that its decays compound; here they do not.

    Args:
      step: steps done before, so 0 for the first (whose rate is zero where there is a warm-up, as in the reference).
      learning_rate: the initial rate.
      schedule: kind and constants.
    """
    if step < schedule.warmup_steps:
        return learning_rate * step / schedule.warmup_steps
    return learning_rate * _FACTORS[schedule.kind](step, schedule)


def _exponential(step: int, schedule: ScheduleConfig) -> float:
    return schedule.decay_rate ** (step // schedule.decay_steps)


def _manual(step: int, schedule: ScheduleConfig) -> float:
    return schedule.decay_rate ** sum(step >= boundary for boundary in schedule.boundaries)


def _polynomial(step: int, schedule: ScheduleConfig) -> float:
    left = 1 - min(step, schedule.decay_steps) / schedule.decay_steps
    return (1 - schedule.end_fraction) * left**schedule.power + schedule.end_fraction


def _cosine(step: int, schedule: ScheduleConfig) -> float:
    share = min(step, schedule.decay_steps) / schedule.decay_steps
    return (1 - schedule.end_fraction) * (1 + math.cos(math.pi * share)) / 2 + schedule.end_fraction


_FACTORS: Dict[str, Callable[[int, ScheduleConfig], float]] = {
    "fixed": lambda step, schedule: 1.0,
    "exponential": _exponential,
    "manual": _manual,
    "polynomial": _polynomial,
    "cosine": _cosine,
}
