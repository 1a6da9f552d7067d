"""Few-shot classification: phase classification when only a few videos are labelled."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple, Union

import numpy as np

from tcc.errors import SettingsError
from tcc.evaluation.clips import usable_labelled, usable_splits
from tcc.evaluation.result import TCC_SVM, MetricResult, left_out, mean_interval, nothing_left
from tcc.evaluation.support_vectors import PhaseClassifier, Scores, Subset
from tcc.progress import Progress, silent
from tcc.sequences import ClipSequence

METRIC = "few_shot_classification"


def few_shot_classification(
    train: Sequence[ClipSequence],
    test: Sequence[ClipSequence],
    *,
    phases: Sequence[str],
    num_videos: Sequence[int],
    num_episodes: int,
    seed: int,
    split: str = "test",
    episodes: Optional[Mapping[int, Sequence[Sequence[int]]]] = None,
    num_threads: int = 2,
    progress: Progress = silent,
) -> MetricResult:
    """Accuracy of the phase SVM trained on k clips drawn at random, averaged over episodes.

    mean_k = 1/E sum_e accuracy_e        interval_k = mean_k +- t(0.975, E - 1) s_k / sqrt(E)

    Args:
      train, test, phases, split: as for `phase_classification`.
      num_videos: values of k, the number of labelled clips.
      num_episodes: E, draws (without replacement inside a draw) for each k.
      seed: draws for k come from default_rng([seed, k]).
      episodes: indices into the usable training clips for each k, instead of draws.
      num_threads: episodes fitted at the same time; changes no result.
      progress: told the share of fits done.
    Returns: MetricResult; value and interval are those of the largest k that is defined, count its episodes. details["videos"]
      has one entry for each k. A k above the number of usable training clips is left undefined.
    Raises: MetricUndefined if nothing is left; ShapeError for unequal D or labels out of range; SettingsError for
      numbers below 1.
    Reference: Dwibedi et al., Temporal Cycle-Consistency Learning, CVPR 2019.
    """
    if not num_videos or min(num_videos) < 1 or num_episodes < 1:
        raise SettingsError(
            f"num_videos and num_episodes: must be at least 1, got {list(num_videos)} and {num_episodes}"
        )
    usable_train, usable_test, undefined = usable_splits(METRIC, train, test, phases, split, usable=usable_labelled)
    drawn = {
        k: _tuples(episodes[k]) if episodes else draw_episodes(len(usable_train), k, num_episodes, seed=seed)
        for k in sorted(set(num_videos))
        if k <= len(usable_train)
    }
    scores = PhaseClassifier(usable_train, usable_test).score_each(
        [episode for draws in drawn.values() for episode in draws], num_threads=num_threads, progress=progress
    )
    entries = []
    for k in sorted(set(num_videos)):
        entry, reasons = _describe(k, drawn.get(k), scores, len(usable_train))
        entries.append(entry)
        undefined += reasons
    defined = [entry for entry in entries if entry["value"] is not None]
    if not defined:
        raise nothing_left(METRIC, "number of videos", undefined)
    return MetricResult(
        metric=METRIC,
        protocol=TCC_SVM,
        split=split,
        value=defined[-1]["value"],
        count=defined[-1]["episodes"],
        undefined=undefined,
        details={
            "unit": "share of frames",
            "count_of": "episodes",
            "value_at_videos": defined[-1]["num_videos"],
            "seed": None if episodes else seed,
            "videos": entries,
        },
        interval=defined[-1]["interval_95"],
        interval_over="episodes" if defined[-1]["interval_95"] else "",
    )


def draw_episodes(num_clips: int, num_videos: int, num_episodes: int, *, seed: int) -> List[Subset]:
    """`num_episodes` draws of `num_videos` different clips out of `num_clips`, each in ascending order."""
    rng = np.random.default_rng([seed, num_videos])
    # Sorted: the same set of clips then is the same fit, done once.
    return _tuples([sorted(rng.permutation(num_clips)[:num_videos]) for _ in range(num_episodes)])


def _tuples(episodes: Sequence[Sequence[int]]) -> List[Subset]:
    return [tuple(int(clip) for clip in episode) for episode in episodes]


def _describe(
    k: int,
    episodes: Optional[Sequence[Subset]],
    scores: Mapping[Subset, Union[Scores, str]],
    num_clips: int,
) -> Tuple[Dict[str, Any], List[Dict[str, str]]]:
    entry: Dict[str, Any] = {"num_videos": k, "value": None, "interval_95": None, "episodes": 0, "train_value": None}
    what = f"{k} labelled videos"
    if episodes is None:
        return entry, [left_out(what, f"there are only {num_clips} usable training clips")]
    kept, reasons = [], []
    for number, episode in enumerate(episodes):
        outcome = scores[episode]
        if isinstance(outcome, str):
            reasons.append(left_out(f"{what}, episode {number}", outcome))
        else:
            kept.append(outcome)
    if kept:
        accuracies = [score.test for score in kept]
        entry.update(
            value=float(np.mean(accuracies)),
            interval_95=mean_interval(accuracies),
            episodes=len(kept),
            train_value=float(np.mean([score.train for score in kept])),
        )
    return entry, reasons
