"""Choosing a checkpoint on the validation split."""

from __future__ import annotations

import dataclasses
import functools
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence

from tcc.config import LOWER_IS_BETTER, READ_TRAINING_CLIPS, Settings, rule_config
from tcc.dataset import Clips
from tcc.embedding import embed_clips
from tcc.errors import CheckpointError
from tcc.evaluation import measure_metric
from tcc.progress import Progress, silent
from tcc.training.checkpoints import list_checkpoints, restore_encoder
from tcc.training.step import TrainingStep
from tcc.training.validation import validation_losses, why_no_validation

LAST = "last"
VALIDATION_LOSS = "validation_loss"
Score = Dict[str, Any]
Recall = Callable[[Any, Callable[[], Score]], Score]


@dataclass(frozen=True)
class Candidates:
    """What there is to choose from, and what it is chosen on.

    Attributes:
      directory: folder of the training's checkpoints.
      encoder, head: the networks that a checkpoint is read into; head: from `tcc.training.methods.build_head`.
      validation: clips of the validation split. phases: names of their labels.
      training_clips: for the metrics that READ_TRAINING_CLIPS of tcc.config names.
    """

    directory: Path
    encoder: Any
    head: Any
    validation: Clips
    phases: Sequence[str]
    training_clips: Optional[Clips] = None


def select_checkpoint(
    candidates: Candidates,
    settings: Settings,
    *,
    recall: Recall = lambda step, score: score(),
    progress: Progress = silent,
) -> Dict[str, Any]:
    """Score all checkpoints of a training by a rule and choose the best; ties go to the earlier one.

    Each also gets its validation loss, the mean over the batches that the validation clips make, drawn by the seed of the
    training, the same for every checkpoint.

    Args:
      settings: the training's; `selection` has the rule: the name of a metric, validation_loss, or last.
      recall: recall(step, score) returns score(), or what it returned before for the same checkpoint.
    Returns: {"rule", "step", "why", "scores": [{"step", "value", "reason", "validation_loss"}]}; an undefined value is None,
      with the reason, and never chosen.
    Raises: CheckpointError if there is no checkpoint, or none has a defined score.
    """
    steps = list_checkpoints(candidates.directory)
    if not steps:
        raise CheckpointError(f"{candidates.directory}: no checkpoint to choose from")
    scorer = _Scorer(candidates, settings)
    scores = []
    for done, step in enumerate(steps):
        progress(done / len(steps), f"checkpoint {step}")
        scores.append({"step": step, **recall(step, functools.partial(scorer.score, step))})
    return {"rule": settings.selection.rule, **_choose(scores, settings.selection.rule, candidates), "scores": scores}


class _Scorer:
    """Reads one checkpoint after another into the same networks and measures it."""

    def __init__(self, candidates: Candidates, settings: Settings) -> None:
        self._candidates, self._settings = candidates, settings
        # One batch at a time: nothing is accumulated where nothing is trained.
        self._training = dataclasses.replace(settings.training, accumulation_steps=1)
        self._step = TrainingStep(candidates.encoder, None, self._training, candidates.head)

    def score(self, step: int) -> Score:
        mine = self._candidates
        restore_encoder(mine.directory, step, mine.encoder, head=mine.head)
        loss, why_no_loss = self._validation_loss()
        rule = self._settings.selection.rule
        if rule == LAST:
            value, reason = None, "not scored: the rule is last"
        elif rule == VALIDATION_LOSS:
            value, reason = loss, why_no_loss
        else:
            value, reason = self._metric(rule)
        return {"value": value, "reason": reason, "validation_loss": loss}

    def _validation_loss(self):
        why_not = why_no_validation(self._candidates.validation, self._training)
        if why_not:
            return None, why_not
        losses = validation_losses(
            self._step, self._candidates.validation, sampling=self._settings.sampling, training=self._training
        )
        loss = losses["loss"]
        return (loss, "") if math.isfinite(loss) else (None, f"the validation loss is {loss}")

    def _metric(self, rule: str):
        clips = self._embed(self._candidates.validation)
        training_clips = self._candidates.training_clips if rule in READ_TRAINING_CLIPS else None
        train = self._embed(training_clips) if training_clips is not None else []
        config = rule_config(self._settings)
        result = measure_metric(rule, train, clips, phases=self._candidates.phases, split="val", config=config)
        reasons = "; ".join(dict.fromkeys(entry["reason"] for entry in result["undefined"]))
        return result["value"], reasons if result["value"] is None else ""

    def _embed(self, source: Clips) -> List[Any]:
        batch_frames = self._settings.embedding.batch_frames
        return embed_clips(
            source, self._candidates.encoder, sampling=self._settings.sampling, batch_frames=batch_frames
        )


def _choose(scores: Sequence[Mapping[str, Any]], rule: str, candidates: Candidates) -> Dict[str, Any]:
    if rule == LAST:
        return {"step": scores[-1]["step"], "why": "the last checkpoint"}
    lowest = rule == VALIDATION_LOSS or rule in LOWER_IS_BETTER
    defined = [score for score in scores if score["value"] is not None]
    if not defined:
        raise CheckpointError(
            f"{candidates.directory}: {rule} is undefined for every checkpoint: {scores[-1]['reason']}; "
            "choose another [selection] rule, such as validation_loss or last"
        )
    sign = -1 if lowest else 1
    best = max(defined, key=lambda score: (sign * score["value"], -score["step"]))
    words = f"{'lowest' if lowest else 'highest'} {_in_words(rule)} on the validation split"
    return {"step": best["step"], "why": f"{words} ({best['value']:.4f})"}


def _in_words(rule: str) -> str:
    return rule.replace("_", " ").replace("kendalls", "Kendall's")
