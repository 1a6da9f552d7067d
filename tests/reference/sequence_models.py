"""Slow loops for the embedders over whole sequences: frame by frame, unit by unit where it matters."""

from __future__ import annotations

import numpy as np

from tests.reference.models import batch_norm, conv_bn_relu


def conv_gru(sequence, arrays, *, num_convs, num_grus, epsilon=1e-3):
    """Embeddings [T, D] of one sequence of frames [T, h, w, C], outside training."""
    states = [np.zeros(arrays[f"emb_gru{i}/recurrent_kernel"].shape[0]) for i in range(num_grus)]
    embeddings = []
    for frame in sequence:
        hidden = (frame - arrays["emb_standardize/mean"]) / arrays["emb_standardize/std"]
        for index in range(num_convs):
            hidden = conv_bn_relu(hidden, arrays, index, epsilon)
        hidden = hidden.max(axis=(0, 1))
        for index in range(num_grus):
            states[index] = hidden = gru_step(hidden, states[index], arrays, f"emb_gru{index}")
        embeddings.append(hidden)
    return np.array(embeddings)


def gru_step(inputs, state, arrays, key):
    """The next state, one unit after another."""
    kernel, recurrent, bias = (arrays[f"{key}/{weight}"] for weight in ("kernel", "recurrent_kernel", "bias"))
    units = len(state)
    result = np.zeros(units)
    for unit in range(units):
        z, r, g = unit, units + unit, 2 * units + unit
        kept = _sigmoid(inputs @ kernel[:, z] + bias[0, z] + state @ recurrent[:, z] + bias[1, z])
        seen = _sigmoid(inputs @ kernel[:, r] + bias[0, r] + state @ recurrent[:, r] + bias[1, r])
        candidate = np.tanh(inputs @ kernel[:, g] + bias[0, g] + seen * (state @ recurrent[:, g] + bias[1, g]))
        result[unit] = kept * state[unit] + (1 - kept) * candidate
    return result


def transformer(sequence, arrays, *, num_denses, num_layers, heads, num_frames, epsilon=1e-3):
    """Embeddings [T, D] of one sequence of frames [T, h, w, C], outside training."""
    vectors = []
    for frame in sequence:
        hidden = ((frame - arrays["emb_standardize/mean"]) / arrays["emb_standardize/std"]).max(axis=(0, 1))
        for index in range(num_denses):
            hidden = _linear(hidden, arrays, f"emb_fc{index}")
            names = ("gamma", "beta", "moving_mean", "moving_variance")
            statistics = [arrays[f"emb_bn{index}/{name}"] for name in names]
            hidden = np.maximum(batch_norm(hidden, *statistics, epsilon), 0)
        vectors.append(_linear(hidden, arrays, "emb_projection"))
    hidden = np.array(vectors)
    for index in range(len(hidden)):
        hidden[index] += position(index * (num_frames - 1) / (len(hidden) - 1), hidden.shape[1])
    for index in range(num_layers):
        hidden = _encoder_layer(hidden, arrays, f"emb_layer{index}", heads)
    return np.array([_linear(vector, arrays, "emb_out0") for vector in hidden])


def position(place, width):
    """The encoding of one position, channel after channel."""
    angles = [place / 10000 ** (channel / width) for channel in range(width)]
    return np.array([np.sin(a) if channel % 2 == 0 else np.cos(a) for channel, a in enumerate(angles)])


def _encoder_layer(hidden, arrays, key, heads):
    normalized = np.array([_layer_norm(vector, arrays, f"{key}_attention_norm") for vector in hidden])
    size = hidden.shape[1] // heads
    attended = np.zeros_like(hidden)
    query, keys, values = (
        np.array([_linear(vector, arrays, f"{key}_{part}") for vector in normalized])
        for part in ("query", "key", "value")
    )
    for head in range(heads):
        part = slice(head * size, (head + 1) * size)
        for frame in range(len(hidden)):
            weights = np.exp([query[frame, part] @ other / np.sqrt(size) for other in keys[:, part]])
            for other in range(len(hidden)):
                attended[frame, part] += weights[other] / weights.sum() * values[other, part]
    hidden = hidden + np.array([_linear(vector, arrays, f"{key}_joined") for vector in attended])
    forward = [
        _linear(_layer_norm(vector, arrays, f"{key}_forward_norm"), arrays, f"{key}_forward_in") for vector in hidden
    ]
    return hidden + np.array([_linear(np.maximum(vector, 0), arrays, f"{key}_forward_out") for vector in forward])


def _layer_norm(vector, arrays, key):
    spread = np.sqrt(vector.var() + 1e-5)
    return arrays[f"{key}/gamma"] * (vector - vector.mean()) / spread + arrays[f"{key}/beta"]


def _linear(vector, arrays, key):
    return vector @ arrays[f"{key}/kernel"] + arrays[f"{key}/bias"]


def _sigmoid(value):
    return 1 / (1 + np.exp(-value))
