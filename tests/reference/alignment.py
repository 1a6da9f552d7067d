"""Distances, nearest neighbors and dynamic time warping as slow loops: what the fast code is compared with."""

from __future__ import annotations

import math


def distance_between(a, b, distance):
    if distance == "sqeuclidean":
        return sum((float(x) - float(y)) ** 2 for x, y in zip(a, b))
    product = sum(float(x) * float(y) for x, y in zip(a, b))
    lengths = math.sqrt(sum(float(x) ** 2 for x in a)) * math.sqrt(sum(float(y) ** 2 for y in b))
    return 1 - product / lengths


def distances(query, candidates, distance="sqeuclidean"):
    return [[distance_between(q, c, distance) for c in candidates] for q in query]


def nearest_neighbors(query, candidates, distance="sqeuclidean"):
    found = []
    for row in distances(query, candidates, distance):
        best = 0
        for index, value in enumerate(row):
            if value < row[best]:
                best = index
        found.append(best)
    return found


def warping_cost(costs):
    """Cost of the cheapest path through a matrix of distances, cell by cell."""
    total = [[0.0] * len(costs[0]) for _ in costs]
    for i, row in enumerate(costs):
        for j, cost in enumerate(row):
            before = [total[a][b] for a, b in ((i - 1, j - 1), (i - 1, j), (i, j - 1)) if a >= 0 and b >= 0]
            total[i][j] = cost + (min(before) if before else 0.0)
    return total[-1][-1]


def cheapest_of_all_paths(costs):
    """Cost of the cheapest path by trying every path; for a handful of frames."""

    def cheapest_from(i, j):
        if i == len(costs) - 1 and j == len(costs[0]) - 1:
            return costs[i][j]
        steps = [(i + 1, j + 1), (i + 1, j), (i, j + 1)]
        return costs[i][j] + min(cheapest_from(a, b) for a, b in steps if a < len(costs) and b < len(costs[0]))

    return cheapest_from(0, 0)


def first_matches(query, candidates, distance="sqeuclidean"):
    """First match of each query frame, and of each candidate frame, on the cheapest path; diagonal steps before others."""
    costs = distances(query, candidates, distance)
    total = {}
    for i, row in enumerate(costs):
        for j, cost in enumerate(row):
            ways = [total[before] for before in ((i - 1, j - 1), (i - 1, j), (i, j - 1)) if before in total]
            total[i, j] = cost + min(ways, default=0.0)
    cell = (len(query) - 1, len(candidates) - 1)
    forth, back = {}, {}
    while cell is not None:
        i, j = cell
        forth[i], back[j] = j, i  # what comes later here is earlier on the path
        ways = [before for before in ((i - 1, j - 1), (i - 1, j), (i, j - 1)) if before in total]
        cell = min(ways, key=lambda before: total[before], default=None)
    return [forth[i] for i in range(len(query))], [back[j] for j in range(len(candidates))]


def subsequence_path(costs):
    """[(i, j)] of the cheapest way of all query frames through a part of the candidates, cell by cell, and its cost."""
    total = [[0.0] * len(costs[0]) for _ in costs]
    for i, row in enumerate(costs):
        for j, cost in enumerate(row):
            before = [total[a][b] for a, b in ((i - 1, j - 1), (i - 1, j), (i, j - 1)) if a >= 0 and b >= 0]
            total[i][j] = cost + (min(before) if i > 0 else 0.0)
    i, j = len(costs) - 1, total[-1].index(min(total[-1]))
    path, cheapest = [(i, j)], total[i][j]
    while i > 0:
        steps = [(a, b) for a, b in ((i - 1, j - 1), (i - 1, j), (i, j - 1)) if b >= 0]
        i, j = min(steps, key=lambda step: total[step[0]][step[1]])
        path.insert(0, (i, j))
    return path, cheapest


def cheapest_of_all_subsequences(costs):
    """Cost of the cheapest path through any stretch of candidates, each stretch tried."""
    count = len(costs[0])
    stretches = [(start, end) for start in range(count) for end in range(start + 1, count + 1)]
    return min(warping_cost([row[start:end] for row in costs]) for start, end in stretches)


def confidence(costs, matches, window):
    """For each (query frame, candidate frame) how much nearer it is than anything elsewhere; None: nothing is elsewhere."""
    found = []
    for t, m in matches:
        elsewhere = [value for s, value in enumerate(costs[t]) if abs(s - m) > window]
        if not elsewhere:
            found.append(None)
        elif min(elsewhere) == 0:
            found.append(0.0)
        else:
            found.append(max(0.0, 1 - costs[t][m] / min(elsewhere)))
    return found


def transferred_phases(query, references, num_phases, distance="sqeuclidean"):
    """[(phase, confidence)] of each frame; references: [(embeddings, labels)] of each clip, -1 for no label."""
    voters = [(frames, labels) for frames, labels in references if max(labels) >= 0]
    found = []
    for frame in query:
        weights, votes = [0.0] * num_phases, [0] * num_phases
        for frames, labels in voters:
            near = [(distance_between(frame, one, distance), k) for one, k in zip(frames, labels) if k >= 0]
            nearest = min(value for value, _ in near)
            phase = next(k for value, k in near if value == nearest)
            others = [value for value, k in near if k != phase]
            votes[phase] += 1
            if others and min(others) > 0:
                weights[phase] += (1 - nearest / min(others)) / len(voters)
        best = max(range(num_phases), key=lambda k: (weights[k], votes[k], -k))
        rest = [weights[k] for k in range(num_phases) if k != best]
        found.append((best, weights[best] - max(rest, default=0.0)))
    return found
