"""The baselines, and all metrics together."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tcc.config import EvaluationConfig
from tcc.errors import MetricUndefined, SettingsError, ShapeError
from tcc.evaluation import (
    clock_index,
    clock_length,
    evaluate,
    features_grid,
    features_grid_pca,
    features_pool,
    kendalls_tau,
    phase_agreement,
    principal_components,
    standard_baselines,
)
from tcc.sequences import save_sequences
from tests.reference import evaluation as reference
from tests.tcc.evaluation_clips import PHASES, TRIMS, clip_of, random_clips

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"
CONFIG = EvaluationConfig(few_shot_videos=(1, 9), few_shot_episodes=3, pca_components=3)
OF_A_BASELINE = ["value", "interval", "interval_over", "count", "undefined", "details"]
KEYS = ["metric", "protocol", "split", *OF_A_BASELINE, "baselines"]
PROTOCOLS = ("tcc-svm v1", "linear v1", "retrieval v1", "cross-clip v2", "alignment v1", "collapse v1")
METRICS = [
    "phase_classification",
    "linear_classification",
    "few_shot_classification",
    "phase_progression",
    "retrieval",
    "kendalls_tau",
    "phase_agreement",
    "boundary_transfer",
    "alignment",
    "collapse",
]


def feature_clips(*, seed, count, shape=(5, 7, 3)):
    rng = np.random.default_rng(seed)
    return [
        clip_of(clip.name, rng.normal(size=(len(clip), *shape)).astype(np.float16), clip.labels)
        for clip in random_clips(seed=seed, count=count, num_phases=5)
    ]


def test_clocks_tell_the_frame():
    (clip,) = random_clips(seed=0, count=1, num_phases=5)
    np.testing.assert_array_equal(clock_index([clip])[0].values, np.arange(len(clip))[:, None])
    np.testing.assert_allclose(clock_length([clip])[0].values[:, 0], np.arange(len(clip)) / len(clip))
    assert clock_length([clip])[0].values.max() < 1


def test_a_clock_has_the_best_tau_and_trims_betray_it():
    """Kendall's tau of frame by length is 1 on any clips; but its phases agree less where clips are trimmed."""
    clips = random_clips(seed=0, count=8, num_phases=5)
    clock = clock_length(clips)
    assert kendalls_tau(clock, frame_stride=2).value > 0.99
    agreement = phase_agreement(clock, phases=PHASES, **TRIMS)
    assert agreement.details["trimmed"]["value"] < agreement.value


@pytest.mark.parametrize("shape", [(4, 4, 3), (5, 7, 3), (14, 14, 2), (8, 4, 1)])
def test_grid_is_the_mean_of_each_cell(shape):
    clips = feature_clips(seed=0, count=2, shape=shape)
    for clip, pooled in zip(clips, features_grid(clips)):
        np.testing.assert_allclose(pooled.values, reference.grid(clip.values, 4), rtol=1e-4, atol=1e-5)
    for clip, pooled in zip(clips, features_pool(clips)):
        expected = clip.values.astype(np.float64).mean(axis=(1, 2))
        np.testing.assert_allclose(pooled.values, expected, rtol=1e-4, atol=1e-5)


def test_a_small_map_is_its_own_grid():
    (clip,) = feature_clips(seed=0, count=1, shape=(2, 3, 4))
    (pooled,) = features_grid([clip])
    np.testing.assert_array_equal(pooled.values, clip.values.reshape(len(clip), -1).astype(np.float32))


def test_principal_components_are_those_of_the_training_clips():
    train, test = (feature_clips(seed=seed, count=3) for seed in (0, 1))
    reduced, reduced_test = features_grid_pca(train, test, components=9)
    frames = np.concatenate([clip.values for clip in features_grid(train)]).astype(np.float64)
    _, _, directions = np.linalg.svd(frames - frames.mean(axis=0), full_matrices=False)
    signs = np.sign(directions[np.arange(9), np.abs(directions[:9]).argmax(axis=1)])
    for clip, projected in zip(features_grid(test), reduced_test):
        expected = (clip.values - frames.mean(axis=0)) @ directions[:9].T * signs
        np.testing.assert_allclose(projected.values, expected, rtol=1e-3, atol=1e-4)
    spread = np.concatenate([clip.values for clip in reduced]).var(axis=0)
    assert spread.tolist() == sorted(spread, reverse=True)


def test_principal_components_are_no_more_than_there_are():
    train = [clip_of("a", np.random.default_rng(0).normal(size=(4, 9)), [0] * 4)]
    assert principal_components(train, train, components=64)[0][0].values.shape == (4, 3)
    wide = random_clips(seed=0, count=2, num_phases=2, size=5)
    assert principal_components(wide, wide, components=64)[1][0].values.shape[1] == 5


@pytest.mark.parametrize("frames", [6, 40])
def test_principal_components_are_the_same_from_frames_and_from_dimensions(frames):
    """With fewer frames than dimensions they come from the products of frames; an SVD is the oracle of both."""
    values = np.random.default_rng(frames).normal(size=(frames, 17)) * np.linspace(1, 3, 17)
    train = [clip_of("a", values, [0] * frames)]
    found = principal_components(train, train, components=4)[0][0].values
    values = train[0].values.astype(np.float64)
    _, _, directions = np.linalg.svd(values - values.mean(axis=0), full_matrices=False)
    signs = np.sign(directions[np.arange(4), np.abs(directions[:4]).argmax(axis=1)])
    np.testing.assert_allclose(found, (values - values.mean(axis=0)) @ directions[:4].T * signs, rtol=1e-4, atol=1e-4)


def test_directions_without_variance_tell_nothing():
    """Two different frames, each of them three times, in nine dimensions: one direction has variance, four have none."""
    pair = np.random.default_rng(0).normal(size=(2, 9))
    train = [clip_of("a", np.tile(pair, (3, 1)), [0] * 6)]
    found = principal_components(train, train, components=64)[0][0].values
    assert found.shape == (6, 5)
    np.testing.assert_allclose(np.abs(found[:, 0]), np.linalg.norm(pair[0] - pair[1]) / 2, rtol=1e-5)
    np.testing.assert_allclose(found[:, 1:], 0, atol=1e-5)
    still = [clip_of("a", np.ones((6, 9)), [0] * 6)]
    assert not principal_components(still, train, components=64)[1][0].values.any()


def test_principal_components_leave_broken_frames_aside():
    clean = random_clips(seed=0, count=3, num_phases=2)
    values = clean[0].values.copy()
    values[5] = np.nan
    broken = [clip_of("broken", values, clean[0].labels), *clean[1:]]
    train, _ = principal_components(broken, broken, components=2)
    assert np.isnan(train[0].values).any(axis=1).tolist() == [t == 5 for t in range(len(clean[0]))]
    with pytest.raises(MetricUndefined, match="principal components: 0 finite training frames; at least 2 are needed"):
        principal_components([], clean, components=2)


def test_baselines_refuse_what_they_cannot_use():
    clips = random_clips(seed=0, count=2, num_phases=5)
    with pytest.raises(ShapeError, match=r"clip clip0: expected \[T, h, w, C\], got shape \[\d+, 8\]"):
        features_pool(clips)
    with pytest.raises(SettingsError, match="cells: must be at least 1, got 0"):
        features_grid(feature_clips(seed=0, count=1), cells=0)
    with pytest.raises(SettingsError, match="components: must be at least 1, got 0"):
        principal_components(clips, clips, components=0)


def test_evaluate_returns_a_file_for_each_metric_with_all_baselines():
    train, test = (random_clips(seed=seed, count=4, num_phases=5) for seed in (0, 1))
    features = tuple(feature_clips(seed=seed, count=4) for seed in (0, 1))
    baselines = standard_baselines(train, test, features=features, components=3)
    of_features = ["features_pool", "features_grid", "features_grid_pca", "features_grid_centered_pca"]
    assert list(baselines) == ["clock_index", "clock_length", *of_features]
    told, truth = [], {clip.name: np.linspace(0, 1, len(clip)) for clip in test}
    results = evaluate(
        train,
        test,
        phases=PHASES,
        split="test",
        config=CONFIG,
        baselines=baselines,
        truth=truth,
        progress=lambda fraction, status: told.append((fraction, status)),
    )
    assert list(results) == METRICS
    for name, result in results.items():
        assert list(result) == KEYS
        assert (result["metric"], result["split"]) == (name, "test")
        assert result["protocol"] in PROTOCOLS
        assert result["value"] is not None
        assert list(result["baselines"]) == list(baselines)
        assert all(isinstance(entry["value"], float) for entry in result["baselines"].values())
        assert all(list(entry) == OF_A_BASELINE for entry in result["baselines"].values())
    again = evaluate(train, test, phases=PHASES, split="test", config=CONFIG, baselines=baselines, truth=truth)
    assert json.dumps(again, allow_nan=False) == json.dumps(results, allow_nan=False)
    fractions = [fraction for fraction, _ in told]
    assert fractions == sorted(fractions)
    assert told[-1] == (1.0, "evaluated")
    assert any(status == "few_shot_classification, clock_index" for _, status in told)


def test_evaluate_goes_on_where_one_metric_has_no_value():
    train = random_clips(seed=0, count=4, num_phases=5)
    results = evaluate(train, train[:1], phases=PHASES, split="val", config=CONFIG)
    assert results["kendalls_tau"]["value"] is None
    assert results["kendalls_tau"]["undefined"] == [
        {"what": "all", "reason": "kendalls_tau: no ordered pair of clips (of 1 clips) is left"}
    ]
    assert results["kendalls_tau"]["baselines"] == {}
    assert results["phase_classification"]["value"] > 0.5


def test_evaluate_measures_clocks_by_difference_also_with_cosine():
    clips = random_clips(seed=0, count=4, num_phases=5)
    config = EvaluationConfig(few_shot_videos=(1,), few_shot_episodes=1, distance="cosine")
    baselines = standard_baselines(clips, clips, components=2)
    results = evaluate(clips, clips, phases=PHASES, split="val", config=config, baselines=baselines)
    assert results["kendalls_tau"]["details"]["distance"] == "cosine"
    assert results["kendalls_tau"]["baselines"]["clock_length"]["value"] > 0.99


def test_the_documented_example_runs(tmp_path, monkeypatch, capsys):
    for seed, split in enumerate(("train", "test")):
        save_sequences(tmp_path / f"{split}.npz", random_clips(seed=seed, count=3, num_phases=5), phases=PHASES)
    example = DOCUMENT.read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    monkeypatch.chdir(tmp_path)
    variables = {}
    exec(example, variables)
    assert list(variables["results"]) == METRICS
    assert float(capsys.readouterr().out) == variables["results"]["kendalls_tau"]["value"]


def test_protocols_metrics_and_baselines_are_documented():
    text = DOCUMENT.read_text(encoding="utf-8").replace("Kendall's", "Kendalls")
    train, test = (random_clips(seed=seed, count=3, num_phases=5) for seed in (0, 1))
    features = tuple(feature_clips(seed=seed, count=3) for seed in (0, 1))
    baselines = standard_baselines(train, test, features=features, components=2)
    results = evaluate(train, test, phases=PHASES, split="test", config=CONFIG)
    for name, result in results.items():
        heading = f"## {name.replace('_', ' ').replace('few shot', 'few-shot')} (`{result['protocol']}`)\n"
        assert heading.lower() in text.lower()
    for name in baselines:
        assert f"| `{name}` |" in text


def test_evaluation_imports_no_tensorflow():
    code = "import sys, tcc.evaluation, tcc.alignment; assert 'tensorflow' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
