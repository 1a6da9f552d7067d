"""Layers as `tf.Module` on `tf.nn`: every variable exists from the constructor on, under a key that never changes.

No Keras, so that one checkpoint serves TensorFlow 2.6.5 and the newest. Variables are float32; a layer computes in the
type of its inputs, so that one cast before a network sets the precision of all of it. A key is "<layer>/<weight>", where
the weight is kernel, bias, gamma, beta, moving_mean or moving_variance; pretrained files and the reference's numbers use
the same.
"""

from __future__ import annotations

from typing import Any, Dict, List, Sequence, Tuple, Union

import numpy as np
import tensorflow as tf

from tcc.models import batch_statistics


def glorot_uniform(rng: np.random.Generator, shape: Sequence[int]) -> np.ndarray:
    """Float32 kernel drawn from U(-limit, limit), limit = sqrt(6 / (fan_in + fan_out)), as Keras' default.

    `shape` is [..., in, out]; both fans are multiplied by the product of the leading (spatial) sizes.
    Reference: Glorot and Bengio, Understanding the difficulty of training deep feedforward networks, AISTATS 2010.
    """
    receptive_field = int(np.prod(shape[:-2], dtype=np.int64))
    limit = np.sqrt(6.0 / (receptive_field * (shape[-2] + shape[-1])))
    return rng.uniform(-limit, limit, size=tuple(shape)).astype(np.float32)


class Layer(tf.Module):
    """A layer with a key; its variables are attributes named as in `WEIGHTS`."""

    WEIGHTS: Tuple[str, ...] = ("kernel", "bias")

    def __init__(self, key: str):
        super().__init__(name=key)
        self.key = key

    def named_variables(self) -> Dict[str, tf.Variable]:
        """The layer's variables by "<layer>/<weight>"."""
        present = [weight for weight in self.WEIGHTS if getattr(self, weight, None) is not None]
        return {f"{self.key}/{weight}": getattr(self, weight) for weight in present}


class Conv2D(Layer):
    """2-D convolution [N, H, W, in] -> [N, h, w, out]; kernel [k, k, in, out], `padding` SAME or VALID."""

    def __init__(
        self,
        key: str,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        rng: np.random.Generator,
        stride: int = 1,
        padding: str = "SAME",
        bias: bool = True,
    ):
        super().__init__(key)
        self.stride = stride
        self.padding = padding
        self.kernel = tf.Variable(
            glorot_uniform(rng, (kernel_size, kernel_size, in_channels, out_channels)), name="kernel"
        )
        self.bias = tf.Variable(tf.zeros([out_channels]), name="bias") if bias else None

    def __call__(self, inputs: tf.Tensor) -> tf.Tensor:
        kernel = tf.cast(self.kernel, inputs.dtype)
        outputs = tf.nn.conv2d(inputs, kernel, strides=self.stride, padding=self.padding)
        return outputs if self.bias is None else tf.nn.bias_add(outputs, tf.cast(self.bias, inputs.dtype))

    def scaled(self, inputs: tf.Tensor, scale: tf.Tensor, shift: tf.Tensor) -> tf.Tensor:
        """`scale` * self(inputs) + `shift` per output channel, at the cost of the convolution alone."""
        if self.bias is not None:
            shift = shift + scale * self.bias
        kernel = tf.cast(self.kernel * scale, inputs.dtype)
        outputs = tf.nn.conv2d(inputs, kernel, strides=self.stride, padding=self.padding)
        return tf.nn.bias_add(outputs, tf.cast(shift, inputs.dtype))


class DepthwiseConv2D(Layer):
    """One k x k filter per channel, SAME padding, no bias; kernel [k, k, channels, 1]."""

    def __init__(self, key: str, channels: int, kernel_size: int, *, rng: np.random.Generator, stride: int = 1):
        super().__init__(key)
        self.stride = stride
        self.kernel = tf.Variable(glorot_uniform(rng, (kernel_size, kernel_size, channels, 1)), name="kernel")

    def __call__(self, inputs: tf.Tensor) -> tf.Tensor:
        return self._convolve(inputs, tf.cast(self.kernel, inputs.dtype))

    def scaled(self, inputs: tf.Tensor, scale: tf.Tensor, shift: tf.Tensor) -> tf.Tensor:
        """`scale` * self(inputs) + `shift` per channel, at the cost of the convolution alone."""
        kernel = tf.cast(self.kernel * scale[:, tf.newaxis], inputs.dtype)
        return tf.nn.bias_add(self._convolve(inputs, kernel), tf.cast(shift, inputs.dtype))

    def _convolve(self, inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        return tf.nn.depthwise_conv2d(inputs, kernel, strides=[1, self.stride, self.stride, 1], padding="SAME")


class Conv3D(Layer):
    """3-D convolution [N, D, H, W, in] -> [N, D, H, W, out], stride 1, SAME padding, with bias; odd kernel size.

    Slice i of the output is the sum of 2-D convolutions of the slices around i, each with its slice of the kernel. That is
    how it is computed: zeros beyond the ends are not multiplied, and accelerators without 3-D convolutions run it too.
    """

    def __init__(self, key: str, in_channels: int, out_channels: int, kernel_size: int, *, rng: np.random.Generator):
        super().__init__(key)
        self.kernel = tf.Variable(glorot_uniform(rng, (kernel_size,) * 3 + (in_channels, out_channels)), name="kernel")
        self.bias = tf.Variable(tf.zeros([out_channels]), name="bias")

    def __call__(self, inputs: tf.Tensor) -> tf.Tensor:
        slices, kernels = tf.unstack(inputs, axis=1), tf.unstack(tf.cast(self.kernel, inputs.dtype))
        outputs = [
            tf.add_n([_convolved(slices[near], kernels[i]) for near, i in self._near(place, len(slices))])
            for place in range(len(slices))
        ]
        return tf.nn.bias_add(tf.stack(outputs, axis=1), tf.cast(self.bias, inputs.dtype))

    def of_slices(self, images: tf.Tensor, depth: int) -> tf.Tensor:
        """What slices of inputs of `depth` add to the outputs, by themselves.

        A slice that stands in several inputs, each time in another place, is convolved once with each slice of the kernel.

        Args:
          images: [N, H, W, in].
          depth: D of `of_convolved`.
        Returns: [N, k, H, W, out], k as many slices of the kernel as meet a slice of such an input in any place.
        """
        kernels = tf.unstack(tf.cast(self.kernel, images.dtype))
        return tf.stack([_convolved(images, kernels[i]) for i in self._used(depth)], axis=1)

    def of_convolved(self, convolved: tf.Tensor) -> tf.Tensor:
        """The layer's outputs [N, D, H, W, out] from `of_slices` of each slice of its inputs [N, D, k, H, W, out]."""
        depth = convolved.shape[1]
        parts = [dict(zip(self._used(depth), tf.unstack(one, axis=1))) for one in tf.unstack(convolved, axis=1)]
        outputs = [tf.add_n([parts[near][i] for near, i in self._near(place, depth)]) for place in range(depth)]
        return tf.nn.bias_add(tf.stack(outputs, axis=1), tf.cast(self.bias, convolved.dtype))

    def _near(self, place: int, depth: int) -> List[Tuple[int, int]]:
        """Slices of an input that add to slice `place` of the output, each with the slice of the kernel that it meets."""
        first = place - self.kernel.shape[0] // 2
        return [(first + i, i) for i in range(self.kernel.shape[0]) if 0 <= first + i < depth]

    def _used(self, depth: int) -> List[int]:
        """Slices of the kernel that meet anything in inputs of `depth`."""
        return sorted({i for place in range(depth) for _, i in self._near(place, depth)})


def _convolved(images: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    return tf.nn.conv2d(images, kernel, strides=1, padding="SAME")


class Dense(Layer):
    """[N, in] -> [N, out]; kernel [in, out]."""

    def __init__(self, key: str, in_units: int, out_units: int, *, rng: np.random.Generator):
        super().__init__(key)
        self.kernel = tf.Variable(glorot_uniform(rng, (in_units, out_units)), name="kernel")
        self.bias = tf.Variable(tf.zeros([out_units]), name="bias")

    def __call__(self, inputs: tf.Tensor) -> tf.Tensor:
        return tf.matmul(inputs, tf.cast(self.kernel, inputs.dtype)) + tf.cast(self.bias, inputs.dtype)


class BatchNorm(Layer):
    """Batch normalization over all axes but the last, by the fused operation.

    y = gamma (x - mean) / sqrt(variance + epsilon) + beta. With training=False, mean and variance are the moving
    statistics. With training=True they are the batch's, and each moving statistic m becomes
    momentum m + (1 - momentum) batch, with the unbiased variance, as Keras 2 did.
    Reference: Ioffe and Szegedy, Batch Normalization, ICML 2015.
    """

    WEIGHTS = ("gamma", "beta", "moving_mean", "moving_variance")

    def __init__(self, key: str, channels: int, *, epsilon: float = 1e-3, momentum: float = 0.99):
        super().__init__(key)
        self.epsilon = epsilon
        self.momentum = momentum
        self.gamma = tf.Variable(tf.ones([channels]), name="gamma")
        self.beta = tf.Variable(tf.zeros([channels]), name="beta")
        self.moving_mean = tf.Variable(tf.zeros([channels]), trainable=False, name="moving_mean")
        self.moving_variance = tf.Variable(tf.ones([channels]), trainable=False, name="moving_variance")

    def __call__(self, inputs: tf.Tensor, *, training: bool = False) -> tf.Tensor:
        # The fused operation takes four axes; a fifth one joins its neighbor, which changes no statistic.
        shape = inputs.shape
        images = inputs if len(shape) == 4 else tf.reshape(inputs, [-1, shape[-3] * shape[-4], shape[-2], shape[-1]])
        outputs = self._train(images) if training else self._infer(images)
        return outputs if len(shape) == 4 else tf.reshape(outputs, [-1, *shape[1:]])

    def scale_and_shift(self) -> Tuple[tf.Tensor, tf.Tensor]:
        """The two vectors a, b with self(x) = a x + b outside training."""
        scale = self.gamma * tf.math.rsqrt(self.moving_variance + self.epsilon)
        return scale, self.beta - self.moving_mean * scale

    def _infer(self, images: tf.Tensor) -> tf.Tensor:
        return tf.compat.v1.nn.fused_batch_norm(
            images,
            self.gamma,
            self.beta,
            mean=self.moving_mean,
            variance=self.moving_variance,
            epsilon=self.epsilon,
            is_training=False,
        )[0]

    def _train(self, images: tf.Tensor) -> tf.Tensor:
        replicas = batch_statistics.current()
        if replicas is None:
            outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
                images, self.gamma, self.beta, epsilon=self.epsilon, is_training=True
            )
        else:
            outputs, mean, variance = self._train_with_others(images, *replicas)
        for moving, batch in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign_sub((1.0 - self.momentum) * (moving - batch))
        return outputs

    def _train_with_others(
        self, images: tf.Tensor, moments: batch_statistics.Moments, count: int
    ) -> Tuple[Any, Any, Any]:
        """The same, of the statistics of `count` replicas together."""
        values = tf.cast(images, tf.float32)
        mean, variance = moments(values)
        outputs = (values - mean) * (tf.math.rsqrt(variance + self.epsilon) * self.gamma) + self.beta
        samples = count * float(np.prod(images.shape[:-1], dtype=np.int64))
        return tf.cast(outputs, images.dtype), mean, variance * (samples / max(samples - 1.0, 1.0))


def convolve_and_normalize(
    convolution: Union[Conv2D, DepthwiseConv2D], norm: BatchNorm, inputs: tf.Tensor, *, training: bool = False
) -> tf.Tensor:
    """norm(convolution(inputs)); outside training as one convolution with the normalization folded into its kernel.

    Folding made EfficientNet-Lite0 1.4 to 1.7 times as fast on a CPU (benchmarks/backbone.py).
    """
    if training:
        return norm(convolution(inputs), training=True)
    return convolution.scaled(inputs, *norm.scale_and_shift())


def pad_images(images: tf.Tensor, pixels: int) -> tf.Tensor:
    """Zeros on all four sides of [N, H, W, C], for VALID convolutions: SAME puts a stride's odd zero on one side only."""
    return tf.pad(images, [[0, 0], [pixels, pixels], [pixels, pixels], [0, 0]])


def named_variables(layers: Sequence[Layer]) -> Dict[str, tf.Variable]:
    """The variables of several layers by key, in the order of the layers."""
    return {key: variable for layer in layers for key, variable in layer.named_variables().items()}


def trainable_variables(layers: Sequence[Layer]) -> List[tf.Variable]:
    """All variables of the layers but moving statistics, in the order of the layers."""
    return [variable for variable in named_variables(layers).values() if variable.trainable]
