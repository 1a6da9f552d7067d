"""All metrics of one run, with the baselines beside the model."""

from __future__ import annotations

import functools
import hashlib
from typing import Any, Callable, Dict, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from tcc.config import METRIC_SETTINGS, EvaluationConfig
from tcc.errors import MetricUndefined
from tcc.evaluation.alignment import NO_PROGRESS, Truth, alignment
from tcc.evaluation.boundary_transfer import boundary_transfer
from tcc.evaluation.clips import check_clips, has_label
from tcc.evaluation.collapse import collapse
from tcc.evaluation.few_shot_classification import few_shot_classification
from tcc.evaluation.kendalls_tau import kendalls_tau
from tcc.evaluation.linear_classification import linear_classification
from tcc.evaluation.matching import Matching
from tcc.evaluation.phase_agreement import phase_agreement
from tcc.evaluation.phase_classification import phase_classification
from tcc.evaluation.phase_progression import phase_progression
from tcc.evaluation.result import ALIGNMENT, COLLAPSE, CROSS_CLIP, LINEAR, RETRIEVAL, TCC_SVM, MetricResult, left_out
from tcc.evaluation.retrieval import retrieval
from tcc.progress import Progress, silent
from tcc.sequences import ClipSequence, digest

NO_LABELS = "skipped: no labels"
NO_TRUTH = f"skipped: {NO_PROGRESS}"
_OF_A_BASELINE = ("value", "interval", "interval_over", "count", "undefined", "details")

Clips = Sequence[ClipSequence]
Recall = Callable[[Dict[str, Any], Callable[[], Dict[str, Any]]], Dict[str, Any]]


class _Subject(NamedTuple):
    """Embeddings that are measured: of the training clips and the evaluated ones, and the matches between the latter."""

    train: Clips
    test: Clips
    matching: Matching


_Measure = Callable[[_Subject, Progress], MetricResult]


class _Metric(NamedTuple):
    """One metric with its settings: measure(subject, progress)."""

    name: str
    protocol: str
    skipped: str  # why it is not measured, or empty
    work: int  # share of the whole, for the progress bar
    measure: _Measure


def evaluate(
    train: Clips,
    test: Clips,
    *,
    phases: Sequence[str],
    split: str,
    config: EvaluationConfig,
    baselines: Optional[Mapping[str, Tuple[Clips, Clips]]] = None,
    truth: Optional[Truth] = None,
    recall: Recall = lambda depends_on, measure: measure(),
    progress: Progress = silent,
) -> Dict[str, Dict[str, Any]]:
    """Measure a model's embeddings and every baseline by all metrics.

    Args:
      train, test: the model's embeddings [T, D] of the training clips and of the clips of `split`.
      phases: names of the labels 0, 1, ...; empty where there are none.
      split: name of the evaluated split.
      config: settings of the metrics. The distance is squared Euclidean for embeddings of size 1 (clocks) whatever it
        says.
      baselines: other embeddings (train, test) of the same clips by name, e.g. from `standard_baselines`.
      truth: true progress of the clips of `split` as `alignment` takes it, or None.
      recall: recall(depends_on, measure) returns measure(), or what it returned before for the same `depends_on`: a
        dictionary ready for JSON of metric, protocol, settings, split, phases and digests of the embeddings and the truth.
      progress: told the share of the work done.
    Returns: one dictionary for each metric, by name, ready for JSON: {"metric", "protocol", "split", "value", "interval",
      "interval_over", "count", "undefined", "details", "baselines": {name: {"value", "interval", "interval_over", "count",
      "undefined", "details"}}}. A metric that has no value has value None and the reason in "undefined"; without labels,
      that is "skipped: no labels" for those that need them, and without `truth` "skipped: true progress is not known".
    Raises: ShapeError for embeddings or labels that do not fit together.
    """
    subjects: Dict[Optional[str], _Subject] = {None: _subject(train, test, config)}
    subjects.update({name: _subject(*clips, config) for name, clips in (baselines or {}).items()})
    why_skipped = _why_skipped(train, test, phases, truth)
    metrics = _metrics(phases, split, config, truth or {}, why_skipped)
    digests = {name: [digest(subject.train), digest(subject.test)] for name, subject in subjects.items()}
    total, done = sum(metric.work for metric in metrics) * len(subjects), 0
    results: Dict[str, Dict[str, Any]] = {}
    for metric in metrics:
        measured = {}
        for name, subject in subjects.items():
            report = _inner(progress, done, metric.work, total, f"{metric.name}, {name or 'model'}")
            report(0, "")
            if metric.skipped:
                measured[name] = _skipped(metric, split)
            else:
                measured[name] = recall(
                    {**_identity(metric, phases, split, config, truth), "clips": digests[name]},
                    functools.partial(_measure, metric, subject, split, report),
                )
            done += metric.work
        results[metric.name] = {
            **measured.pop(None),
            "baselines": {name: {key: result[key] for key in _OF_A_BASELINE} for name, result in measured.items()},
        }
    progress(1.0, "evaluated")
    return results


def measure_metric(
    name: str,
    train: Clips,
    test: Clips,
    *,
    phases: Sequence[str],
    split: str,
    config: EvaluationConfig,
    truth: Optional[Truth] = None,
) -> Dict[str, Any]:
    """One metric, by its name, of one set of embeddings; what it returns and raises is as for `evaluate`."""
    metrics = _metrics(phases, split, config, truth or {}, _why_skipped(train, test, phases, truth))
    (metric,) = (metric for metric in metrics if metric.name == name)
    if metric.skipped:
        return _skipped(metric, split)
    return _measure(metric, _subject(train, test, config), split, silent)


def _identity(
    metric: _Metric, phases: Sequence[str], split: str, config: EvaluationConfig, truth: Optional[Truth]
) -> Dict[str, Any]:
    """All that a metric's result depends on besides the clips."""
    settings = {option: getattr(config, option) for option in METRIC_SETTINGS[metric.name]}
    own = {"metric": metric.name, "protocol": metric.protocol, "settings": settings}
    if metric.name == "alignment":
        own["truth"] = _digest_of_truth(truth or {})
    return {**own, "phases": list(phases), "split": split}


def _digest_of_truth(truth: Truth) -> str:
    whole = hashlib.sha256()
    for name in sorted(truth):
        progress = np.ascontiguousarray(truth[name], np.float64)
        whole.update(repr((name, progress.shape)).encode("utf-8", "surrogateescape"))
        whole.update(progress.tobytes())
    return whole.hexdigest()


class _WhySkipped(NamedTuple):
    """Why metrics that need labels, or the true progress, are not measured; empty where they are."""

    labels: str
    truth: str


def _why_skipped(train: Clips, test: Clips, phases: Sequence[str], truth: Optional[Truth]) -> _WhySkipped:
    labelled = bool(phases) and any(has_label(clip) for clip in [*train, *test])
    return _WhySkipped("" if labelled else NO_LABELS, "" if truth else NO_TRUTH)


def _subject(train: Clips, test: Clips, config: EvaluationConfig) -> _Subject:
    check_clips("test", test)
    return _Subject(train, test, Matching(test, distance=_distance(test, config)))


def _metrics(
    phases: Sequence[str], split: str, config: EvaluationConfig, truth: Truth, why: _WhySkipped
) -> Sequence[_Metric]:
    fractions = {"phases": phases, "train_fractions": config.train_fractions, "split": split}
    trims = {
        "phases": phases,
        "trim_start_seconds": config.trim_start_seconds,
        "trim_end_seconds": config.trim_end_seconds,
        "dtw_pairs": config.dtw_pairs,
        "seed": config.seed,
        "split": split,
    }

    def few_shot(subject: _Subject, progress: Progress) -> MetricResult:
        return few_shot_classification(
            subject.train,
            subject.test,
            phases=phases,
            num_videos=config.few_shot_videos,
            num_episodes=config.few_shot_episodes,
            seed=config.seed,
            split=split,
            progress=progress,
        )

    def retrieve(subject: _Subject, progress: Progress) -> MetricResult:
        frames, distance = config.retrieval_frames, _distance(subject.test, config)
        return retrieval(subject.test, phases=phases, num_frames=frames, distance=distance, split=split)

    def tau(subject: _Subject, progress: Progress) -> MetricResult:
        distance = _distance(subject.test, config)
        return kendalls_tau(subject.test, frame_stride=config.tau_frame_stride, distance=distance, split=split)

    def aligned(subject: _Subject, progress: Progress) -> MetricResult:
        return alignment(
            subject.test,
            truth=truth,
            dtw_pairs=config.dtw_pairs,
            seed=config.seed,
            distance=_distance(subject.test, config),
            split=split,
            matching=subject.matching,
        )

    def collapsed(subject: _Subject, progress: Progress) -> MetricResult:
        distance, stride = _distance(subject.test, config), config.tau_frame_stride
        return collapse(subject.test, frame_stride=stride, distance=distance, split=split, matching=subject.matching)

    def on_both(measure: Callable[..., MetricResult]) -> _Measure:
        return lambda subject, progress: measure(subject.train, subject.test, **fractions)

    def across(measure: Callable[..., MetricResult]) -> _Measure:
        return lambda subject, progress: measure(
            subject.test, distance=_distance(subject.test, config), matching=subject.matching, **trims
        )

    return (
        _Metric("phase_classification", TCC_SVM, why.labels, 4, on_both(phase_classification)),
        _Metric("linear_classification", LINEAR, why.labels, 4, on_both(linear_classification)),
        _Metric("few_shot_classification", TCC_SVM, why.labels, 10, few_shot),
        _Metric("phase_progression", TCC_SVM, why.labels, 1, on_both(phase_progression)),
        _Metric("retrieval", RETRIEVAL, why.labels, 1, retrieve),
        _Metric("kendalls_tau", TCC_SVM, "", 1, tau),
        _Metric("phase_agreement", CROSS_CLIP, why.labels, 1, across(phase_agreement)),
        _Metric("boundary_transfer", CROSS_CLIP, why.labels, 1, across(boundary_transfer)),
        _Metric("alignment", ALIGNMENT, why.truth, 1, aligned),
        _Metric("collapse", COLLAPSE, "", 1, collapsed),
    )


def _distance(clips: Clips, config: EvaluationConfig) -> str:
    # The cosine between two numbers is 1 or -1: a clock would have no nearest neighbors.
    return "sqeuclidean" if clips and clips[0].values.shape[1:] == (1,) else config.distance


def _measure(metric: _Metric, subject: _Subject, split: str, progress: Progress) -> Dict[str, Any]:
    try:
        return metric.measure(subject, progress).as_dict()
    except MetricUndefined as reason:
        return _without_value(metric, split, str(reason))


def _skipped(metric: _Metric, split: str) -> Dict[str, Any]:
    return _without_value(metric, split, metric.skipped)


def _without_value(metric: _Metric, split: str, reason: str) -> Dict[str, Any]:
    return MetricResult(metric.name, metric.protocol, split, None, 0, [left_out("all", reason)]).as_dict()


def _inner(progress: Progress, done: int, work: int, total: int, what: str) -> Progress:
    def report(fraction: float, status: str) -> None:
        progress((done + work * fraction) / total, what)

    return report
