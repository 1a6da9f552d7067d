"""The learning rate as a function of the step: pure arithmetic, always from the initial rate."""

from __future__ import annotations


def learning_rate_at(step: int, *, learning_rate: float, warmup_steps: int = 0) -> float:
    """A fixed rate, reached by a line from zero over the first `warmup_steps` steps.

        rate(step) = learning_rate min(1, step / warmup_steps)

    Args:
      step: steps done before, so 0 for the first (whose rate is zero where there is a warm-up, as in the reference).
      learning_rate: the rate after the warm-up.
      warmup_steps: length of the warm-up.
    """
    if step < warmup_steps:
        return learning_rate * step / warmup_steps
    return learning_rate
