"""The reference's phase classifier, a support vector machine on single frames, without its slow kernel loops.

libsvm fits it; kernels and predictions are matrix products. Distances between frames are computed once and shared by
every subset of training clips, as long as they fit into memory.
"""

from __future__ import annotations

from typing import List, NamedTuple, Sequence, Tuple

import numpy as np
from sklearn.svm import SVC

from tcc.alignment.distance import expanded_squares
from tcc.errors import MetricUndefined
from tcc.evaluation.clips import CONSTANT, CONSTANT_TOLERANCE
from tcc.sequences import ClipSequence

MAX_TABLE_BYTES = 1 << 30  # larger tables of distances are not kept but computed for each subset
MAX_KERNEL_BYTES = 2 << 30  # larger kernels are left to libsvm, which computes them line by line, slowly
_BLOCK_ELEMENTS = 1 << 23  # 64 MB of kernel at a time when predicting


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
        self._frames = joined - joined[: len(self._labels)].mean(axis=0)
        fits = len(joined) * len(self._labels) * 8 <= MAX_TABLE_BYTES
        self._table = expanded_squares(self._frames, self._frames[: len(self._labels)]) if fits else None

    def score(self, clips: Sequence[int]) -> Scores:
        """Fit on the training clips of these indices; accuracy on their frames and on all test frames.

        Raises: MetricUndefined if the clips hold a single phase or have one embedding for all frames.
        """
        spans = self._spans(clips)
        labels = np.concatenate([self._labels[span] for span in spans])
        self._check(clips, labels)
        gamma = 1 / (self._frames.shape[1] * self._variance(clips))
        if len(labels) ** 2 * 8 <= MAX_KERNEL_BYTES:
            kernel = self._kernel(spans, spans, gamma)
            machine = SVC(kernel="precomputed").fit(kernel, labels)
            train_predictions = _vote(machine, kernel @ pairwise_weights(machine))
            del kernel
        else:
            machine = SVC(kernel="rbf", gamma=gamma).fit(_join(self._frames, spans), labels)
            train_predictions = self._predict(machine, spans, spans, gamma)
        test_span = slice(len(self._labels), len(self._frames))
        test_predictions = self._predict(machine, [test_span], spans, gamma)
        return Scores(
            float(np.mean(train_predictions == labels)),
            float(np.mean(test_predictions == self.test_labels)),
            test_predictions,
        )

    def _spans(self, clips: Sequence[int]) -> List[slice]:
        """The clips' frames, clips that follow each other as one span."""
        spans: List[slice] = []
        for clip in clips:
            start, end = int(self._bounds[clip]), int(self._bounds[clip + 1])
            if spans and spans[-1].stop == start:
                start = spans.pop().start
            spans.append(slice(start, end))
        return spans

    def _check(self, clips: Sequence[int], labels: np.ndarray) -> None:
        if labels.min() == labels.max():
            raise MetricUndefined("the training clips hold a single phase")
        lowest, highest = self._lowest[list(clips)].min(axis=0), self._highest[list(clips)].max(axis=0)
        if (highest - lowest).max() <= CONSTANT_TOLERANCE * np.abs([lowest, highest]).max():
            raise MetricUndefined(CONSTANT)

    def _variance(self, clips: Sequence[int]) -> float:
        """Variance over all numbers of the clips' embeddings, as gamma = "scale" takes it."""
        count, total, squares = self._moments[list(clips)].sum(axis=0)
        return squares / count - (total / count) ** 2

    def _kernel(self, query: Sequence[slice], spans: Sequence[slice], gamma: float) -> np.ndarray:
        """exp(-gamma |x - y|^2) of query frames x and training frames y."""
        if self._table is None:
            exponents = expanded_squares(_join(self._frames, query), _join(self._frames, spans))
        else:
            # Whole blocks of the table are copied much faster than single rows and columns.
            blocks = [np.concatenate([self._table[rows, span] for span in spans], axis=1) for rows in query]
            exponents = blocks[0] if len(blocks) == 1 else np.concatenate(blocks)
        exponents *= -gamma
        return np.exp(exponents, out=exponents)

    def _predict(self, machine: SVC, query: Sequence[slice], spans: Sequence[slice], gamma: float) -> np.ndarray:
        weights = pairwise_weights(machine)
        rows = max(1, _BLOCK_ELEMENTS // len(weights))
        blocks = [
            slice(start, min(start + rows, span.stop)) for span in query for start in range(span.start, span.stop, rows)
        ]
        return np.concatenate([_vote(machine, self._kernel([block], spans, gamma) @ weights) for block in blocks])


def _join(frames: np.ndarray, spans: Sequence[slice]) -> np.ndarray:
    return frames[spans[0]] if len(spans) == 1 else np.concatenate([frames[span] for span in spans])


def pairwise_weights(machine: SVC) -> np.ndarray:
    """Weight of each training frame in each decision between two phases, [N, K (K - 1) / 2].

    scikit-learn keeps them by support vector: row j - 1 of `dual_coef_` holds the weights of phase i's support vectors
    in the decision between i and j, row i those of phase j's (i < j).
    """
    starts = np.concatenate([[0], np.cumsum(machine.n_support_)])
    pairs = _pairs(len(machine.classes_))
    weights = np.zeros((machine.shape_fit_[0], len(pairs)))
    for column, (i, j) in enumerate(pairs):
        first, second = slice(starts[i], starts[i + 1]), slice(starts[j], starts[j + 1])
        weights[machine.support_[first], column] = machine.dual_coef_[j - 1, first]
        weights[machine.support_[second], column] = machine.dual_coef_[i, second]
    # With two phases scikit-learn turns the sign so that positive means the second.
    return -weights if len(pairs) == 1 else weights


def _pairs(num_phases: int) -> Sequence[Tuple[int, int]]:
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


def _moments(clips: Sequence[np.ndarray]) -> np.ndarray:
    """Per clip: how many numbers, their sum and the sum of their squares about a common origin; [N, 3]."""
    origin = np.mean([clip.mean() for clip in clips])
    return np.array([(clip.size, (clip - origin).sum(), np.square(clip - origin).sum()) for clip in clips])
