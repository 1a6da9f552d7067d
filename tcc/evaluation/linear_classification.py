"""Linear classification: can a linear classifier tell the phase from one frame's embedding?"""

from __future__ import annotations

import warnings
from typing import Any, Dict, List, NamedTuple, Sequence, Tuple, Union

import numpy as np
from scipy import linalg
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from tcc.evaluation.clips import (
    CONSTANT,
    CONSTANT_TOLERANCE,
    ascending_fractions,
    first_fraction,
    is_constant,
    usable_labelled,
    usable_splits,
)
from tcc.evaluation.confusion import balanced_accuracy, confusion_of, phases_without_frame
from tcc.evaluation.result import LINEAR, MetricResult, left_out, nothing_left
from tcc.evaluation.threads import one_blas_thread
from tcc.sequences import ClipSequence

METRIC = "linear_classification"
PENALTY_C = 1.0
MAX_ITERATIONS = 1000
TOLERANCE = 1e-4  # of the largest component of the gradient


class LinearClassifier(NamedTuple):
    """Scores x W + b of standardized frames x; weights [D, K'], offsets [K'], K' = 1 for two phases.

    Attributes:
      mean, scale: [D], of the training frames; a dimension without variance has scale infinity and counts nothing.
      phases: the label of each score; with one score its sign chooses the second (positive) or the first.
      iterations: of the solver. converged: whether it reached TOLERANCE within MAX_ITERATIONS.
    """

    mean: np.ndarray
    scale: np.ndarray
    weights: np.ndarray
    offsets: np.ndarray
    phases: np.ndarray
    iterations: int
    converged: bool

    def predict(self, frames: np.ndarray) -> np.ndarray:
        """The most likely label of each frame [N, D], int64 [N]."""
        scores = (frames - self.mean) / self.scale @ self.weights + self.offsets
        chosen = (scores[:, 0] > 0).astype(np.int64) if scores.shape[1] == 1 else scores.argmax(axis=1)
        return self.phases[chosen]


class _Frames(NamedTuple):
    """Labelled frames of clips one after another: embeddings [N, D], labels [N], end of each clip."""

    embeddings: np.ndarray
    labels: np.ndarray
    ends: np.ndarray


def linear_classification(
    train: Sequence[ClipSequence],
    test: Sequence[ClipSequence],
    *,
    phases: Sequence[str],
    train_fractions: Sequence[float],
    split: str = "test",
) -> MetricResult:
    """Accuracy over the labelled test frames of a multinomial logistic regression on single frames.

    p(k | x) = softmax_k(w_k.x + b_k)     minimize sum_t -ln p(label_t | x_t) + 1 / (2 C) sum_k |w_k|^2,  C = 1

    x are embeddings less the mean of the training frames, divided by their standard deviation, dimension by dimension, so
    that neither the size of embeddings nor that of one dimension matters. The solver is L-BFGS from zero, until no
    component of the gradient of the mean exceeds TOLERANCE or for MAX_ITERATIONS.

    Args: as for `phase_classification`.
    Returns: MetricResult; value is the accuracy with the largest fraction, count the test frames. details has the
      macro-averaged accuracy ("balanced_value"), the confusion, and for each fraction whether the solver converged.
    Raises: as `phase_classification`.
    """
    usable_train, usable_test, undefined = usable_splits(METRIC, train, test, phases, split, usable=usable_labelled)
    train_frames, test_frames = _join(usable_train), _join(usable_test)
    fractions: List[Dict[str, Any]] = []
    predictions = test_frames.labels
    with one_blas_thread():
        for fraction in ascending_fractions(train_fractions):
            num_clips = first_fraction(len(usable_train), fraction)
            entry: Dict[str, Any] = {"fraction": fraction, "train_clips": num_clips}
            classifier = _fit_or_reason(train_frames, num_clips)
            if isinstance(classifier, str):
                undefined.append(left_out(f"fraction {fraction:g}", classifier))
                fractions.append({**entry, "value": None, "balanced_value": None, "train_value": None})
            else:
                predictions = classifier.predict(test_frames.embeddings)
                fractions.append({**entry, **_scores(classifier, train_frames, num_clips, test_frames, predictions)})
    if fractions[-1]["value"] is None:  # a smaller fraction is part of the largest
        raise nothing_left(METRIC, "fraction", [entry for entry in undefined if entry["what"].startswith("fraction")])
    return MetricResult(
        metric=METRIC,
        protocol=LINEAR,
        split=split,
        value=fractions[-1]["value"],
        count=len(test_frames.labels),
        undefined=undefined,
        details={
            "unit": "share of frames",
            "count_of": "labelled frames",
            "balanced_value": fractions[-1]["balanced_value"],
            "fractions": fractions,
            "phases": list(phases),
            "confusion": confusion_of(test_frames.labels, predictions, len(phases)),
            "phases_without_training_frame": phases_without_frame(usable_train, phases),
            "phases_without_test_frame": phases_without_frame(usable_test, phases),
        },
    )


def fit_linear(frames: np.ndarray, labels: np.ndarray) -> LinearClassifier:
    """The classifier of `linear_classification` for frames [N, D] of at least two labels.

    Where there are more dimensions than frames the weights lie in the span of the frames, and a fit on coordinates in it is
    the same fit.
    """
    mean = frames.mean(axis=0)
    standardized = frames - mean
    scale = np.sqrt(np.square(standardized).mean(axis=0))
    scale[scale <= CONSTANT_TOLERANCE * np.abs(frames).max(axis=0)] = np.inf
    standardized /= scale
    wide = standardized.shape[1] > len(standardized)
    coordinates, pivots = _coordinates(standardized) if wide else (standardized, np.arange(0))
    machine = LogisticRegression(C=PENALTY_C, max_iter=MAX_ITERATIONS, tol=TOLERANCE)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        machine.fit(coordinates, labels)
    weights = machine.coef_.T
    if wide:
        rank = len(pivots)
        own = linalg.solve_triangular(coordinates[pivots], weights, lower=True, trans="T")
        weights = standardized[pivots].T @ own[:rank]
    return LinearClassifier(
        mean,
        scale,
        weights,
        machine.intercept_,
        machine.classes_,
        iterations=int(machine.n_iter_.max()),
        converged=not any(issubclass(warning.category, ConvergenceWarning) for warning in caught),
    )


def _coordinates(frames: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """Coordinates L [N, R] of frames [N, D] in an orthonormal basis of their span, L L^T = X X^T, and R frames that span it.

    By pivoted Cholesky factors of the frames' products: those of the R frames are a lower triangle.
    """
    factor, order, rank, _ = linalg.lapack.dpstrf(frames @ frames.T, lower=1)
    coordinates = np.empty((len(frames), rank))
    coordinates[order - 1] = np.tril(factor)[:, :rank]
    return coordinates, order[:rank] - 1


def _join(clips: Sequence[ClipSequence]) -> _Frames:
    embeddings = np.concatenate([clip.values for clip in clips]).astype(np.float64)
    return _Frames(
        embeddings, np.concatenate([clip.labels for clip in clips]), np.cumsum([len(clip) for clip in clips])
    )


def _fit_or_reason(train: _Frames, num_clips: int) -> Union[LinearClassifier, str]:
    end = train.ends[num_clips - 1]
    if train.labels[:end].min() == train.labels[:end].max():
        return "the training clips hold a single phase"
    if is_constant(train.embeddings[:end]):
        return CONSTANT
    return fit_linear(train.embeddings[:end], train.labels[:end])


def _scores(
    classifier: LinearClassifier, train: _Frames, num_clips: int, test: _Frames, predictions: np.ndarray
) -> Dict[str, Any]:
    end = train.ends[num_clips - 1]
    return {
        "value": float(np.mean(predictions == test.labels)),
        "balanced_value": balanced_accuracy(test.labels, predictions),
        "train_value": float(np.mean(classifier.predict(train.embeddings[:end]) == train.labels[:end])),
        "iterations": classifier.iterations,
        "converged": classifier.converged,
    }
