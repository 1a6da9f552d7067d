"""What [training] method names: which losses a step adds up, what they need drawn, and the head that some train besides."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, Callable, Dict, Optional, Sequence

import numpy as np
import tensorflow as tf

from tcc.config import TrainingConfig
from tcc.errors import SettingsError
from tcc.losses import (
    cycle_consistency_loss,
    lav_loss,
    sequence_contrastive_loss,
    shuffle_and_learn_loss,
    stochastic_cycle_loss,
    supervised_loss,
    time_contrastive_loss,
)
from tcc.models.phase_classifier import PhaseClassifier
from tcc.models.projection_head import ProjectionHead
from tcc.models.triplet_classifier import TripletClassifier

_CYCLE_BACK_LOSSES = {
    "tcc_regression_variance": "regression_variance",
    "tcc_regression": "regression",
    "tcc_huber": "huber",
    "tcc_classification": "classification",
    "tcc_sal_tcn": "regression_variance",
}
_WITH_TRIPLETS = ("shuffle_and_learn", "tcc_sal_tcn")


@dataclass(frozen=True)
class StepInputs:
    """What the losses of a step see; tensors or arrays.

    Attributes:
      anchors: embeddings [B, T, D].
      positives: embeddings [B, T, D] of a frame shortly before each anchor; T is 0 where none were drawn.
      frame_indices: int [B, T]; sequence_lengths: int [B].
      labels: int [B, T], phase of each anchor; -1 where there is none.
      triplets: int [R, 3], places among the anchors; triplet_labels: int [R], 1 where shuffled.
      valid: float [B, T], 0 for anchors that are padding; cycles: int [N, L + 1]; cycle_starts: int [N].
      training: whether a head normalizes by the batch's statistics.
    """

    anchors: Any
    positives: Any
    frame_indices: Any
    sequence_lengths: Any
    labels: Any
    triplets: Any
    triplet_labels: Any
    valid: Any
    cycles: Any
    cycle_starts: Any
    training: bool


def needs_positives(training: TrainingConfig) -> bool:
    """Whether a frame shortly before each anchor is drawn too."""
    return training.method in ("tcn", "tcc_sal_tcn") or bool(_added_tcn_weight(training))


def needs_triplets(training: TrainingConfig) -> bool:
    """Whether triplets of anchors are drawn."""
    return training.method in _WITH_TRIPLETS


def needs_cycles(training: TrainingConfig) -> bool:
    """Whether cycles through the clips of a step are drawn, instead of taking all ordered pairs."""
    return training.method in _CYCLE_BACK_LOSSES and training.cycles > 0


def needs_views(training: TrainingConfig) -> bool:
    """Whether two views of each clip are drawn."""
    return training.method == "scl"


def count_phases(labels: Sequence[np.ndarray]) -> int:
    """How many phases the labels of clips tell apart: the highest label and one, 0 without any."""
    return max((int(one.max()) for one in labels if len(one)), default=-1) + 1


def build_head(training: TrainingConfig, embedding_size: int, *, num_phases: int) -> Optional[tf.Module]:
    """What is trained besides the encoder and not needed for embeddings; None: nothing.

    Args:
      num_phases: of the training clips, from `count_phases`; looked at where the method reads labels.
    Raises: SettingsError for a supervised training on clips without labels.
    """
    if training.method in _WITH_TRIPLETS:
        return TripletClassifier(embedding_size, seed=training.seed)
    if training.method == "scl":
        return ProjectionHead(embedding_size, seed=training.seed)
    if training.method != "supervised":
        return None
    if num_phases < 1:
        raise SettingsError("method: supervised needs labels, and no training clip has any; give [videos] labels")
    return PhaseClassifier(embedding_size, num_phases, seed=training.seed)


def method_terms(inputs: StepInputs, head: Any, training: TrainingConfig) -> Dict[str, tf.Tensor]:
    """The terms of the method's loss, each with its weight; here settings become keyword arguments.

    tcc_*               method = cycle consistency, tcn = tcn_weight times the time-contrastive loss
    tcc_sal_tcn         method = a cycle consistency, sal = s shuffle and learn, tcn = (1 - a - s) time-contrastive
    any other           method = its loss
    """
    method = training.method
    if method == "tcc_sal_tcn":
        rest = 1.0 - training.alignment_weight - training.sal_weight
        return {
            "method": training.alignment_weight * _cycle_consistency(inputs, training),
            "sal": training.sal_weight * _shuffle_and_learn(inputs, head, training),
            "tcn": rest * _time_contrast(inputs, training),
        }
    if method in _CYCLE_BACK_LOSSES:
        terms = {"method": _cycle_consistency(inputs, training)}
        weight = _added_tcn_weight(training)
        return {**terms, "tcn": weight * _time_contrast(inputs, training)} if weight else terms
    if method == "tcn":
        return {"method": _time_contrast(inputs, training)}
    if method == "shuffle_and_learn":
        return {"method": _shuffle_and_learn(inputs, head, training)}
    if method == "supervised":
        logits = head(inputs.anchors)
        smoothing = training.classifier_label_smoothing
        return {"method": supervised_loss(logits, inputs.labels, label_smoothing=smoothing)}
    if method == "scl":
        return {"method": _sequence_contrast(inputs, head, training)}
    return {"method": _lav(inputs, training)}


def _added_tcn_weight(training: TrainingConfig) -> float:
    """The time-contrastive loss is added to cycle consistency alone."""
    return training.tcn_weight if training.method in _CYCLE_BACK_LOSSES and training.method != "tcc_sal_tcn" else 0.0


def _cycle_consistency(inputs: StepInputs, training: TrainingConfig) -> tf.Tensor:
    loss: Callable[..., tf.Tensor] = cycle_consistency_loss
    if needs_cycles(training):
        loss = functools.partial(stochastic_cycle_loss, cycles=inputs.cycles, starts=inputs.cycle_starts)
    return loss(
        inputs.anchors,
        frame_indices=inputs.frame_indices,
        sequence_lengths=inputs.sequence_lengths,
        loss=_CYCLE_BACK_LOSSES[training.method],
        similarity=training.similarity,
        temperature=training.temperature,
        variance_weight=training.variance_weight,
        variance_floor=training.variance_floor,
        label_smoothing=training.label_smoothing,
        huber_delta=training.huber_delta,
        normalize_indices=training.normalize_indices,
        normalize_embeddings=training.normalize_embeddings,
    )


def _time_contrast(inputs: StepInputs, training: TrainingConfig) -> tf.Tensor:
    return time_contrastive_loss(inputs.anchors, inputs.positives, l2_weight=training.tcn_l2_weight)


def _shuffle_and_learn(inputs: StepInputs, head: Any, training: TrainingConfig) -> tf.Tensor:
    return shuffle_and_learn_loss(
        inputs.anchors,
        indices=inputs.triplets,
        labels=inputs.triplet_labels,
        classifier=head,
        label_smoothing=training.classifier_label_smoothing,
    )


def _lav(inputs: StepInputs, training: TrainingConfig) -> tf.Tensor:
    return lav_loss(
        inputs.anchors,
        frame_indices=inputs.frame_indices,
        sequence_lengths=inputs.sequence_lengths,
        gamma=training.lav_gamma,
        sigma=training.lav_sigma,
        margin=training.lav_margin,
        alpha=training.lav_alpha,
    )


def _sequence_contrast(inputs: StepInputs, head: Any, training: TrainingConfig) -> tf.Tensor:
    """The rows are the views of the first clip, those of the second, and so on."""
    projections = head(inputs.anchors, training=inputs.training)
    num_rows, num_frames, size = projections.shape
    views = [num_rows // 2, 2]
    return sequence_contrastive_loss(
        tf.reshape(projections, [*views, num_frames, size]),
        frame_indices=tf.reshape(inputs.frame_indices, [*views, num_frames]),
        sequence_lengths=tf.reshape(inputs.sequence_lengths, views),
        mask=tf.reshape(inputs.valid, [*views, num_frames]),
        temperature=training.scl_temperature,
        variance=training.scl_variance,
        negatives=training.scl_negatives,
    )
