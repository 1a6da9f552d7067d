"""Losses of whole sequences as slow loops in float64: soft-DTW over every way, LAV and SCL pair by pair."""

from __future__ import annotations

import math

import numpy as np


def monotonic_ways(rows, columns):
    """Every way from (0, 0) to the last cell by steps down, right, or both."""
    if rows == 1 and columns == 1:
        return [[(0, 0)]]
    ways = []
    for i, j in ((rows - 1, columns), (rows, columns - 1), (rows - 1, columns - 1)):
        if i and j:
            ways += [way + [(rows - 1, columns - 1)] for way in monotonic_ways(i, j)]
    return ways


def soft_dtw_over_ways(cost, gamma):
    """Soft-DTW and expected alignment from the list of all ways."""
    ways = monotonic_ways(*cost.shape)
    costs = np.array([sum(cost[cell] for cell in way) for way in ways])
    weights = np.exp(-(costs - costs.min()) / gamma)
    value = costs.min() - gamma * math.log(weights.sum())
    alignment = np.zeros(cost.shape)
    for way, weight in zip(ways, weights / weights.sum()):
        for cell in way:
            alignment[cell] += weight
    return value, alignment


def soft_dtw(cost, gamma):
    rows, columns = cost.shape
    table = np.full((rows + 1, columns + 1), np.inf)
    table[0, 0] = 0.0
    for i in range(1, rows + 1):
        for j in range(1, columns + 1):
            before = [table[i - 1, j - 1], table[i - 1, j], table[i, j - 1]]
            least = min(before)
            total = sum(math.exp(-(value - least) / gamma) for value in before)
            table[i, j] = cost[i - 1, j - 1] + least - gamma * math.log(total)
    return table[rows, columns]


def hard_dtw(cost):
    rows, columns = cost.shape
    table = np.full((rows + 1, columns + 1), np.inf)
    table[0, 0] = 0.0
    for i in range(1, rows + 1):
        for j in range(1, columns + 1):
            table[i, j] = cost[i - 1, j - 1] + min(table[i - 1, j - 1], table[i - 1, j], table[i, j - 1])
    return table[rows, columns]


def distances(first, second):
    return np.array([[sum((x - y) ** 2 for x, y in zip(a, b)) for b in second] for a in first])


def contrastive_idm(sequence, positions, length, *, sigma, margin, normalize_indices=True, near_weight="one"):
    total = 0.0
    for i in range(len(sequence)):
        for j in range(len(sequence)):
            squared = sum((x - y) ** 2 for x, y in zip(sequence[i], sequence[j]))
            scale = length if normalize_indices else 1.0
            weight = 1.0 + ((positions[i] - positions[j]) / scale) ** 2
            if abs(positions[i] - positions[j]) > sigma:
                total += weight * max(0.0, margin - squared)
            else:
                total += squared / weight if near_weight == "inverse" else squared
    return total


def lav_loss(
    embeddings,
    *,
    frame_indices,
    sequence_lengths,
    gamma=0.1,
    sigma=10.0,
    margin=2.0,
    alpha=0.5,
    l2_normalize=True,
    soft_dtw_normalize=False,
    normalize_indices=True,
    idm_near_weight="one",
):
    embeddings = _prepared(embeddings, l2_normalize)
    costs = []
    for pair in range(len(embeddings) // 2):
        a, b = 2 * pair, 2 * pair + 1
        cost = soft_dtw(distances(embeddings[a], embeddings[b]), gamma)
        for video in (a, b):
            if soft_dtw_normalize:
                cost -= soft_dtw(distances(embeddings[video], embeddings[video]), gamma) / 2
            cost += alpha * contrastive_idm(
                embeddings[video],
                [float(index) for index in frame_indices[video]],
                float(sequence_lengths[video]),
                sigma=sigma,
                margin=margin,
                normalize_indices=normalize_indices,
                near_weight=idm_near_weight,
            )
        costs.append(cost / embeddings.shape[1])
    return sum(costs) / len(costs)


def sequence_contrastive_loss(
    embeddings,
    *,
    frame_indices,
    sequence_lengths,
    mask=None,
    temperature=0.1,
    variance=10.0,
    epsilon=1e-6,
    negatives="other_view",
    l2_normalize=True,
    pad_weight=0.0,
):
    """`pad_weight`: what every padded frame weighs in the denominator, a slip of the released code; 0 is right."""
    embeddings = _prepared(embeddings, l2_normalize)
    num_videos, _, num_frames, _ = embeddings.shape
    mask = np.ones(embeddings.shape[:3]) if mask is None else np.asarray(mask)
    frames = [(b, v, t) for b in range(num_videos) for v in range(2) for t in range(num_frames)]
    total, count = 0.0, 0
    for row in frames:
        if not mask[row]:
            continue
        count += 1
        positives = [c for c in frames if c[0] == row[0] and c[1] != row[1] and mask[c]]
        if not positives:
            continue
        exponents = {c: float(np.dot(embeddings[row], embeddings[c])) / temperature for c in frames}
        largest = max(exponents.values())
        denominator = 0.0
        for c in frames:
            weight = float(_contrasted(row, c, negatives)) if mask[c] else pad_weight
            denominator += weight * math.exp(exponents[c] - largest)
        labels = [math.exp(-(_apart(row, c, frame_indices, sequence_lengths) ** 2) / (2 * variance)) for c in positives]
        for c, label in zip(positives, labels):
            q = label / sum(labels)
            p = math.exp(exponents[c] - largest) / denominator
            if q > 0:
                total += q * (math.log(q) - math.log(p + epsilon))
    return total / count if count else 0.0


def _contrasted(row, column, negatives):
    own_view = row[:2] == column[:2]
    return {
        "other_view": row[0] == column[0] and not own_view,
        "batch_other_view": not own_view,
        "own_video": row[0] == column[0],
        "batch": True,
    }[negatives]


def _apart(row, column, frame_indices, sequence_lengths):
    stretch = float(sequence_lengths[column[0]][column[1]]) / float(sequence_lengths[row[0]][row[1]])
    return float(frame_indices[row[0]][row[1]][row[2]]) * stretch - float(
        frame_indices[column[0]][column[1]][column[2]]
    )


def _prepared(embeddings, normalize):
    embeddings = np.asarray(embeddings, np.float64)
    return embeddings / np.linalg.norm(embeddings, axis=-1, keepdims=True) if normalize else embeddings
