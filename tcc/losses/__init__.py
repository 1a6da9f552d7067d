"""Losses on embeddings [B, T, D]: pure functions, no model and no settings object needed."""

from tcc.losses.cycle_back import (
    CYCLE_BACK_LOSSES,
    cycle_back_classification,
    cycle_back_huber,
    cycle_back_regression,
    cycle_back_regression_variance,
)
from tcc.losses.cycle_consistency import cycle_consistency_loss
from tcc.losses.lav import NEAR_WEIGHTS, contrastive_idm, lav_loss
from tcc.losses.sequence_contrastive import NEGATIVES, sequence_contrastive_loss
from tcc.losses.shuffle_and_learn import draw_triplets, shuffle_and_learn_loss
from tcc.losses.similarity import SIMILARITIES, scaled_similarity
from tcc.losses.soft_dtw import soft_dtw, soft_dtw_alignment
from tcc.losses.soft_nearest_neighbor import soft_nearest_neighbor
from tcc.losses.stochastic_cycles import draw_cycles, stochastic_cycle_loss
from tcc.losses.supervised import supervised_loss
from tcc.losses.time_contrastive import n_pairs_loss, time_contrastive_loss

__all__ = [
    "CYCLE_BACK_LOSSES",
    "NEAR_WEIGHTS",
    "NEGATIVES",
    "SIMILARITIES",
    "contrastive_idm",
    "cycle_back_classification",
    "cycle_back_huber",
    "cycle_back_regression",
    "cycle_back_regression_variance",
    "cycle_consistency_loss",
    "draw_cycles",
    "draw_triplets",
    "lav_loss",
    "n_pairs_loss",
    "scaled_similarity",
    "sequence_contrastive_loss",
    "shuffle_and_learn_loss",
    "soft_dtw",
    "soft_dtw_alignment",
    "soft_nearest_neighbor",
    "stochastic_cycle_loss",
    "supervised_loss",
    "time_contrastive_loss",
]
