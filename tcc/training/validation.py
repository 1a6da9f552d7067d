"""Losses of clips that are not trained on."""

from __future__ import annotations

from typing import Dict

import numpy as np

from tcc.config import SamplingConfig, TrainingConfig
from tcc.dataset import Clips
from tcc.training.drawing import draw_training_batch
from tcc.training.step import TrainingStep


def why_no_validation(source: Clips, training: TrainingConfig) -> str:
    """Why the clips have no validation loss, or nothing."""
    if len(source) >= training.batch_size:
        return ""
    return f"{len(source)} clips, and a batch takes batch_size = {training.batch_size}"


def validation_losses(
    step: TrainingStep, source: Clips, *, sampling: SamplingConfig, training: TrainingConfig
) -> Dict[str, float]:
    """The terms of the loss in inference mode and their sum "loss", averaged over the batches that the clips make.

    The batches are drawn by the seed of the training, unchanged by augmentation: the same whenever they are asked for.
    """
    losses = [
        step.losses(draw_training_batch(source, number, sampling=sampling, training=training))
        for number in range(len(source) // training.batch_size)
    ]
    return {name: float(np.mean([item[name] for item in losses])) for name in losses[0]}
