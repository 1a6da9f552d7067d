"""What a result depends on: the settings that its metric reads, and the bytes of the embeddings."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from tcc.config import METRIC_SETTINGS, EvaluationConfig
from tcc.evaluation import clock_length, evaluate, measure_metric
from tests.tcc.evaluation_clips import random_clips

PHASES = ("reach", "lift", "pour")
SMALL = EvaluationConfig(few_shot_videos=(1, 2), few_shot_episodes=2)


def sets(*, noise=0.3):
    return tuple(random_clips(seed=seed, count=3, num_phases=3, noise=noise) for seed in (0, 1))


@pytest.mark.parametrize("metric", METRIC_SETTINGS)
def test_a_metric_reads_the_settings_that_are_told_and_no_other(metric):
    train, test = sets()
    changes = {
        "train_fractions": (0.5,), "few_shot_videos": (1,), "few_shot_episodes": 3, "retrieval_frames": (4,),
        "tau_frame_stride": 3, "distance": "cosine", "trim_start_seconds": 1.0, "trim_end_seconds": 1.5, "dtw_pairs": 2,
        "seed": 4,
    }  # fmt: skip

    truth = {clip.name: np.linspace(0, 1, len(clip)) ** 2 for clip in test}

    def measured(config):
        settings = {"phases": PHASES, "split": "test", "config": config, "truth": truth}
        return json.dumps(measure_metric(metric, train, test, **settings))

    before = measured(SMALL)
    changed = {
        name for name, value in changes.items() if measured(dataclasses.replace(SMALL, **{name: value})) != before
    }
    assert changed <= set(METRIC_SETTINGS[metric])
    assert changed


def test_every_setting_of_a_metric_is_one():
    names = {field.name for field in dataclasses.fields(EvaluationConfig)}
    assert {name for settings in METRIC_SETTINGS.values() for name in settings} <= names


def recorded(train, test, config=SMALL, **arguments):
    keys = []

    def recall(depends_on, measure):
        keys.append(json.dumps(depends_on, sort_keys=True))
        return measure()

    truth = {clip.name: np.linspace(0, 1, len(clip)) for clip in test}
    evaluate(train, test, phases=PHASES, split="test", config=config, recall=recall, truth=truth, **arguments)
    return keys


def test_each_metric_of_each_set_of_embeddings_is_recalled_by_its_own_key():
    train, test = sets()
    clock = {"clock": (clock_length(train), clock_length(test))}
    keys = recorded(train, test, baselines=clock)
    assert len(set(keys)) == len(keys) == 2 * len(METRIC_SETTINGS)
    assert recorded(train, test, baselines=clock) == keys
    assert set(recorded(train, test)) < set(keys)


def test_other_embeddings_are_other_results_and_another_stride_is_another_tau():
    train, test = sets()
    keys = set(recorded(train, test))
    assert not keys & set(recorded(*sets(noise=0.31)))
    changed = keys - set(recorded(train, test, dataclasses.replace(SMALL, tau_frame_stride=3)))
    assert {json.loads(key)["metric"] for key in changed} == {"kendalls_tau", "collapse"}


def test_what_is_recalled_is_the_result():
    train, test = sets()
    known = {"metric": "m", "value": 0.5, "interval": None, "count": 1, "undefined": [], "details": {}}
    truth = {clip.name: np.linspace(0, 1, len(clip)) for clip in test}
    settings = {"phases": PHASES, "split": "test", "config": SMALL, "truth": truth}
    results = evaluate(train, test, recall=lambda key, measure: dict(known), **settings)
    assert all(result["value"] == 0.5 for result in results.values())
