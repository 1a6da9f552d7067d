"""Losses as slow loops in float64, frame by frame and pair by pair: what the fast code is compared with."""

from __future__ import annotations

import math

import numpy as np


def similarity_of(a, b, similarity):
    if similarity == "negative_squared_l2":
        return -sum((x - y) ** 2 for x, y in zip(a, b))
    product = sum(x * y for x, y in zip(a, b))
    if similarity == "dot":
        return product
    lengths = math.sqrt(sum(x * x for x in a)) * math.sqrt(sum(y * y for y in b))
    return product / lengths


def softmax(values):
    largest = max(values)
    exponentials = [math.exp(value - largest) for value in values]
    return [value / sum(exponentials) for value in exponentials]


def log_softmax(values):
    largest = max(values)
    log_sum = largest + math.log(sum(math.exp(value - largest) for value in values))
    return [value - log_sum for value in values]


def scaled_similarities(frame, sequence, similarity, temperature):
    return [similarity_of(frame, other, similarity) / len(frame) / temperature for other in sequence]


def soft_nearest_neighbor(query, candidates, *, similarity="negative_squared_l2", temperature=0.1):
    neighbors = []
    for frame in query:
        weights = softmax(scaled_similarities(frame, candidates, similarity, temperature))
        neighbors.append(sum(weight * candidate for weight, candidate in zip(weights, candidates)))
    return np.array(neighbors)


def cycle_consistency_loss(
    embeddings,
    *,
    frame_indices=None,
    sequence_lengths=None,
    loss="regression_variance",
    similarity="negative_squared_l2",
    temperature=0.1,
    variance_weight=0.001,
    variance_floor=1e-6,
    label_smoothing=0.1,
    normalize_indices=True,
    normalize_embeddings=False,
):
    embeddings = np.asarray(embeddings, np.float64)
    num_sequences, num_frames, _ = embeddings.shape
    if normalize_embeddings:
        embeddings = embeddings / np.linalg.norm(embeddings, axis=-1, keepdims=True)
    costs = []
    for u in range(num_sequences):
        times = [float(t if frame_indices is None else frame_indices[u][t]) for t in range(num_frames)]
        if normalize_indices:
            length = num_frames if sequence_lengths is None else float(sequence_lengths[u])
            times = [time / length for time in times]
        for v in range(num_sequences):
            if u == v:
                continue
            neighbors = soft_nearest_neighbor(
                embeddings[u], embeddings[v], similarity=similarity, temperature=temperature
            )
            for t in range(num_frames):
                logits = scaled_similarities(neighbors[t], embeddings[u], similarity, temperature)
                costs.append(_cycle_cost(logits, t, times, loss, label_smoothing, variance_weight, variance_floor))
    return sum(costs) / len(costs)


def _cycle_cost(logits, start, times, loss, label_smoothing, variance_weight, variance_floor):
    if loss == "classification":
        cost = 0.0
        for s, log_probability in enumerate(log_softmax(logits)):
            label = (1 - label_smoothing) * (s == start) + label_smoothing / len(logits)
            cost -= label * log_probability
        return cost
    weights = softmax(logits)
    back = sum(weight * time for weight, time in zip(weights, times))
    squared_error = (times[start] - back) ** 2
    if loss == "regression":
        return squared_error
    variance = sum(weight * (time - back) ** 2 for weight, time in zip(weights, times))
    variance = max(variance, variance_floor)
    return squared_error / variance + variance_weight * math.log(variance)


def n_pairs_loss(anchors, positives, *, labels=None, l2_weight=0.002):
    anchors, positives = np.asarray(anchors, np.float64), np.asarray(positives, np.float64)
    count = len(anchors)
    labels = list(range(count)) if labels is None else list(labels)
    total = 0.0
    for i in range(count):
        log_probabilities = log_softmax([float(np.dot(anchors[i], positives[j])) for j in range(count)])
        same = [j for j in range(count) if labels[j] == labels[i]]
        total -= sum(log_probabilities[j] for j in same) / len(same) / count
        total += 0.25 * l2_weight * float(np.dot(anchors[i], anchors[i]) + np.dot(positives[i], positives[i])) / count
    return total


def time_contrastive_loss(anchors, positives, *, l2_weight=0.002):
    return sum(n_pairs_loss(a, p, l2_weight=l2_weight) for a, p in zip(anchors, positives)) / len(anchors)
