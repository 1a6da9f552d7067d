"""Dynamic loss scaling for float16: gradients are computed of a multiple of the loss, so that small ones do not vanish."""

from __future__ import annotations

from typing import Callable, List, Sequence

import tensorflow as tf

_INITIAL_SCALE, _GROWTH_STEPS = 2.0**15, 2000


class LossScale(tf.Module):
    """The factor, and how long it has served; both are part of the checkpoint.

    After `growth_steps` steps with finite gradients the factor doubles. A step whose gradients are not finite changes no
    weight, counts as a step, and halves the factor, down to 1.

    Reference: Micikevicius et al., Mixed Precision Training, ICLR 2018.
    """

    def __init__(self, *, initial: float = _INITIAL_SCALE, growth_steps: int = _GROWTH_STEPS):
        super().__init__(name="loss_scale")
        self.growth_steps = growth_steps
        self.factor = tf.Variable(initial, dtype=tf.float32, trainable=False, name="factor")
        self.good_steps = tf.Variable(0, dtype=tf.int32, trainable=False, name="good_steps")

    def unscale(self, gradients: Sequence[tf.Tensor]) -> List[tf.Tensor]:
        """Gradients of the loss from those of factor x loss."""
        return [gradient / self.factor for gradient in gradients]

    def apply_if(self, finite: tf.Tensor, apply: Callable[[], None], skip: Callable[[], None]) -> None:
        """Call `apply` where the gradients are finite, else `skip`; then move the factor."""

        def grow() -> tf.Tensor:
            apply()
            full = self.good_steps + 1 >= self.growth_steps
            self.factor.assign(tf.where(full, self.factor * 2.0, self.factor))
            return self.good_steps.assign(tf.where(full, 0, self.good_steps + 1))

        def shrink() -> tf.Tensor:
            skip()
            self.factor.assign(tf.maximum(self.factor / 2.0, 1.0))
            return self.good_steps.assign(0)

        tf.cond(finite, grow, shrink)
