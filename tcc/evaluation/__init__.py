"""Metrics on embeddings of clips, their baselines, all of them at once. NumPy, SciPy, scikit-learn; no TensorFlow.

Equations, units and what happens to undefined cases: docs/metrics.md.
"""

from tcc.evaluation.alignment import alignment
from tcc.evaluation.baselines import (
    clock_index,
    clock_length,
    features_grid,
    features_grid_pca,
    features_pool,
    principal_components,
    standard_baselines,
)
from tcc.evaluation.boundary_transfer import boundary_transfer
from tcc.evaluation.collapse import collapse
from tcc.evaluation.evaluate import NO_LABELS, NO_TRUTH, evaluate, measure_metric
from tcc.evaluation.few_shot_classification import draw_episodes, few_shot_classification
from tcc.evaluation.kendalls_tau import kendalls_tau, pairwise_taus
from tcc.evaluation.linear_classification import linear_classification
from tcc.evaluation.phase_agreement import phase_agreement
from tcc.evaluation.phase_classification import phase_classification
from tcc.evaluation.phase_progression import ClipProgression, phase_progression, predict_progression
from tcc.evaluation.result import MetricResult
from tcc.evaluation.retrieval import retrieval
from tcc.evaluation.seeds import combine_seeds
from tcc.evaluation.trimming import trim_clips

__all__ = [
    "NO_LABELS",
    "NO_TRUTH",
    "ClipProgression",
    "MetricResult",
    "alignment",
    "boundary_transfer",
    "clock_index",
    "clock_length",
    "collapse",
    "combine_seeds",
    "draw_episodes",
    "evaluate",
    "features_grid",
    "features_grid_pca",
    "features_pool",
    "few_shot_classification",
    "kendalls_tau",
    "linear_classification",
    "measure_metric",
    "pairwise_taus",
    "phase_agreement",
    "phase_classification",
    "phase_progression",
    "predict_progression",
    "principal_components",
    "retrieval",
    "standard_baselines",
    "trim_clips",
]
