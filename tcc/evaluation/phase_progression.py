"""Phase progression: how much of the time to each key event can be read off an embedding linearly?"""

from __future__ import annotations

from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
from scipy import linalg

from tcc.evaluation.clips import (
    CONSTANT,
    NO_LABEL,
    Usable,
    ascending_fractions,
    choose,
    first_fraction,
    has_label,
    is_constant,
    key_event_name,
    largest_number,
    phase_boundary,
    phase_runs,
    usable_splits,
)
from tcc.evaluation.result import TCC_SVM, MetricResult, left_out, nothing_left
from tcc.evaluation.threads import one_blas_thread
from tcc.sequences import ClipSequence

METRIC = "phase_progression"

# Below this ratio of Cholesky pivots the normal equations lose more than half of float64's digits.
_SMALLEST_PIVOT_RATIO = 1e-6


class _Frames(NamedTuple):
    """Embeddings [N, D] and targets [N, K - 1] of clips one after another."""

    embeddings: np.ndarray
    targets: np.ndarray
    bounds: np.ndarray


class _Moments(NamedTuple):
    """Sums over frames: their number, of x, of y, of x x^T and of x y^T."""

    num_frames: int
    embeddings: np.ndarray
    targets: np.ndarray
    gram: np.ndarray
    products: np.ndarray

    def plus(self, other: _Moments) -> _Moments:
        """The sums over both."""
        return _Moments(
            self.num_frames + other.num_frames,
            self.embeddings + other.embeddings,
            self.targets + other.targets,
            self.gram + other.gram,
            self.products + other.products,
        )


class ClipProgression(NamedTuple):
    """What a regression predicts for one clip, beside the truth, shares of the clip's length: see `phase_progression`.

    Attributes:
      name: of the clip. seconds: float64 [T].
      truth, predicted: y_k(t) of each key event k, float64 [T, K - 1].
      mean_absolute_error: over all frames and key events.
    """

    name: str
    seconds: np.ndarray
    truth: np.ndarray
    predicted: np.ndarray
    mean_absolute_error: float


def phase_progression(
    train: Sequence[ClipSequence],
    test: Sequence[ClipSequence],
    *,
    phases: Sequence[str],
    train_fractions: Sequence[float],
    split: str = "test",
) -> MetricResult:
    """R^2 of a linear regression from embeddings to the time since each key event, averaged over key events.

    y_k(t) = (t - e_k) / T   for frame t of T and e_k the last frame of phase k, k = 0..K-2
    R^2_k  = 1 - sum (y_k - w_k.x - b_k)^2 / sum (y_k - mean y_k)^2   over all test frames

    The regression is least squares; where the embeddings leave it open, the smallest w is taken.

    Args:
      train, test: embeddings [T, D] and labels [T] of clips. A clip counts if each phase occurs in it as one stretch
        and in order; all its frames are used, those without a label too.
      phases: names of the labels 0, 1, ...
      train_fractions: shares of the usable training clips, in (0, 1]; the first ones are used.
      split: name of the test clips' split.
    Returns: MetricResult; value is the mean R^2 with the largest fraction, count the test frames. details has one entry
      for each fraction and key event; errors there are shares of the clip's length.
    Raises: MetricUndefined if there are fewer than two phases, no clip is left, or the training embeddings are
      constant. ShapeError for unequal D or labels out of range; SettingsError for fractions out of range.
    Reference: Dwibedi et al., Temporal Cycle-Consistency Learning, CVPR 2019.
    """
    usable_train, usable_test, undefined = _usable_splits(train, test, phases, split)
    train_frames, test_frames = _join(usable_train, len(phases)), _join(usable_test, len(phases))
    largest = largest_number(train_frames.embeddings)
    _move_to_origin(train_frames, test_frames)
    with one_blas_thread():
        fractions = _fit_each(train_frames, test_frames, ascending_fractions(train_fractions), largest)
    undefined += [left_out(f"fraction {entry['fraction']:g}", CONSTANT) for entry in fractions if "scores" not in entry]
    if "scores" not in fractions[-1]:  # a smaller fraction is part of the largest
        raise nothing_left(METRIC, "fraction", undefined)
    scores, errors = fractions[-1]["scores"], fractions[-1]["errors"]
    events = [
        {"key_event": key_event_name(phases, k), "value": scores[k], "mean_absolute_error": errors[k]}
        for k in range(len(phases) - 1)
    ]
    return MetricResult(
        metric=METRIC,
        protocol=TCC_SVM,
        split=split,
        value=float(np.mean(scores)),
        count=len(test_frames.targets),
        undefined=undefined,
        details={
            "unit": "R^2",
            "count_of": "frames",
            "test_clips": len(test_frames.bounds) - 1,
            "fractions": [_describe(entry) for entry in fractions],
            "key_events": events,
        },
    )


def predict_progression(
    train: Sequence[ClipSequence], test: Sequence[ClipSequence], *, phases: Sequence[str], train_fraction: float = 1.0
) -> List[ClipProgression]:
    """The predictions that `phase_progression` scores with this fraction of the training clips, clip by clip.

    Args: as `phase_progression`.
    Returns: one entry for each test clip that counts, in their order.
    Raises: as `phase_progression`.
    """
    (fraction,) = ascending_fractions([train_fraction])
    usable_train, usable_test, undefined = _usable_splits(train, test, phases, "test")
    train_frames, test_frames = _join(usable_train, len(phases)), _join(usable_test, len(phases))
    largest = largest_number(train_frames.embeddings)
    _move_to_origin(train_frames, test_frames)
    end = train_frames.bounds[first_fraction(len(usable_train), fraction)]
    if is_constant(train_frames.embeddings[:end], largest=largest):
        raise nothing_left(METRIC, "fraction", [*undefined, left_out(f"fraction {fraction:g}", CONSTANT)])
    with one_blas_thread():
        weights, offsets = least_squares(train_frames.embeddings[:end], train_frames.targets[:end])
        predicted = test_frames.embeddings @ weights + offsets
    clips = []
    for clip, start, stop in zip(usable_test, test_frames.bounds[:-1], test_frames.bounds[1:]):
        truth, own = test_frames.targets[start:stop], predicted[start:stop]
        clips.append(ClipProgression(clip.name, clip.timestamps, truth, own, float(np.abs(own - truth).mean())))
    return clips


def progression_targets(labels: np.ndarray, num_phases: int) -> np.ndarray:
    """Time since each key event as a share of the clip, (t - e_k) / T, float64 [T, K - 1].

    Args: labels [T] in which each phase is one stretch and they come in order.
    """
    frames = np.arange(len(labels))
    last = np.array([frames[labels == phase][-1] for phase in range(num_phases - 1)])
    return (frames[:, None] - last) / len(labels)


def least_squares(embeddings: np.ndarray, targets: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """Weights [D, K] and offsets [K] of the least squares fit with the smallest weights; float64.

    By normal equations; where those are singular by the eigenvalues of the smaller Gram matrix.

    Args: embeddings [N, D] and targets [N, K] near the origin: sums of squares that are much larger than the variance
      lose its digits.
    """
    enough = len(embeddings) > embeddings.shape[1]
    return _least_squares(embeddings, targets, _moments(embeddings, targets) if enough else None)


def _least_squares(
    embeddings: np.ndarray, targets: np.ndarray, moments: Optional[_Moments]
) -> Tuple[np.ndarray, np.ndarray]:
    """The same with the sums over the frames where there are more of them than dimensions."""
    if moments is None:
        mean, target_mean, weights = embeddings.mean(axis=0), targets.mean(axis=0), None
    else:
        mean, target_mean = moments.embeddings / moments.num_frames, moments.targets / moments.num_frames
        weights = _solve_normal_equations(moments)
    if weights is None:
        weights = _smallest_weights(embeddings - mean, targets - target_mean)
    return weights, target_mean - mean @ weights


def _usable_splits(
    train: Sequence[ClipSequence], test: Sequence[ClipSequence], phases: Sequence[str], split: str
) -> Tuple[List[ClipSequence], List[ClipSequence], List[Dict[str, str]]]:
    if len(phases) < 2:
        raise nothing_left(METRIC, f"key event (it takes two phases, there are {len(phases)})", [])

    def usable(clips: Sequence[ClipSequence], where: str) -> Usable:
        return choose(clips, where, why_not=lambda clip: _why_without_key_events(clip, phases))

    return usable_splits(METRIC, train, test, phases, split, usable=usable)


def _join(clips: Sequence[ClipSequence], num_phases: int) -> _Frames:
    bounds = np.concatenate([[0], np.cumsum([len(clip) for clip in clips])])
    embeddings = np.empty((bounds[-1], clips[0].values.shape[1]))
    for clip, start in zip(clips, bounds):
        embeddings[start : start + len(clip)] = clip.values
    targets = np.concatenate([progression_targets(clip.labels, num_phases) for clip in clips])
    return _Frames(embeddings, targets, bounds)


def _move_to_origin(train: _Frames, test: _Frames) -> None:
    """Subtract the training mean in place, which no score notices."""
    mean = train.embeddings.mean(axis=0)
    for frames in (train, test):
        np.subtract(frames.embeddings, mean, out=frames.embeddings)


def _why_without_key_events(clip: ClipSequence, phases: Sequence[str]) -> Optional[str]:
    if not has_label(clip):
        return NO_LABEL
    runs = phase_runs(clip.labels)
    boundaries = [phase_boundary(runs, phase, phases) for phase in range(len(phases) - 1)]
    return next((boundary for boundary in boundaries if isinstance(boundary, str)), None)


def _fit_each(train: _Frames, test: _Frames, fractions: Sequence[float], largest: float) -> List[Dict[str, Any]]:
    """Fits on the first clips of each of the ascending fractions; the sums of one are begun with those of the one before."""
    entries: List[Dict[str, Any]] = []
    moments: Optional[_Moments] = None
    summed = 0  # frames
    for fraction in fractions:
        num_clips = first_fraction(len(train.bounds) - 1, fraction)
        end = int(train.bounds[num_clips])
        if end > train.embeddings.shape[1]:
            more = _moments(train.embeddings[summed:end], train.targets[summed:end])
            moments, summed = more if moments is None else moments.plus(more), end
        entries.append({"fraction": fraction, "train_clips": num_clips, **_fit(train, test, end, moments, largest)})
    return entries


def _fit(train: _Frames, test: _Frames, end: int, moments: Optional[_Moments], largest: float) -> Dict[str, Any]:
    if is_constant(train.embeddings[:end], largest=largest):
        return {}
    weights, offsets = _least_squares(train.embeddings[:end], train.targets[:end], moments)
    train_scores, _ = _score(train.embeddings[:end] @ weights + offsets, train.targets[:end])
    scores, errors = _score(test.embeddings @ weights + offsets, test.targets)
    return {"train_scores": train_scores, "scores": scores, "errors": errors}


def _score(predicted: np.ndarray, targets: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """R^2 and mean absolute error of each column."""
    residual = targets - predicted
    spread = np.square(targets - targets.mean(axis=0)).sum(axis=0)
    return 1 - np.square(residual).sum(axis=0) / spread, np.abs(residual).mean(axis=0)


def _describe(entry: Dict[str, Any]) -> Dict[str, Any]:
    described = {key: entry[key] for key in ("fraction", "train_clips")}
    if "scores" not in entry:
        return {**described, "value": None, "train_value": None}
    return {**described, "value": np.mean(entry["scores"]), "train_value": np.mean(entry["train_scores"])}


def _moments(embeddings: np.ndarray, targets: np.ndarray) -> _Moments:
    with_ones = np.concatenate([targets, np.ones((len(targets), 1))], axis=1)
    products = embeddings.T @ with_ones
    return _Moments(len(embeddings), products[:, -1], targets.sum(axis=0), embeddings.T @ embeddings, products[:, :-1])


def _solve_normal_equations(moments: _Moments) -> Optional[np.ndarray]:
    """Weights, or None where the equations are singular or nearly so."""
    total, mean = moments.embeddings, moments.embeddings / moments.num_frames
    gram = moments.gram - np.outer(total, mean)
    products = moments.products - np.outer(mean, moments.targets)
    try:
        factor = linalg.cho_factor(gram, lower=True)
    except linalg.LinAlgError:
        return None
    pivots = factor[0].diagonal()
    if pivots.min() < _SMALLEST_PIVOT_RATIO * pivots.max():
        return None
    return linalg.cho_solve(factor, products)


def _smallest_weights(centred: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    wide = centred.shape[1] > len(centred)
    gram = centred @ centred.T if wide else centred.T @ centred
    values, vectors = linalg.eigh(gram)
    kept = values > values[-1] * max(centred.shape) * np.finfo(np.float64).eps
    values, vectors = values[kept], vectors[:, kept]
    if wide:
        return centred.T @ (vectors @ ((vectors.T @ wanted) / values[:, None]))
    return vectors @ ((vectors.T @ (centred.T @ wanted)) / values[:, None])
