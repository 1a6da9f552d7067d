"""The recipes of Pouring as published: what the Ascend port's command trains, setting by setting."""

from __future__ import annotations

import dataclasses

import pytest

from tcc.ascend_port.settings import PUBLISHED
from tests.pipeline.test_recipes import ROOT, load

FOLDER = ROOT / "examples" / "recipes"
SECTIONS = ("backbone", "features", "sampling", "augmentation", "embedder", "training", "optimizer", "schedule")
SHORT = {"num_steps": 1000, "checkpoint_every": 200}


@pytest.mark.parametrize(("name", "changed"), [("pouring_as_published", {}), ("pouring_as_published_short", SHORT)])
def test_a_recipe_says_to_the_pipeline_what_the_command_trains_with(monkeypatch, name, changed):
    loaded = load(monkeypatch, FOLDER / f"{name}.cfg")
    expected = dataclasses.replace(PUBLISHED, training=dataclasses.replace(PUBLISHED.training, **changed))
    for section in SECTIONS:
        assert getattr(loaded, section) == getattr(expected, section), section
    assert (loaded.videos.source, loaded.videos.name, loaded.selection.rule) == ("download", name, "last")


def test_as_published_means_so():
    training, sampling = PUBLISHED.training, PUBLISHED.sampling
    assert (training.batch_size, sampling.num_frames, training.num_steps) == (2, 20, 150000)
    assert (PUBLISHED.backbone.name, PUBLISHED.backbone.trained) == ("resnet50v2", "batch_norm")


@pytest.mark.parametrize("name", ["pouring_as_published", "pouring_as_published_short"])
def test_a_recipe_opens_with_its_command_and_source(name):
    header = (FOLDER / f"{name}.cfg").read_text().split("\n\n")[0]
    assert f"LUIGI_CONFIG_PATH=examples/recipes/{name}.cfg luigi --module pipeline RunAll --local-scheduler" in header
    assert "# Source: " in header and "no metric to expect" in header
