"""The batch of a training step, with all that its method needs to be drawn."""

from __future__ import annotations

import dataclasses
from typing import Any, Dict, Optional

from tcc.config import AugmentationConfig, SamplingConfig, TrainingConfig
from tcc.dataset import Batch, Clips, Share, draw_batch, draw_views
from tcc.dataset.batches import CYCLES, TRIPLETS, seeded_generator
from tcc.losses import draw_cycles, draw_triplets
from tcc.training.methods import needs_cycles, needs_positives, needs_triplets, needs_views


def draw_training_batch(
    source: Clips,
    step: int,
    *,
    sampling: SamplingConfig,
    training: TrainingConfig,
    augmentation: Optional[AugmentationConfig] = None,
    share: Optional[Share] = None,
) -> Batch:
    """The batch of a step as the settings say, with what its method needs: views, positives, triplets, cycles.

    Args: share: which rows' inputs are loaded; None: all.
    """
    common: Dict[str, Any] = {
        "seed": training.seed,
        "sampling": sampling,
        "augmentation": augmentation,
        "share": share or Share(),
    }
    if needs_views(training):
        views: Dict[str, Any] = {"region": training.scl_region, "overlap": training.scl_overlap}
        return draw_views(source, step, batch_size=training.batch_size, **views, **common)
    window = training.tcn_positive_window if needs_positives(training) else 0
    batch = draw_batch(source, step, batch_size=training.batch_size, positive_window=window, **common)
    if needs_triplets(training):
        batch = _with_triplets(batch, training)
    return _with_cycles(batch, training) if needs_cycles(training) else batch


def _with_triplets(batch: Batch, training: TrainingConfig) -> Batch:
    triplets, labels = draw_triplets(
        seeded_generator(training.seed, batch.step, TRIPLETS),
        batch_size=training.batch_size,
        num_samples=training.sal_samples,
        shuffle_fraction=training.sal_shuffle_fraction,
        num_frames=batch.frame_indices.shape[1],
    )
    return dataclasses.replace(batch, triplets=triplets, triplet_labels=labels)


def _with_cycles(batch: Batch, training: TrainingConfig) -> Batch:
    cycles, starts = draw_cycles(
        seeded_generator(training.seed, batch.step, CYCLES),
        num_sequences=batch.frame_indices.shape[0],
        num_frames=batch.frame_indices.shape[1],
        num_cycles=training.cycles,
        cycle_length=training.cycle_length,
    )
    return dataclasses.replace(batch, cycles=cycles, cycle_starts=starts)
