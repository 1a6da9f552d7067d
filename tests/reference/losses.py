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
    huber_delta=0.1,
    normalize_indices=True,
    normalize_embeddings=False,
):
    embeddings = _prepared(embeddings, normalize_embeddings)
    num_sequences, num_frames, _ = embeddings.shape
    settings = (loss, label_smoothing, variance_weight, variance_floor, huber_delta)
    costs = []
    for u in range(num_sequences):
        times = _times(u, num_frames, frame_indices, sequence_lengths, normalize_indices)
        for v in range(num_sequences):
            if u == v:
                continue
            neighbors = soft_nearest_neighbor(
                embeddings[u], embeddings[v], similarity=similarity, temperature=temperature
            )
            for t in range(num_frames):
                logits = scaled_similarities(neighbors[t], embeddings[u], similarity, temperature)
                costs.append(_cycle_cost(logits, t, times, *settings))
    return sum(costs) / len(costs)


def stochastic_cycle_loss(
    embeddings,
    *,
    cycles,
    starts,
    frame_indices=None,
    sequence_lengths=None,
    loss="regression_variance",
    similarity="negative_squared_l2",
    temperature=0.1,
    variance_weight=0.001,
    variance_floor=1e-6,
    label_smoothing=0.1,
    huber_delta=0.1,
    normalize_indices=True,
    normalize_embeddings=False,
):
    embeddings = _prepared(embeddings, normalize_embeddings)
    settings = (loss, label_smoothing, variance_weight, variance_floor, huber_delta)
    costs = []
    for cycle, start in zip(cycles, starts):
        first = int(cycle[0])
        frame = embeddings[first][start]
        for sequence in cycle[1:-1]:
            query = [frame]
            frame = soft_nearest_neighbor(query, embeddings[sequence], similarity=similarity, temperature=temperature)[
                0
            ]
        logits = scaled_similarities(frame, embeddings[cycle[-1]], similarity, temperature)
        times = _times(first, len(logits), frame_indices, sequence_lengths, normalize_indices)
        costs.append(_cycle_cost(logits, int(start), times, *settings))
    return sum(costs) / len(costs)


def _prepared(embeddings, normalize):
    embeddings = np.asarray(embeddings, np.float64)
    return embeddings / np.linalg.norm(embeddings, axis=-1, keepdims=True) if normalize else embeddings


def _times(sequence, num_frames, frame_indices, sequence_lengths, normalize):
    times = [float(t if frame_indices is None else frame_indices[sequence][t]) for t in range(num_frames)]
    if not normalize:
        return times
    length = num_frames if sequence_lengths is None else float(sequence_lengths[sequence])
    return [time / length for time in times]


def _cycle_cost(logits, start, times, loss, label_smoothing, variance_weight, variance_floor, huber_delta):
    if loss == "classification":
        return cross_entropy(logits, start, label_smoothing)
    weights = softmax(logits)
    back = sum(weight * time for weight, time in zip(weights, times))
    squared_error = (times[start] - back) ** 2
    if loss == "regression":
        return squared_error
    if loss == "huber":
        error = math.sqrt(squared_error)
        return squared_error / 2 if error <= huber_delta else huber_delta * error - huber_delta**2 / 2
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


def cross_entropy(logits, label, label_smoothing):
    cost = 0.0
    for k, log_probability in enumerate(log_softmax([float(logit) for logit in logits])):
        cost -= ((1 - label_smoothing) * (k == label) + label_smoothing / len(logits)) * log_probability
    return cost


def shuffle_and_learn_loss(embeddings, *, indices, labels, classifier, label_smoothing=0.0):
    total = 0.0
    for r, (triplet, label) in enumerate(zip(indices, labels)):
        sequence = embeddings[r % len(embeddings)]
        logits = classifier(np.concatenate([sequence[frame] for frame in triplet]))
        total += cross_entropy(logits, label, label_smoothing) / len(labels)
    return total


def supervised_loss(logits, labels, *, label_smoothing=0.0):
    costs = []
    for frames, frame_labels in zip(logits, labels):
        for frame, label in zip(frames, frame_labels):
            if label >= 0:
                costs.append(cross_entropy(frame, label, label_smoothing))
    return sum(costs) / len(costs) if costs else 0.0
