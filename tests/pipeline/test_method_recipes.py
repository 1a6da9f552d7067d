"""The recipes of the methods: one for each, with the values of its paper's code, written down here once more."""

from __future__ import annotations

import pytest

from tcc.config import METHODS, TrainingConfig
from tests.pipeline.test_recipes import ROOT, load

FOLDER = "examples/recipes/methods"

SOFT_NEIGHBOR = {"similarity": "negative_squared_l2", "temperature": 0.1, "normalize_embeddings": False, "cycles": 0}
REGRESSION = {**SOFT_NEIGHBOR, "normalize_indices": True}
TRIPLETS = {"sal_samples": 8, "sal_shuffle_fraction": 0.75, "classifier_label_smoothing": 0.0}
TIME_CONTRAST = {"tcn_positive_window": 5, "tcn_l2_weight": 0.002}
# The options of [training] that belong to each method; the library's defaults are the same.
OPTIONS = {
    "tcc_regression_variance": {**REGRESSION, "variance_weight": 0.001},
    "tcc_regression": REGRESSION,
    "tcc_huber": {**REGRESSION, "huber_delta": 0.1},
    "tcc_classification": {**SOFT_NEIGHBOR, "label_smoothing": 0.1},
    "tcn": TIME_CONTRAST,
    "shuffle_and_learn": TRIPLETS,
    "tcc_sal_tcn": {
        **{**REGRESSION, **TRIPLETS, **TIME_CONTRAST},
        **{"alignment_weight": 0.33, "sal_weight": 0.33, "variance_weight": 0.001},
    },
    "supervised": {"classifier_label_smoothing": 0.0},
    "lav": {"lav_gamma": 0.1, "lav_sigma": 10.0, "lav_margin": 2.0, "lav_alpha": 0.5},
    "scl": {
        **{"scl_temperature": 0.1, "scl_variance": 10.0, "scl_negatives": "other_view"},
        **{"scl_region": 1.5, "scl_overlap": 0.2},
    },
}
# What surrounds the method, by section: the code of TCC, and where LAV and SCL differ from it.
REGIME = {
    "frames": {"fps": 30.0, "image_pixels": 224},
    "features": {"center": False},
    "backbone": {"name": "resnet50v2", "trained": "batch_norm"},
    "sampling": {
        **{"strategy": "offset_uniform", "num_frames": 20, "random_offset": 1},
        **{"num_context_frames": 2, "context_stride": 15},
    },
    "embedder": {
        **{"kind": "conv", "convolution": "conv3d", "channels": (512, 512), "dense": (512, 512), "dropout": 0.1},
        **{"embedding_size": 128, "batch_norm": True, "standardize": False, "normalize": False},
    },
    "training": {
        **{"num_steps": 150000, "batch_size": 2, "learning_rate": 1e-4, "weight_decay": 1e-5},
        **{"clip_norm": 0.0, "tcn_weight": 0.0},
    },
    "optimizer": {"kind": "adam"},
    "schedule": {"kind": "fixed", "warmup_steps": 0},
}
LAV = {
    **REGIME,
    "backbone": {"name": "resnet50v2", "trained": "all"},
    "sampling": {**REGIME["sampling"], "strategy": "segment_uniform"},
    "embedder": {**REGIME["embedder"], "normalize": True},
    "training": {**REGIME["training"], "num_steps": 6000},
}
SCL = {
    **REGIME,
    "features": {"center": False, "grid": 7},
    "backbone": {"name": "resnet50v2", "trained": "frozen"},
    "sampling": {"num_frames": 80, "num_context_frames": 1},
    "augmentation": {"channel_dropout": 0.0},
    "embedder": {
        **{"kind": "transformer", "dense": (512, 512), "dropout": 0.1, "batch_norm": True, "standardize": False},
        **{"transformer_layers": 3, "transformer_heads": 8, "transformer_width": 256},
        **{"transformer_feed_forward": 1024, "embedding_size": 128, "normalize": True},
    },
    "training": {
        **{"num_steps": 18000, "batch_size": 1, "learning_rate": 1e-4, "weight_decay": 1e-5, "clip_norm": 10.0},
    },
    "schedule": {"kind": "cosine", "warmup_steps": 0, "decay_steps": 18000, "end_fraction": 0.0},
}
REGIMES = {"lav": LAV, "scl": SCL}


def test_every_method_has_a_recipe():
    assert sorted(path.stem for path in (ROOT / FOLDER).iterdir()) == sorted(METHODS) == sorted(OPTIONS)


@pytest.mark.parametrize("method", METHODS)
def test_a_recipe_has_the_values_of_its_paper(monkeypatch, method):
    loaded = load(monkeypatch, ROOT / FOLDER / f"{method}.cfg").as_dict()
    regime = REGIMES.get(method, REGIME)
    expected = {**regime, "training": {**regime["training"], **OPTIONS[method], "method": method}}
    for section, values in expected.items():
        assert {name: loaded[section][name] for name in values} == values, section


@pytest.mark.parametrize("method", METHODS)
def test_the_method_alone_has_its_options_by_default(method):
    training = TrainingConfig(method=method)
    assert {name: getattr(training, name) for name in OPTIONS[method]} == OPTIONS[method]


@pytest.mark.parametrize("method", METHODS)
def test_a_recipe_opens_with_its_command_and_source(method):
    header = (ROOT / FOLDER / f"{method}.cfg").read_text().split("\n\n")[0]
    command = f"LUIGI_CONFIG_PATH={FOLDER}/{method}.cfg luigi --module pipeline RunAll --local-scheduler"
    assert command in header and "# Source: " in header and "no metric to expect" in header
