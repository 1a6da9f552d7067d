"""Phase classification: can a simple classifier tell the phase from one frame's embedding?"""

from __future__ import annotations

from typing import Any, Dict, List, Sequence, Union

from tcc.evaluation.clips import ascending_fractions, first_fraction, usable_labelled, usable_splits
from tcc.evaluation.confusion import confusion_of, phases_without_frame
from tcc.evaluation.result import TCC_SVM, MetricResult, left_out, nothing_left
from tcc.evaluation.support_vectors import PhaseClassifier, Scores
from tcc.sequences import ClipSequence

METRIC = "phase_classification"


def phase_classification(
    train: Sequence[ClipSequence],
    test: Sequence[ClipSequence],
    *,
    phases: Sequence[str],
    train_fractions: Sequence[float],
    split: str = "test",
) -> MetricResult:
    """Accuracy over the labelled test frames of an RBF SVM trained on the first clips of the training split.

    accuracy = (frames whose phase is predicted right) / (labelled frames)

    Args:
      train, test: embeddings [T, D] and labels [T] of clips; frames without a label are left aside.
      phases: names of the labels 0, 1, ...
      train_fractions: shares of the N usable training clips, in (0, 1]; the first max(1, int(fraction N)) are used.
      split: name of the test clips' split.
    Returns: MetricResult; value is the accuracy with the largest fraction, count the test frames. details["fractions"]
      has one entry for each fraction, details["confusion"] rows of true, columns of predicted phases (frames).
    Raises: MetricUndefined if no training or test clip is left, the training clips hold a single phase or their
      embeddings are constant. ShapeError for unequal D or labels out of range; SettingsError for fractions out of
      range.
    Reference: Dwibedi et al., Temporal Cycle-Consistency Learning, CVPR 2019.
    """
    usable_train, usable_test, undefined = usable_splits(METRIC, train, test, phases, split, usable=usable_labelled)
    classifier = PhaseClassifier(usable_train, usable_test)
    subsets = {
        fraction: tuple(range(first_fraction(len(usable_train), fraction)))
        for fraction in ascending_fractions(train_fractions)
    }
    outcomes = classifier.score_each(list(subsets.values()))
    fractions: List[Dict[str, Any]] = []
    for fraction, subset in subsets.items():
        scores = outcomes[subset]
        if isinstance(scores, str):
            undefined.append(left_out(f"fraction {fraction:g}", scores))
        fractions.append(_describe(fraction, len(subset), scores))
    if isinstance(scores, str):  # a smaller fraction is part of the largest
        raise nothing_left(METRIC, "fraction", [entry for entry in undefined if entry["what"].startswith("fraction")])
    return MetricResult(
        metric=METRIC,
        protocol=TCC_SVM,
        split=split,
        value=scores.test,
        count=len(classifier.test_labels),
        undefined=undefined,
        details={
            "unit": "share of frames",
            "count_of": "labelled frames",
            "fractions": fractions,
            "phases": list(phases),
            "confusion": confusion_of(classifier.test_labels, scores.test_predictions, len(phases)),
            "phases_without_training_frame": phases_without_frame(usable_train, phases),
            "phases_without_test_frame": phases_without_frame(usable_test, phases),
        },
    )


def _describe(fraction: float, num_clips: int, scores: Union[Scores, str]) -> Dict[str, Any]:
    test, train = (None, None) if isinstance(scores, str) else (scores.test, scores.train)
    return {"fraction": fraction, "train_clips": num_clips, "value": test, "train_value": train}
