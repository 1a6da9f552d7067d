"""Slow loops for the layers of the networks, and the rule that fills the reference's weights."""

from __future__ import annotations

import zlib

import numpy as np


def convolution(images, kernel, *, stride, pads):
    """2-D convolution by loops: images [N, H, W, in], kernel [k, k, in, out], pads ((top, bottom), (left, right))."""
    size, _, _, out_channels = kernel.shape
    padded = np.pad(images, ((0, 0), *pads, (0, 0)))
    rows = (padded.shape[1] - size) // stride + 1
    columns = (padded.shape[2] - size) // stride + 1
    result = np.zeros((len(images), rows, columns, out_channels))
    for row in range(rows):
        for column in range(columns):
            top, left = row * stride, column * stride
            patch = padded[:, top : top + size, left : left + size]
            for channel in range(out_channels):
                result[:, row, column, channel] = (patch * kernel[..., channel]).sum(axis=(1, 2, 3))
    return result


def depthwise_convolution(images, kernel, *, stride, pads):
    """The same with one filter per channel; kernel [k, k, channels, 1]."""
    channels = [
        convolution(images[..., [index]], kernel[:, :, [index], :], stride=stride, pads=pads)
        for index in range(images.shape[-1])
    ]
    return np.concatenate(channels, axis=-1)


def same_pads(size, kernel_size, stride):
    """TensorFlow's SAME: the odd zero comes last."""
    outputs = -(-size // stride)
    total = max((outputs - 1) * stride + kernel_size - size, 0)
    return total // 2, total - total // 2


def convolution_3d(windows, kernel):
    """3-D SAME convolution of stride 1 by loops over the kernel's depth."""
    depth = kernel.shape[0]
    before = (depth - 1) // 2
    padded = np.pad(windows, ((0, 0), (before, depth - 1 - before), (0, 0), (0, 0), (0, 0)))
    pads = tuple(same_pads(size, kernel.shape[1], 1) for size in windows.shape[2:4])
    slices = []
    for step in range(windows.shape[1]):
        parts = [convolution(padded[:, step + k], kernel[k], stride=1, pads=pads) for k in range(depth)]
        slices.append(sum(parts))
    return np.stack(slices, axis=1)


def batch_norm(values, gamma, beta, mean, variance, epsilon):
    """gamma (x - mean) / sqrt(variance + epsilon) + beta over the last axis."""
    return gamma * (values - mean) / np.sqrt(variance + epsilon) + beta


def max_pool(images, *, size, pads):
    """Max pooling of stride 2 by loops; the padding is never the maximum."""
    padded = np.pad(images, ((0, 0), *pads, (0, 0)), constant_values=-np.inf)
    rows, columns = ((side - size) // 2 + 1 for side in padded.shape[1:3])
    result = np.zeros((len(images), rows, columns, images.shape[-1]))
    for row in range(rows):
        for column in range(columns):
            cell = padded[:, 2 * row : 2 * row + size, 2 * column : 2 * column + size]
            result[:, row, column] = cell.max(axis=(1, 2))
    return result


def vggm(images, arrays):
    """VGGM's features of scaled images, layer after layer."""
    hidden = _normalized_convolution(images, arrays, "1", stride=2, pads=((3, 3), (3, 3)))
    hidden = max_pool(hidden, size=3, pads=((1, 1), (1, 1)))
    for name in ("2_1", "2_2", "3_1", "3_2", "4_1", "4_2"):
        hidden = _normalized_convolution(hidden, arrays, name, stride=1, pads=((1, 1), (1, 1)))
        if name in ("2_2", "3_2"):
            hidden = max_pool(hidden, size=2, pads=tuple((0, side % 2) for side in hidden.shape[1:3]))
    return hidden


def _normalized_convolution(images, arrays, name, *, stride, pads):
    hidden = convolution(images, arrays[f"conv{name}/kernel"], stride=stride, pads=pads) + arrays[f"conv{name}/bias"]
    statistics = [arrays[f"bn{name}/{weight}"] for weight in ("gamma", "beta", "moving_mean", "moving_variance")]
    return np.maximum(batch_norm(hidden, *statistics, 1e-3), 0)


def embedder_late(windows, arrays, *, num_convs, num_denses, epsilon):
    """Embeddings of one window after another: the late fusion, outside training."""
    return np.stack([_embed_window(window, arrays, num_convs, num_denses, epsilon) for window in windows])


def _embed_window(window, arrays, num_convs, num_denses, epsilon):
    frames = [(frame - arrays["emb_standardize/mean"]) / arrays["emb_standardize/std"] for frame in window]
    for index in range(num_convs - 1):
        frames = [_conv_bn_relu(frame, arrays, index, epsilon) for frame in frames]
    hidden = _conv_bn_relu(np.concatenate(frames, axis=-1), arrays, num_convs - 1, epsilon).max(axis=(0, 1))
    for index in range(num_denses):
        hidden = np.maximum(hidden @ arrays[f"emb_fc{index}/kernel"] + arrays[f"emb_fc{index}/bias"], 0)
    return hidden @ arrays["emb_out0/kernel"] + arrays["emb_out0/bias"]


def _conv_bn_relu(frame, arrays, index, epsilon):
    pads = tuple(same_pads(size, 3, 1) for size in frame.shape[:2])
    hidden = convolution(frame[None], arrays[f"emb_conv{index}/kernel"], stride=1, pads=pads)[0]
    hidden = hidden + arrays[f"emb_conv{index}/bias"]
    statistics = [arrays[f"emb_bn{index}/{name}"] for name in ("gamma", "beta", "moving_mean", "moving_variance")]
    return np.maximum(batch_norm(hidden, *statistics, epsilon), 0)


def pool_to_grid(features, grid):
    """Mean over each cell, by loops."""
    height, width = features.shape[1:3]
    rows, columns = min(height, grid), min(width, grid)
    result = np.zeros((len(features), rows, columns, features.shape[-1]))
    for row in range(rows):
        for column in range(columns):
            top, bottom = row * height // rows, int(np.ceil((row + 1) * height / rows))
            left, right = column * width // columns, int(np.ceil((column + 1) * width / columns))
            result[:, row, column] = features[:, top:bottom, left:right].mean(axis=(1, 2))
    return result


def filled_weight(key, shape):
    """The golden files' rule: every weight follows from its key alone."""
    rng = np.random.default_rng(zlib.crc32(key.encode()))
    weight = key.split("/")[1]
    if weight == "kernel":
        return rng.normal(0, np.sqrt(1 / np.prod(shape[:-1])), shape).astype(np.float32)
    if weight in ("gamma", "moving_variance", "std"):
        return rng.uniform(0.8, 1.2, shape).astype(np.float32)
    return rng.normal(0, 0.1, shape).astype(np.float32)


def fill(module):
    """Give a network's variables the values of `filled_weight`."""
    for key, variable in module.named_variables().items():
        variable.assign(filled_weight(key, tuple(variable.shape)))
