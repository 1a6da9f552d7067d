"""The reference's phase classifier, a support vector machine on single frames, without its slow kernel loops.

libsvm fits it; kernels and predictions are matrix products, in blocks small enough to stay in the processor's cache.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Dict, List, NamedTuple, Sequence, Tuple, Union

import numpy as np
from sklearn.svm import SVC

from tcc.errors import MetricUndefined
from tcc.evaluation.clips import CONSTANT, CONSTANT_TOLERANCE
from tcc.evaluation.threads import one_blas_thread
from tcc.progress import Progress, silent
from tcc.sequences import ClipSequence

# Up to this size D a distance is computed again sooner than memory for a table of all of them is had and read.
SMALL_SIZE = 256
MAX_TABLE_BYTES = 1 << 30
# Up to so many frames the kernel is handed to libsvm whole (32 MB); beyond, libsvm computes the lines that it needs.
MAX_KERNEL_FRAMES = 2048
_BLOCK_ELEMENTS = 1 << 20  # 8 MB of kernel at a time when predicting

Subset = Tuple[int, ...]


class Scores(NamedTuple):
    """Share of frames whose phase is predicted right; and the predictions for the test frames, int64."""

    train: float
    test: float
    test_predictions: np.ndarray


class PhaseClassifier:
    """Fits on any subset of the training clips and scores on all test clips.

    For each two phases f(x) = sum_i a_i exp(-gamma |x - x_i|^2) + b votes for the one or the other; the phase with most
    votes wins, of equal ones the first. C = 1 and gamma = 1 / (D var(X)), the defaults of scikit-learn.

    Args: labelled frames of clips with finite embeddings [T, D]; at least one clip each.
    """

    def __init__(self, train: Sequence[ClipSequence], test: Sequence[ClipSequence]) -> None:
        frames = [clip.values.astype(np.float64) for clip in train]
        self.test_labels = np.concatenate([clip.labels for clip in test])
        self._labels = np.concatenate([clip.labels for clip in train])
        self._bounds = np.concatenate([[0], np.cumsum([len(clip) for clip in train])])
        self._lowest = np.stack([clip.min(axis=0) for clip in frames])
        self._highest = np.stack([clip.max(axis=0) for clip in frames])
        self._moments = _moments(frames)
        joined = np.concatenate([*frames, *(clip.values for clip in test)])
        joined -= joined[: len(self._labels)].mean(axis=0)
        self._size = joined.shape[1]
        self._factors = _factors(joined)
        fits = len(joined) * len(self._labels) * 8 <= MAX_TABLE_BYTES
        self._table = None
        if self._size > SMALL_SIZE and fits:
            self._table = self._left(slice(None)) @ self._factors[: len(self._labels)].T
        self._memory = threading.local()

    def score_each(
        self, subsets: Sequence[Subset], *, num_threads: int = 2, progress: Progress = silent
    ) -> Dict[Subset, Union[Scores, str]]:
        """The scores of each different subset of training clips, or the reason why it has none.

        Args: `num_threads` fits at the same time, which changes no result; `progress` is told the share of fits done.
        """
        # The largest first: no thread is left alone with a long fit at the end.
        different = sorted(set(subsets), key=lambda subset: (-len(subset), subset))
        results: Dict[Subset, Union[Scores, str]] = {}
        with one_blas_thread(), ThreadPoolExecutor(num_threads) as pool:
            for done, (subset, result) in enumerate(
                zip(different, pool.map(self._score_or_reason, different)), start=1
            ):
                results[subset] = result
                progress(done / len(different), f"{done} of {len(different)} classifiers fitted")
        return results

    def score(self, clips: Subset) -> Scores:
        """Fit on the training clips of these indices; accuracy on their frames and on all test frames.

        Raises: MetricUndefined if the clips hold a single phase or have one embedding for all frames.
        """
        rows = np.concatenate([np.arange(self._bounds[clip], self._bounds[clip + 1]) for clip in clips])
        labels = self._labels[rows]
        self._check(clips, labels)
        gamma = 1 / (self._size * self._variance(clips))
        machine = self._fit(rows, labels, gamma)
        support, weights = rows[machine.support_], pairwise_weights(machine)
        test_rows = np.arange(len(self._labels), len(self._factors))
        train_predictions, test_predictions = (
            self._predict(machine, query, support, weights, gamma) for query in (rows, test_rows)
        )
        return Scores(
            float(np.mean(train_predictions == labels)),
            float(np.mean(test_predictions == self.test_labels)),
            test_predictions,
        )

    def _score_or_reason(self, clips: Subset) -> Union[Scores, str]:
        try:
            return self.score(clips)
        except MetricUndefined as reason:
            return str(reason)

    def _check(self, clips: Subset, labels: np.ndarray) -> None:
        if labels.min() == labels.max():
            raise MetricUndefined("the training clips hold a single phase")
        chosen = list(clips)
        lowest, highest = self._lowest[chosen].min(axis=0), self._highest[chosen].max(axis=0)
        if (highest - lowest).max() <= CONSTANT_TOLERANCE * np.abs([lowest, highest]).max():
            raise MetricUndefined(CONSTANT)

    def _variance(self, clips: Subset) -> float:
        """Variance over all numbers of the clips' embeddings, as gamma = "scale" takes it."""
        count, total, squares = self._moments[list(clips)].sum(axis=0)
        return squares / count - (total / count) ** 2

    def _fit(self, rows: np.ndarray, labels: np.ndarray, gamma: float) -> SVC:
        if self._table is None and len(rows) > MAX_KERNEL_FRAMES:
            return SVC(kernel="rbf", gamma=gamma).fit(np.ascontiguousarray(self._factors[rows, : self._size]), labels)
        return SVC(kernel="precomputed").fit(self._kernel(rows, rows, gamma), labels)

    def _predict(
        self, machine: SVC, query: np.ndarray, support: np.ndarray, weights: np.ndarray, gamma: float
    ) -> np.ndarray:
        step = max(1, _BLOCK_ELEMENTS // len(support))
        blocks = [query[start : start + step] for start in range(0, len(query), step)]
        return np.concatenate([_vote(machine, self._kernel(rows, support, gamma) @ weights) for rows in blocks])

    def _kernel(self, query: np.ndarray, rows: np.ndarray, gamma: float) -> np.ndarray:
        """exp(-gamma |x - y|^2) of query frames x and training frames y; overwritten by this thread's next one."""
        if self._table is None:
            out = self._buffer(len(query), len(rows))
            exponents = np.matmul(self._left(query), (gamma * self._factors[rows]).T, out=out)
        else:
            exponents = self._table[np.ix_(query, rows)]
            exponents *= gamma
        return np.exp(exponents, out=exponents)

    def _left(self, rows: Union[np.ndarray, slice]) -> np.ndarray:
        """[2 x, -|x|^2, 1] for the factors [x, 1, -|x|^2]: a product of both is -|x - y|^2, in one pass over memory."""
        factors = self._factors[rows]
        left = 2 * factors
        left[:, -2], left[:, -1] = factors[:, -1], 1
        return left

    def _buffer(self, *shape: int) -> np.ndarray:
        """Memory of this thread that is used again and again: fresh memory costs more than filling it."""
        size = int(np.prod(shape))
        buffer = getattr(self._memory, "buffer", np.empty(0))
        if buffer.size < size:
            self._memory.buffer = buffer = np.empty(size)
        return buffer[:size].reshape(shape)


def pairwise_weights(machine: SVC) -> np.ndarray:
    """Weight of each support vector in each decision between two phases, [S, K (K - 1) / 2].

    scikit-learn packs them: row j - 1 of `dual_coef_` holds the weights of phase i's support vectors in the decision
    between i and j, row i those of phase j's (i < j).
    """
    starts = np.concatenate([[0], np.cumsum(machine.n_support_)])
    pairs = _pairs(len(machine.classes_))
    weights = np.zeros((len(machine.support_), len(pairs)))
    for column, (i, j) in enumerate(pairs):
        first, second = slice(starts[i], starts[i + 1]), slice(starts[j], starts[j + 1])
        weights[first, column] = machine.dual_coef_[j - 1, first]
        weights[second, column] = machine.dual_coef_[i, second]
    # With two phases scikit-learn turns the sign so that positive means the second.
    return -weights if len(pairs) == 1 else weights


def _pairs(num_phases: int) -> List[Tuple[int, int]]:
    return [(i, j) for i in range(num_phases) for j in range(i + 1, num_phases)]


def _vote(machine: SVC, products: np.ndarray) -> np.ndarray:
    """Phase with most votes for each row of kernel @ weights."""
    pairs = _pairs(len(machine.classes_))
    intercepts = -machine.intercept_ if len(pairs) == 1 else machine.intercept_
    votes = np.zeros((len(products), len(machine.classes_)), dtype=np.int64)
    for (i, j), decision in zip(pairs, (products + intercepts).T):
        votes[:, i] += decision > 0
        votes[:, j] += decision <= 0
    return machine.classes_[votes.argmax(axis=1)]


def _factors(frames: np.ndarray) -> np.ndarray:
    """[x, 1, -|x|^2] for each frame x near the origin, [N, D + 2]."""
    factors = np.ones((len(frames), frames.shape[1] + 2))
    factors[:, :-2] = frames
    factors[:, -1] = -np.einsum("td,td->t", frames, frames)
    return factors


def _moments(clips: Sequence[np.ndarray]) -> np.ndarray:
    """Per clip: how many numbers, their sum and the sum of their squares about a common origin; [N, 3]."""
    origin = np.mean([clip.mean() for clip in clips])
    return np.array([(clip.size, (clip - origin).sum(), np.square(clip - origin).sum()) for clip in clips])
