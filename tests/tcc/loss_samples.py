"""What the tests of the losses share: random embeddings, gradients, golden settings, and inputs that are hard to bear."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

_GOLDEN_LOSSES = {
    "classification": "classification",
    "regression_mse": "regression",
    "regression_mse_var": "regression_variance",
    "regression_huber": "huber",
}
_GOLDEN_SIMILARITIES = {"l2": "negative_squared_l2", "cosine": "dot"}


def golden_cycle_settings(case, arrays, *, times_given=True):
    """Keyword arguments of a cycle loss for one golden case of the reference."""
    prefix = f"in_{case['input']}"
    return {
        "frame_indices": arrays[f"{prefix}_steps"] if times_given else None,
        "sequence_lengths": arrays[f"{prefix}_seq_lens"] if times_given else None,
        "loss": _GOLDEN_LOSSES[case["loss_type"]],
        "similarity": _GOLDEN_SIMILARITIES[case["similarity_type"]],
        "temperature": case["temperature"],
        "variance_weight": case["variance_lambda"],
        "label_smoothing": case["label_smoothing"],
        "huber_delta": case.get("huber_delta", 0.1),
        "normalize_indices": case["normalize_indices"],
        "normalize_embeddings": case["normalize_embeddings"],
    }


def random_embeddings(*shape, seed=0, scale=1.0):
    return (scale * np.random.default_rng(seed).standard_normal(shape)).astype(np.float32)


def value_and_gradient(function, *arrays):
    variables = [tf.constant(array) for array in arrays]
    with tf.GradientTape() as tape:
        tape.watch(variables)
        value = function(*variables)
    gradients = tape.gradient(value, variables)
    return value.numpy(), [gradient.numpy() for gradient in gradients]


def finite_difference(function, array, positions, *, width=1e-2):
    slopes = []
    for position in positions:
        step = np.zeros_like(array)
        step[position] = width
        slopes.append((function(array + step) - function(array - step)) / (2 * width))
    return np.array(slopes)


# Times that are uneven, and clips of unequal length, so that no symmetry hides a swapped index.
FRAME_INDICES = np.array([[0, 2, 3, 7, 11], [1, 2, 8, 9, 10], [3, 4, 5, 6, 30]])
SEQUENCE_LENGTHS = np.array([12, 14, 40])

EXTREMES = {
    "constant": np.ones((3, 6, 8), np.float32),
    "zero": np.zeros((3, 6, 8), np.float32),
    "far apart": random_embeddings(3, 6, 8, scale=30.0),
    "huge": random_embeddings(3, 6, 8, scale=1e4),
    "huge and shifted": random_embeddings(3, 6, 8) + np.float32(1e4),
    "one hot": np.float32(1e4) * np.eye(8, dtype=np.float32)[np.array([[0, 1, 2, 3, 4, 5]] * 3)],
    "two frames": random_embeddings(2, 2, 8),
    "duplicated frames": np.repeat(random_embeddings(3, 3, 8), 2, axis=1),
    "float16": random_embeddings(3, 6, 8).astype(np.float16),
    "float16 huge": random_embeddings(3, 6, 8, scale=1e4).astype(np.float16),
    "tiny": random_embeddings(3, 6, 8, scale=1e-30),
}
