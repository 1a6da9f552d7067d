"""One training for each seed; the networks that the model is compared with; what is the same for all of them."""

from __future__ import annotations

import dataclasses

import pytest

from pipeline import EmbedTask, EvalTask, SelectTask, TrainTask
from pipeline import settings as settings_module
from pipeline.variants import has_ceiling, variant_settings
from tcc.config import EvaluationConfig, SelectionConfig, Settings, TrainingConfig, VideosConfig
from tcc.errors import SettingsError


def of_seeds(*seeds, **sections):
    return dataclasses.replace(Settings(), training=TrainingConfig(seeds=seeds), **sections)


def fingerprints(settings, *tasks):
    with settings_module.using(settings):
        return [task().fingerprint for task in tasks]


def test_a_finished_seed_is_the_same_target_whatever_other_seeds_there_are():
    chain = (TrainTask, SelectTask, EmbedTask)
    alone = fingerprints(of_seeds(1), *chain)
    with settings_module.using(of_seeds(0, 1, 2)):
        assert [task(seed=1).fingerprint for task in chain] == alone
        assert [task(seed=0).fingerprint for task in chain] == [task().fingerprint for task in chain]
        assert len({TrainTask(seed=seed).fingerprint for seed in (0, 1, 2)}) == 3
        assert "seed1" in TrainTask(seed=1).name and "seed0_1_2" in EvalTask().name


def test_every_seed_is_evaluated():
    with settings_module.using(of_seeds(3, 5)):
        assert [task.seed for task in EvalTask().requires()["embeddings"]] == [3, 5]
        assert EvalTask().requires()["supervised"].seed == 3
    assert fingerprints(of_seeds(3, 5), EvalTask) != fingerprints(of_seeds(3), EvalTask)


def test_the_ceiling_is_the_same_network_trained_with_labels():
    settings = of_seeds(0)
    own = TrainTask.own_settings(settings, seed=0, variant="supervised")
    model = TrainTask.own_settings(settings, seed=0, variant="model")
    assert own["training"].pop("method") == "supervised" and model["training"].pop("method") != "supervised"
    assert own == model
    assert variant_settings(settings, seed=0, variant="supervised").selection.rule == "phase_classification"


@pytest.mark.parametrize(
    ("sections", "expected"),
    [
        ({}, True),
        ({"evaluation": EvaluationConfig(ceiling=False)}, False),
        ({"training": TrainingConfig(method="supervised")}, False),
        ({"videos": VideosConfig(source="download")}, True),
    ],
)
def test_whether_there_is_a_ceiling(sections, expected):
    settings = dataclasses.replace(Settings(), **sections)
    assert has_ceiling(settings) is expected
    with settings_module.using(settings):
        assert ("supervised" in EvalTask().requires()) is expected


def test_an_untrained_network_depends_on_no_training():
    def untrained(**training):
        settings = dataclasses.replace(Settings(), training=TrainingConfig(**training))
        with settings_module.using(settings):
            return EmbedTask(variant="untrained").fingerprint

    assert untrained(num_steps=5) == untrained(num_steps=7) != untrained(seeds=(1,))


def test_a_rule_depends_on_the_settings_of_its_metric_alone():
    def selection(rule, **evaluation):
        settings = of_seeds(0, selection=SelectionConfig(rule=rule), evaluation=EvaluationConfig(**evaluation))
        return fingerprints(settings, SelectTask)

    assert selection("kendalls_tau", train_fractions=(0.5,)) == selection("kendalls_tau")
    assert selection("kendalls_tau", distance="cosine") != selection("kendalls_tau")
    assert selection("phase_progression", train_fractions=(0.5,)) != selection("phase_progression")
    assert selection("last", distance="cosine") == selection("last") != selection("validation_loss")


def test_seeds_are_different_numbers():
    with pytest.raises(SettingsError, match=r"seeds: give one or more different numbers, got \(1, 1\)"):
        TrainingConfig(seeds=(1, 1))
    with pytest.raises(SettingsError, match=r"seeds: give one or more different numbers, got \(\)"):
        TrainingConfig(seeds=())
