"""How much faster are the metrics than the reference's way of computing them, on the same clips and with equal results?

    python benchmarks/evaluation.py                 # 70 + 14 clips of about 200 frames, 128-d; some minutes
    python benchmarks/evaluation.py --small         # seconds, to see that it runs
    python benchmarks/evaluation.py --whole         # seconds of evaluate() with all baselines, 60 + 20 clips

The reference's way: one SVC fit and libsvm's own predictions per fraction or episode (episodes in threads), a Python
loop over pairs with cdist and scipy's kendalltau, one regression per key event, a Python loop over the cells of dynamic
time warping. Both are run in turn, repeat after repeat; the ratio is that of the medians. Processor seconds count all
threads and tell more where other work shares the machine.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from scipy.spatial.distance import cdist
from scipy.stats import kendalltau
from sklearn.linear_model import LinearRegression
from sklearn.svm import SVC

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tcc.alignment import dynamic_time_warping, nearest_neighbors
from tcc.config import EvaluationConfig
from tcc.evaluation import (
    draw_episodes,
    evaluate,
    few_shot_classification,
    kendalls_tau,
    phase_classification,
    phase_progression,
    standard_baselines,
)
from tcc.evaluation.phase_progression import progression_targets
from tcc.sequences import ClipSequence

PHASES = ("reach", "lift", "pour", "put", "leave")
FRACTIONS = (0.1, 0.5, 1.0)


def synthetic_clips(*, count, frames, size, seed):
    """Clips whose embeddings move through one place for each phase, as those of a fairly good model do."""
    places = np.random.default_rng(0).normal(size=(len(PHASES), *size))
    rng = np.random.default_rng(seed)
    clips = []
    for index in range(count):
        length = int(rng.integers(frames // 2, frames * 3 // 2))
        time_passed = np.arange(length) / length
        ends = np.cumsum(rng.dirichlet(np.full(len(PHASES), 4.0)))
        labels = np.searchsorted(ends[:-1], time_passed, side="right")
        weights = np.exp(-np.square(time_passed[:, None] - ends + 0.1) / 0.02)
        values = np.tensordot(weights, places, 1) + 0.8 * rng.standard_normal((length, *size))
        clips.append(ClipSequence(f"clip{index}", np.arange(length) / 10, labels, values.astype(np.float32)))
    return clips


def join(clips):
    return np.concatenate([clip.values for clip in clips]), np.concatenate([clip.labels for clip in clips])


def fit_and_score(train, test):
    frames, labels = join(train)
    machine = SVC().fit(frames, labels)
    return machine.score(frames, labels), machine.score(*join(test))


def reference_classification(train, test):
    return [fit_and_score(train[: max(1, int(fraction * len(train)))], test)[1] for fraction in FRACTIONS]


def our_classification(train, test):
    result = phase_classification(train, test, phases=PHASES, train_fractions=FRACTIONS)
    return [entry["value"] for entry in result.details["fractions"]]


def reference_few_shot(train, test, episodes):
    means = []
    for drawn in episodes.values():
        with ThreadPoolExecutor(max_workers=60) as pool:
            scores = list(pool.map(lambda episode: fit_and_score([train[clip] for clip in episode], test), drawn))
        means.append(np.mean([score[1] for score in scores]))
    return means


def our_few_shot(train, test, episodes):
    result = few_shot_classification(
        train, test, phases=PHASES, num_videos=list(episodes), num_episodes=1, seed=0, episodes=episodes
    )
    return [entry["value"] for entry in result.details["videos"]]


def reference_taus(train, test, stride):
    means = []
    for clips in (train, test):
        taus = []
        for i, query in enumerate(clips):
            for j, other in enumerate(clips):
                if i != j:
                    distances = cdist(query.values[::stride], other.values[::stride], "sqeuclidean")
                    taus.append(kendalltau(np.arange(len(distances)), np.argmin(distances, axis=1))[0])
        means.append(np.nanmean(taus))
    return means


def our_taus(train, test, stride):
    return [kendalls_tau(clips, frame_stride=stride).value for clips in (train, test)]


def reference_progression(train, test):
    means = []
    for fraction in FRACTIONS:
        part = train[: max(1, int(fraction * len(train)))]
        data = [
            (join(clips)[0], np.concatenate([progression_targets(c.labels, len(PHASES)) for c in clips]))
            for clips in (part, test)
        ]
        scores = []
        for event in range(len(PHASES) - 1):
            (frames, targets), (test_frames, test_targets) = data
            fitted = LinearRegression().fit(frames, targets[:, event])
            fitted.score(frames, targets[:, event])
            scores.append(fitted.score(test_frames, test_targets[:, event]))
        means.append(np.mean(scores))
    return means


def our_progression(train, test):
    result = phase_progression(train, test, phases=PHASES, train_fractions=FRACTIONS)
    return [entry["value"] for entry in result.details["fractions"]]


def reference_warping(query, candidates):
    """A distance per call, then cell by cell the least of a list, then the way back: as the package that it uses."""
    rows, columns = len(query), len(candidates)
    total = np.full((rows + 1, columns + 1), np.inf)
    total[0, 0] = 0
    for i in range(rows):
        for j in range(columns):
            total[i + 1, j + 1] = squared_distance(query[i], candidates[j])
    for i in range(rows):
        for j in range(columns):
            ways = [total[i, j]]
            for step in range(1, 2):  # the package's window
                ways += [total[min(i + step, rows), j], total[i, min(j + step, columns)]]
            total[i + 1, j + 1] += min(ways)
    i, j = rows - 1, columns - 1
    path = [(i, j)]
    while i or j:
        step = np.argmin((total[i, j], total[i, j + 1], total[i + 1, j]))
        i, j = (i - 1, j - 1) if step == 0 else (i - 1, j) if step == 1 else (i, j - 1)
        path.append((i, j))
    return [total[-1, -1], len(path)]


def squared_distance(a, b):
    return np.sum((a - b) ** 2)


def our_warping(query, candidates):
    path = dynamic_time_warping(query, candidates)
    return [path.cost, len(path.query_indices)]


def compare(name, reference, ours, *arguments, repeats, tolerance):
    """Print medians of seconds and of processor seconds, their ratios, and the largest difference of the results."""
    seconds = {function: ([], []) for function in (reference, ours)}
    results = {}
    for _ in range(repeats):
        for function in (reference, ours):
            started = time.perf_counter(), time.process_time()
            results[function] = np.array(function(*arguments), dtype=np.float64)
            for times, now, before in zip(seconds[function], (time.perf_counter(), time.process_time()), started):
                times.append(now - before)
    slow, slow_cpu, fast, fast_cpu = (statistics.median(times) for f in (reference, ours) for times in seconds[f])
    difference = np.abs(results[reference] - results[ours]).max()
    verdict = "equal" if difference <= tolerance else "DIFFERENT"
    print(
        f"{name:<24} {slow:9.4f} {fast:9.4f} {slow / fast:7.1f} {slow_cpu:9.4f} {fast_cpu:9.4f} "
        f"{slow_cpu / fast_cpu:7.1f}   {verdict} (at most {difference:.1e})",
        flush=True,
    )
    return difference <= tolerance


def compare_all(arguments) -> bool:
    train, test = (
        synthetic_clips(count=count, frames=arguments.frames, size=(arguments.size,), seed=seed)
        for seed, count in ((1, arguments.train), (2, arguments.test))
    )
    episodes = {k: draw_episodes(len(train), k, arguments.episodes, seed=0) for k in range(1, arguments.videos + 1)}
    long = synthetic_clips(count=2, frames=600, size=(arguments.size,), seed=3)
    query, candidates = (clip.values[:300].astype(np.float64) for clip in long)
    frames = [sum(len(clip) for clip in clips) for clips in (train, test)]
    print(f"{len(train)} + {len(test)} clips, {frames[0]} + {frames[1]} frames, {arguments.size}-d")
    columns = " ".join(f"{word:>9}" for word in ("reference", "ours"))
    print(f"{'seconds':<24} {columns} {'ratio':>7} {columns} {'ratio':>7}   results; the second three: of processor")
    times = {"repeats": arguments.repeats}
    # The reference's regression is solved in float32; in few-shot a frame between two phases may fall to the other.
    rows = [
        compare(
            "phase classification", reference_classification, our_classification, train, test, tolerance=1e-3, **times
        ),
        compare("few-shot", reference_few_shot, our_few_shot, train, test, episodes, tolerance=1e-3, **times),
        *(
            compare(
                f"tau, stride {stride}",
                reference_taus,
                our_taus,
                train,
                test,
                stride,
                tolerance=1e-9,
                **times,
            )
            for stride in (5, 2)
        ),
        compare("progression", reference_progression, our_progression, train, test, tolerance=1e-3, **times),
        compare("warping 300 x 300", reference_warping, our_warping, query, candidates, tolerance=1e-6, **times),
        compare(
            "nearest neighbors 300",
            lambda a, b: np.argmin(cdist(a, b, "sqeuclidean"), axis=1),
            nearest_neighbors,
            query,
            candidates,
            tolerance=0,
            **times,
        ),
    ]
    return all(rows)


def time_evaluate(arguments) -> None:
    count = {"train": 4, "test": 3} if arguments.small else {"train": 60, "test": 20}
    train, test = (
        synthetic_clips(count=count[split], frames=90, size=(arguments.size,), seed=seed)
        for seed, split in ((1, "train"), (2, "test"))
    )
    features = []
    for clips in (train, test):  # noisy copies of the embeddings in each place, so that they tell something
        channels = [np.repeat(clip.values[:, None, None, :112], 49, axis=1).reshape(-1, 7, 7, 112) for clip in clips]
        rng = np.random.default_rng(4)
        noisy = [(c + rng.standard_normal(c.shape, dtype=np.float32)).astype(np.float16) for c in channels]
        features.append([ClipSequence(c.name, c.timestamps, c.labels, n) for c, n in zip(clips, noisy)])
    started = time.perf_counter()
    baselines = standard_baselines(train, test, features=tuple(features), components=EvaluationConfig().pca_components)
    prepared, processor = time.perf_counter(), time.process_time()
    truth = {clip.name: np.linspace(0, 1, len(clip)) for clip in test}
    evaluate(train, test, phases=PHASES, split="test", config=EvaluationConfig(), baselines=baselines, truth=truth)
    done, processor = time.perf_counter(), time.process_time() - processor
    frames = [sum(len(clip) for clip in clips) for clips in (train, test)]
    print(f"{len(train)} + {len(test)} clips, {frames[0]} + {frames[1]} frames, {arguments.size}-d")
    print(f"baselines: {', '.join(baselines)}")
    print(
        f"prepared in {prepared - started:.1f} s, evaluated in {done - prepared:.1f} s ({processor:.1f} s of processor)"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", type=int, default=70, help="training clips")
    parser.add_argument("--test", type=int, default=14, help="test clips")
    parser.add_argument("--frames", type=int, default=200, help="frames of a clip, on average")
    parser.add_argument("--size", type=int, default=128, help="D, embedding size")
    parser.add_argument("--videos", type=int, default=10, help="few-shot: k = 1 to this")
    parser.add_argument("--episodes", type=int, default=50, help="few-shot: episodes for each k")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--small", action="store_true", help="few and short clips: does it run?")
    parser.add_argument("--whole", action="store_true", help="time evaluate() with all baselines instead")
    arguments = parser.parse_args()
    if arguments.small:
        arguments.train, arguments.test, arguments.frames, arguments.videos, arguments.episodes = 12, 4, 60, 3, 5
    print(f"load when started: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    if arguments.whole:
        time_evaluate(arguments)
        return 0
    return 0 if compare_all(arguments) else 1


if __name__ == "__main__":
    sys.exit(main())
