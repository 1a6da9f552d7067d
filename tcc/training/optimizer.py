"""Optimizers, as `tf.Module`s whose state goes into checkpoints that every TensorFlow from 2.6 on reads."""

from __future__ import annotations

from typing import List, Sequence, Union

import numpy as np
import tensorflow as tf

from tcc.config import OptimizerConfig


class Adam(tf.Module):
    """Adam; with the same gradients its steps are those of Keras 2.6.

        m = b1 m + (1 - b1) g,   v = b2 v + (1 - b2) g^2
        variable -= rate decay variable,   variable -= rate sqrt(1 - b2^t) / (1 - b1^t) m / (sqrt(v) + epsilon)

    Args:
      variables: what it will train; their order is part of the checkpoint.
      beta_1, beta_2, epsilon: b1, b2 and epsilon above; t counts steps from 1.
      decay: share of the rate by which every variable shrinks besides (AdamW); 0: Adam.
    References: Kingma and Ba, Adam: A Method for Stochastic Optimization, ICLR 2015, end of section 2; Loshchilov and
      Hutter, Decoupled Weight Decay Regularization, ICLR 2019.
    """

    def __init__(
        self,
        variables: Sequence[tf.Variable],
        *,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        decay: float = 0.0,
    ):
        super().__init__(name="adam")
        self.decay = np.float32(decay)
        self.beta_1, self.beta_2, self.epsilon = np.float32(beta_1), np.float32(beta_2), np.float32(epsilon)
        self.iterations = tf.Variable(0, dtype=tf.int64, trainable=False, name="iterations")
        self.m: List[tf.Variable] = [_zeros_like(variable, "m") for variable in variables]
        self.v: List[tf.Variable] = [_zeros_like(variable, "v") for variable in variables]

    def apply(self, gradients: Sequence[tf.Tensor], variables: Sequence[tf.Variable], learning_rate: tf.Tensor) -> None:
        """One step: change every variable by its gradient; both in the constructor's order."""
        step = tf.cast(self.iterations.assign_add(1), tf.float32)
        beta_1_power, beta_2_power = tf.pow(self.beta_1, step), tf.pow(self.beta_2, step)
        for variable, gradient, m, v in zip(variables, gradients, self.m, self.v):
            if self.decay:
                variable.assign_sub(learning_rate * self.decay * variable)
            # In one pass and without a temporary array; written out it takes three as large as the variable.
            tf.raw_ops.ResourceApplyAdam(
                var=variable.handle,
                m=m.handle,
                v=v.handle,
                beta1_power=beta_1_power,
                beta2_power=beta_2_power,
                lr=learning_rate,
                beta1=self.beta_1,
                beta2=self.beta_2,
                epsilon=self.epsilon,
                grad=gradient,
            )


class Momentum(tf.Module):
    """Stochastic gradient descent with momentum; with the same gradients its steps are those of Keras.

        m = momentum m - rate g,   variable += m

    Args:
      variables: what it will train; their order is part of the checkpoint.
      momentum: share of the last step that is kept; 0: plain gradient descent.
    """

    def __init__(self, variables: Sequence[tf.Variable], *, momentum: float = 0.9):
        super().__init__(name="momentum")
        self.momentum = np.float32(momentum)
        self.iterations = tf.Variable(0, dtype=tf.int64, trainable=False, name="iterations")
        self.m: List[tf.Variable] = [_zeros_like(variable, "m") for variable in variables]

    def apply(self, gradients: Sequence[tf.Tensor], variables: Sequence[tf.Variable], learning_rate: tf.Tensor) -> None:
        """One step: change every variable by its gradient; both in the constructor's order."""
        self.iterations.assign_add(1)
        for variable, gradient, m in zip(variables, gradients, self.m):
            m.assign(self.momentum * m - learning_rate * gradient)
            variable.assign_add(m)


def build_optimizer(config: OptimizerConfig, variables: Sequence[tf.Variable]) -> Union[Adam, Momentum]:
    """The optimizer that [optimizer] names, for these variables."""
    if config.kind == "momentum":
        return Momentum(variables, momentum=config.momentum)
    return Adam(variables, decay=config.decay if config.kind == "adamw" else 0.0)


def clip_by_global_norm(gradients: Sequence[tf.Tensor], norm: tf.Tensor, clip_norm: float) -> List[tf.Tensor]:
    """Scale all gradients by clip_norm / norm where their global norm exceeds clip_norm; clip_norm 0: leave them."""
    if not clip_norm:
        return list(gradients)
    scale = clip_norm / tf.maximum(norm, clip_norm)
    return [gradient * scale for gradient in gradients]


def global_norm(tensors: Sequence[tf.Tensor]) -> tf.Tensor:
    """Square root of the sum of all squares: sqrt(sum_i |tensor_i|^2)."""
    return tf.sqrt(tf.add_n([sum_of_squares(tensor) for tensor in tensors]))


def sum_of_squares(tensor: tf.Tensor) -> tf.Tensor:
    """|tensor|^2, without a temporary array of the squares."""
    return 2 * tf.nn.l2_loss(tensor)


def _zeros_like(variable: tf.Variable, name: str) -> tf.Variable:
    return tf.Variable(tf.zeros(variable.shape, variable.dtype), trainable=False, name=name)
