"""Losses on embeddings [B, T, D]: pure functions, no model and no settings object needed."""

from tcc.losses.cycle_back import cycle_back_classification, cycle_back_regression, cycle_back_regression_variance
from tcc.losses.cycle_consistency import CYCLE_BACK_LOSSES, cycle_consistency_loss
from tcc.losses.similarity import SIMILARITIES, scaled_similarity
from tcc.losses.soft_nearest_neighbor import soft_nearest_neighbor
from tcc.losses.time_contrastive import n_pairs_loss, time_contrastive_loss

__all__ = [
    "CYCLE_BACK_LOSSES",
    "SIMILARITIES",
    "cycle_back_classification",
    "cycle_back_regression",
    "cycle_back_regression_variance",
    "cycle_consistency_loss",
    "n_pairs_loss",
    "scaled_similarity",
    "soft_nearest_neighbor",
    "time_contrastive_loss",
]
