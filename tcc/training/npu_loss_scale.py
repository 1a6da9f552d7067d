"""Loss scaling by Ascend's own optimizer, which reads the engine's flag of overflows: a 910 saturates, and no Inf or NaN tells.

That optimizer wraps one of Keras 2.6, which TensorFlow 2.6 has and nothing else here uses. Its checkpoints hold Keras'
objects and are refused by a training without it, and the reverse.
"""

from __future__ import annotations

from typing import Any, Callable, List, Sequence

import tensorflow as tf

from tcc.config import OptimizerConfig
from tcc.device import loss_scale_optimizer
from tcc.errors import SettingsError

KERAS = "keras"  # name of Keras' optimizer in a checkpoint


class KerasOptimizer(tf.Module):
    """Keras' Adam or SGD inside the plugin's loss-scale optimizer, with the interface of `tcc.training.optimizer`.

    Args:
      config: kind and momentum.
      variables: what it will train.
      arguments: of the plugin's optimizer: dynamic, initial_scale.
    Raises: SettingsError for adamw, which Keras 2.6 has not.
    """

    def __init__(self, config: OptimizerConfig, variables: Sequence[tf.Variable], **arguments: Any):
        super().__init__(name="keras_optimizer")
        if config.kind == "adamw":
            raise SettingsError(
                "loss_scale: Ascend's optimizer wraps adam or momentum; set kind of [optimizer] to one of them"
            )
        inner = _inner(config)
        self.keras = loss_scale_optimizer(inner, **arguments)
        # Everything exists from here on; in a compiled step it would be too late.
        inner._create_all_weights(variables)
        self.iterations = inner.iterations
        # Not the optimizer itself: the wrapper's checkpoint is the wrapped one's, which would then be there twice.
        self._set_rate = lambda rate: inner.learning_rate.assign(rate)

    def apply(self, gradients: Sequence[tf.Tensor], variables: Sequence[tf.Variable], learning_rate: tf.Tensor) -> None:
        """One step, or none where the engine told of an overflow; it counts either way."""
        self._set_rate(learning_rate)
        self.keras.apply_gradients(zip(gradients, variables))


class NpuLossScale:
    """The factor of a `KerasOptimizer`, with the interface of `tcc.training.loss_scale`; the checkpoint has it there."""

    def __init__(self, optimizer: KerasOptimizer):
        self._keras = optimizer.keras

    @property
    def factor(self) -> tf.Tensor:
        """What the loss is multiplied with."""
        return tf.cast(self._keras.loss_scale, tf.float32)

    def unscale(self, gradients: Sequence[tf.Tensor]) -> List[tf.Tensor]:
        """Gradients of the loss from those of factor x loss."""
        return list(self._keras.get_unscaled_gradients(list(gradients)))

    def apply_if(self, finite: tf.Tensor, apply: Callable[[], None], skip: Callable[[], None]) -> None:
        """Call `apply`: the plugin's optimizer itself decides whether the step is done, and moves the factor."""
        apply()


def _inner(config: OptimizerConfig) -> Any:
    if config.kind == "momentum":
        return tf.keras.optimizers.SGD(learning_rate=0.0, momentum=config.momentum)
    return tf.keras.optimizers.Adam(learning_rate=0.0)
