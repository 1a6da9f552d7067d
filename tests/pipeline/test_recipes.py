"""The recipes of Penn Action: one for each action, with settings that exist and figures that are those of the library."""

from __future__ import annotations

from pathlib import Path

import pytest
from luigi.configuration.cfg_parser import LuigiConfigParser

from pipeline import settings
from tcc.video.penn_action import PENN_ACTIONS

ROOT = Path(__file__).resolve().parents[2]
FOLDER = "examples/recipes/penn_action"


def load(monkeypatch, path):
    """The settings under a recipe, as `LUIGI_CONFIG_PATH` gives them."""
    monkeypatch.setattr(LuigiConfigParser, "_instance", None)
    monkeypatch.setattr(LuigiConfigParser, "_config_paths", [str(ROOT / "luigi.cfg"), str(path)])
    monkeypatch.setattr(settings, "_current", None)
    return settings.current()


def test_every_action_has_a_recipe():
    assert sorted(path.stem for path in (ROOT / FOLDER).iterdir()) == sorted(PENN_ACTIONS)


@pytest.mark.parametrize("action", sorted(PENN_ACTIONS))
def test_a_recipe_sets_its_action_and_the_stride_of_kendalls_tau(monkeypatch, action):
    loaded = load(monkeypatch, ROOT / FOLDER / f"{action}.cfg")
    assert (loaded.videos.source, loaded.videos.action, loaded.videos.name) == ("penn_action", action, action)
    assert (loaded.selection.frame_stride, loaded.evaluation.tau_frame_stride) == (2, 2)
    assert loaded.frames.fps == loaded.videos.image_fps == 30


@pytest.mark.parametrize("action", sorted(PENN_ACTIONS))
def test_a_recipe_opens_with_its_command_and_what_the_literature_says(action):
    lines = (ROOT / FOLDER / f"{action}.cfg").read_text().splitlines()
    header = " ".join(line.lstrip("# ").rstrip("\\ ") for line in lines if line.startswith("#"))
    known = PENN_ACTIONS[action]
    assert (
        f"LUIGI_CONFIG_PATH={FOLDER}/{action}.cfg luigi --module pipeline RunAll --local-scheduler --videos-path DIR"
        " --videos-labels labels.csv"
    ) in header
    assert "{} for training and {} for evaluation".format(*known.paper_sizes) in header
    same = known.paper_sizes == known.code_sizes
    assert ("has the same" if same else "has {} and {}".format(*known.code_sizes)) in header
    assert f"Phases 0 to {known.num_phases - 1}, " in header
    assert f": {'; '.join(known.key_events)}." in header
    assert f"call the action {known.mat_name})" in header or action == known.mat_name
    assert "Never run against the real files" in header


@pytest.mark.parametrize("path", sorted((ROOT / "examples" / "recipes").rglob("*.cfg")), ids=lambda path: path.stem)
def test_every_recipe_holds_settings_that_exist(monkeypatch, path):
    assert load(monkeypatch, path).training.num_steps >= 1
    assert path.read_text().startswith("# ")
