"""The metrics as slow loops over pairs and frames: what the fast code is compared with."""

from __future__ import annotations

import math
import statistics

import numpy as np
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score
from sklearn.svm import SVC

from tests.reference.alignment import distance_between, first_matches, nearest_neighbors


def svm_accuracy(train, test):
    """(accuracy on the training frames, on the test frames) of scikit-learn's SVC with its defaults."""
    frames, labels = joined(train)
    test_frames, test_labels = joined(test)
    machine = SVC().fit(frames, labels)
    return machine.score(frames, labels), machine.score(test_frames, test_labels)


def logistic_predictions(train, test):
    """Predictions of a logistic regression on standardized frames, minimized by Newton's method."""
    (frames, labels), (test_frames, _) = joined(train), joined(test)
    mean, deviation = frames.mean(axis=0), frames.std(axis=0)
    phases = sorted(set(labels.tolist()))
    frames, test_frames = (np.c_[(x - mean) / deviation, np.ones(len(x))] for x in (frames, test_frames))
    if len(phases) == 2:  # one weight vector: the second phase against the first
        wanted = (labels == phases[1]).astype(float)
        weights = np.zeros(frames.shape[1])
        penalty = np.diag([1.0] * (frames.shape[1] - 1) + [0.0])
        for _ in range(30):
            share = 1 / (1 + np.exp(-frames @ weights))
            gradient = frames.T @ (share - wanted) + penalty @ weights
            weights -= np.linalg.solve(frames.T @ (frames * (share * (1 - share))[:, None]) + penalty, gradient)
        return np.where(test_frames @ weights > 0, phases[1], phases[0])
    weights = np.zeros((frames.shape[1], len(phases)))
    wanted = np.stack([labels == phase for phase in phases], axis=1).astype(float)
    bound = frames.T @ frames / 2 + np.diag([1.0] * (frames.shape[1] - 1) + [1e-9])
    inverse = np.linalg.inv(bound)
    for _ in range(4000):  # gradient steps by the bound of the curvature, 1/2 of the frames' products
        exps = np.exp(frames @ weights - (frames @ weights).max(axis=1, keepdims=True))
        residual = exps / exps.sum(axis=1, keepdims=True) - wanted
        gradient = frames.T @ residual + np.r_[weights[:-1], np.zeros((1, len(phases)))]
        step = inverse @ gradient
        weights -= step
        if np.abs(step).max() < 1e-7:
            break
    return np.array(phases)[(test_frames @ weights).argmax(axis=1)]


def logistic_gradient(weights, offsets, frames, labels):
    """Gradient of the penalized sum of losses in the weights of standardized frames, [D, K]."""
    standardized = (frames - frames.mean(axis=0)) / frames.std(axis=0)
    exps = np.exp(standardized @ weights + offsets)
    wanted = np.eye(weights.shape[1])[labels]
    return standardized.T @ (exps / exps.sum(axis=1, keepdims=True) - wanted) + weights


def joined(clips):
    return np.concatenate([clip.values for clip in clips]).astype(np.float64), np.concatenate(
        [clip.labels for clip in clips]
    )


def progression_scores(train, test, num_phases):
    """R^2 of each key event on the test clips."""
    frames, test_frames = joined(train)[0], joined(test)[0]
    scores = []
    for phase in range(num_phases - 1):
        targets, test_targets = [], []
        for clips, into in ((train, targets), (test, test_targets)):
            for clip in clips:
                last = max(t for t, label in enumerate(clip.labels) if label == phase)
                into.extend((t - last) / len(clip) for t in range(len(clip)))
        fitted = LinearRegression().fit(frames, targets)
        scores.append(r2_score(test_targets, fitted.predict(test_frames)))
    return scores


def tau_b(order):
    """Kendall's tau-b between time and `order`, pair of frames by pair of frames; None where it is 0 / 0."""
    concordant = discordant = untied = pairs = 0
    for a in range(len(order)):
        for b in range(a + 1, len(order)):
            pairs += 1
            untied += order[a] != order[b]
            concordant += order[a] < order[b]
            discordant += order[a] > order[b]
    return (concordant - discordant) / math.sqrt(pairs * untied) if untied else None


def mean_tau(clips, frame_stride, distance="sqeuclidean"):
    taus = []
    for i, query in enumerate(clips):
        for j, other in enumerate(clips):
            if i != j:
                found = nearest_neighbors(query.values[::frame_stride], other.values[::frame_stride], distance)
                taus.append(tau_b(found))
    return statistics.mean(taus)


def phase_agreement(clips):
    shares = []
    for i, query in enumerate(clips):
        for j, other in enumerate(clips):
            if i != j:
                right = [t for t in range(len(query)) if query.labels[t] >= 0]
                seen = [t for t in range(len(other)) if other.labels[t] >= 0]
                found = nearest_neighbors(query.values[right], other.values[seen])
                same = [query.labels[t] == other.labels[seen[n]] for t, n in zip(right, found)]
                shares.append(sum(same) / len(same))
    return statistics.mean(shares)


def retrieval(clips, num_frames, distance="sqeuclidean"):
    """AP@K for each K, query by query."""
    precisions = {k: [] for k in num_frames}
    for i, query in enumerate(clips):
        for t in range(len(query)):
            if query.labels[t] >= 0:
                found = []
                for j, other in enumerate(clips):
                    for s in range(len(other)):
                        if i != j and other.labels[s] >= 0:
                            found.append((distance_between(query.values[t], other.values[s], distance), j, s))
                same = [clips[j].labels[s] == query.labels[t] for _, j, s in sorted(found)]
                for k in num_frames:
                    precisions[k].append(sum(same[:k]) / k)
    return [statistics.mean(precisions[k]) for k in num_frames]


def retrieval_chance(clips):
    shares = []
    for i, query in enumerate(clips):
        for label in query.labels[query.labels >= 0]:
            others = np.concatenate([clip.labels[clip.labels >= 0] for j, clip in enumerate(clips) if j != i])
            shares.append(float(np.mean(others == label)))
    return statistics.mean(shares)


def boundary_errors(clips, num_phases):
    """Error of each boundary of each ordered pair, for clips that have all phases once and in order."""
    errors = []
    for i, query in enumerate(clips):
        for j, other in enumerate(clips):
            for phase in range(num_phases - 1):
                if i != j:
                    before, after = boundary(query, phase)
                    found = nearest_neighbors(query.values[[before, after]], other.values)
                    put = statistics.mean(float(other.timestamps[t]) for t in found)
                    truth = statistics.mean(float(other.timestamps[t]) for t in boundary(other, phase))
                    errors.append(abs(put - truth))
    return errors


def alignment_errors(clips, truth, pairs, matches):
    """Means over pairs of progress, time and cycle error; matches(i, j) gives first matches both ways."""
    by_pair = []
    for i, j in pairs:
        forth, back = matches(i, j)
        own, other = truth[clips[i].name], truth[clips[j].name]
        errors = ([], [], [])
        for t in range(len(clips[i])):
            if math.isnan(own[t]):
                continue
            s = forth[t]
            if not math.isnan(other[s]):
                errors[0].append(abs(own[t] - other[s]))
            times = times_of(own[t], other, clips[j].timestamps)
            if times:
                put = clips[j].timestamps[s]
                inside = min(times) <= put <= max(times)
                errors[1].append(0.0 if inside else min(abs(put - time) for time in times))
            errors[2].append(abs(clips[i].timestamps[back[s]] - clips[i].timestamps[t]))
        by_pair.append([statistics.mean(map(float, column)) if column else None for column in errors])
    means = ([row[n] for row in by_pair if row[n] is not None] for n in range(3))
    return [statistics.mean(column) for column in means]


def times_of(wanted, progress, timestamps):
    """Every time at which the known progress is `wanted`: at frames, or between two neighboring known frames."""
    known = [t for t in range(len(progress)) if not math.isnan(progress[t])]
    times = [float(timestamps[t]) for t in known if progress[t] == wanted]
    for a, b in zip(known, known[1:]):
        if progress[a] < wanted < progress[b]:
            share = (wanted - progress[a]) / (progress[b] - progress[a])
            times.append(float(timestamps[a] + share * (timestamps[b] - timestamps[a])))
    return times


def neighbor_entropy(clips, distance="sqeuclidean"):
    entropies = []
    for i, query in enumerate(clips):
        for j, other in enumerate(clips):
            if i != j:
                found = nearest_neighbors(query.values, other.values, distance)
                shares = [found.count(s) / len(found) for s in set(found)]
                largest = math.log(min(len(query), len(other)))
                entropies.append(-sum(share * math.log(share) for share in shares) / largest)
    return statistics.mean(entropies)


def spread(clips):
    """Numbers of the covariance, by its definition."""
    frames = np.concatenate([clip.values for clip in clips]).astype(np.float64)
    covariance = np.cov(frames.T, bias=True)
    eigenvalues = np.clip(np.linalg.eigvalsh(covariance), 1e-300, None)
    shares = eigenvalues / eigenvalues.sum()
    traces = [np.trace(np.cov(clip.values.astype(np.float64).T, bias=True)) for clip in clips]
    within = sum(len(clip) * trace for clip, trace in zip(clips, traces)) / len(frames)
    return {
        "embedding_variance": frames.var(axis=0).mean(),
        "embedding_spread": frames.var(axis=0).mean() / np.square(frames).mean(),
        "embedding_rank": eigenvalues.sum() ** 2 / np.square(eigenvalues).sum(),
        "effective_rank": math.exp(-sum(share * math.log(share) for share in shares)),
        "variance_over_time": statistics.mean(map(float, traces)),
        "share_within_clips": within / np.trace(covariance),
    }


def warped_agreement(clips, pairs):
    shares = []
    for i, j in pairs:
        forth, _ = first_matches(clips[i].values, clips[j].values)
        labels = [(label, clips[j].labels[s]) for label, s in zip(clips[i].labels, forth)]
        shares.append(statistics.mean(float(one == other) for one, other in labels if one >= 0 and other >= 0))
    return statistics.mean(shares)


def warped_boundary_errors(clips, num_phases, pairs):
    errors = []
    for i, j in pairs:
        forth, _ = first_matches(clips[i].values, clips[j].values)
        times = clips[j].timestamps
        for phase in range(num_phases - 1):
            put = statistics.mean(float(times[forth[t]]) for t in boundary(clips[i], phase))
            errors.append(abs(put - statistics.mean(float(times[t]) for t in boundary(clips[j], phase))))
    return errors


def boundary(clip, phase):
    before = max(t for t, label in enumerate(clip.labels) if label == phase)
    after = min(t for t, label in enumerate(clip.labels) if label == phase + 1)
    return before, after


def grid(features, cells):
    """Mean of each cell of each frame, [T, cells cells C]."""
    num_frames, height, width, channels = features.shape
    pooled = np.zeros((num_frames, cells, cells, channels))
    for row in range(cells):
        for column in range(cells):
            rows = slice(math.floor(row * height / cells), math.ceil((row + 1) * height / cells))
            columns = slice(math.floor(column * width / cells), math.ceil((column + 1) * width / cells))
            pooled[:, row, column] = features[:, rows, columns].astype(np.float64).mean(axis=(1, 2))
    return pooled.reshape(num_frames, -1)
