"""Charts: the same bytes each time, well-formed, whole whatever is missing from their input."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree
from pathlib import Path

import numpy as np
import pytest

from tcc import figures
from tcc.errors import ShapeError
from tests.tcc.report_samples import make_history, make_selection


def text_of(svg: str) -> str:
    """All text in an SVG, which has to be well-formed."""
    return " ".join("".join(xml.etree.ElementTree.fromstring(svg).itertext()).split())


def matrix(**changes) -> str:
    seconds = np.arange(12) / 10
    arguments = {
        "distances": np.square(seconds[:, None] - seconds[None, :8]),
        "query_seconds": seconds,
        "candidate_seconds": seconds[:8],
        "path": (np.arange(12), np.minimum(np.arange(12), 7)),
        "nearest": np.minimum(np.arange(12), 7),
        "query_name": "a",
        "candidate_name": "b",
    }
    return figures.similarity_matrix(**{**arguments, **changes})


TAUS = np.array([[np.nan, 0.9, -0.3], [0.8, np.nan, np.nan], [-0.5, 0.1, np.nan]])


def progression(**changes) -> str:
    seconds = np.arange(10) / 10
    truth = np.stack([seconds - 0.3, seconds - 0.7], axis=1)
    arguments = {"truth": truth, "predicted": truth + 0.05, "events": ["a → b", "b → c"]}
    return figures.progression(seconds, **{**arguments, **changes})


def phase_map(**changes) -> str:
    points = np.random.default_rng(0).normal(size=(30, 2))
    arguments = {"labels": np.arange(30) % 4 - 1, "phases": ["a", "b", "c"], "explained": (0.6, 0.25)}
    return figures.map_by_phase(changes.pop("points", points), **{**arguments, **changes})


def time_map(points=None) -> str:
    points = np.random.default_rng(0).normal(size=(30, 2)) if points is None else points
    return figures.map_by_time(points, shares=np.linspace(0, 1, 30), explained=(0.6, 0.25))


CHARTS = {
    "training_curve": lambda: figures.training_curve(make_history(), chosen_step=200),
    "checkpoint_scores": lambda: figures.checkpoint_scores(make_selection()["scores"], chosen_step=200, label="tau"),
    "similarity_matrix": matrix,
    "confusion_matrix": lambda: figures.confusion_matrix([[3, 1], [0, 0]], phases=["a", "$b$ <i>"]),
    "progression": lambda: progression(),
    "tau_matrix": lambda: figures.tau_matrix(TAUS, names=["a", "b", "$c$"], outliers=["b"]),
    "map_by_phase": lambda: phase_map(),
    "map_by_time": lambda: time_map(),
}


@pytest.mark.parametrize("name", CHARTS)
def test_a_chart_has_the_same_bytes_each_time_and_no_date(name):
    first, second = CHARTS[name](), CHARTS[name]()
    assert first == second
    assert first.startswith("<svg")
    assert "metadata" not in first


def test_pyplot_is_not_imported():
    code = "import sys, tcc.figures; assert 'matplotlib.pyplot' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2]).returncode == 0


def test_training_curve_names_axes_terms_and_the_chosen_step():
    text = text_of(figures.training_curve(make_history(), chosen_step=200))
    for part in ("training step", "loss", "method", "chosen: 200"):
        assert part in text
    assert "learning" not in text


def test_training_curve_is_logarithmic_where_the_loss_needs_it_with_plain_numbers():
    history = [{"step": step, "loss": 1000.0 / step**2, "weight_decay": 1e-9} for step in range(1, 40)]
    text = text_of(figures.training_curve(history))
    assert " 1 10 100 1000 " in f" {text} "
    assert "mathdefault" not in text
    assert "1e-09" not in text


def test_training_curve_draws_nothing_for_an_empty_history():
    assert "training step" in text_of(figures.training_curve([]))


@pytest.mark.parametrize("missing", [float("nan"), None])
def test_training_curve_leaves_out_what_is_not_finite(missing):
    history = make_history()
    history[100]["loss"] = missing
    without = [dict(line) for line in history]
    del without[100]["loss"]
    assert figures.training_curve(history) == figures.training_curve(without)


def test_training_curve_thins_out_a_long_history():
    losses = np.random.default_rng(0).random(20_000)
    history = [{"step": step, "loss": float(loss)} for step, loss in enumerate(losses, start=1)]
    assert len(figures.training_curve(history)) < 100_000


def test_loss_terms_put_the_loss_first_and_leave_out_rates():
    history = [{"step": 1, "method": 1.0, "loss": 2.0, "learning_rate": 0.1, "clips_per_second": 3.0}]
    history.append({"step": 2, "loss": 1.0, "validation_loss": 2.0, "validation_method": 1.0, "gradient_norm": 1.0})
    assert figures.loss_terms(history) == ["loss", "validation_loss", "method"]


def test_similarity_matrix_names_both_clips_as_they_are():
    text = text_of(matrix(query_name="$x_1$ <b>.mp4", candidate_name="c" * 60))
    assert "A: $x_1$ <b>.mp4, time (s)" in text
    assert "c" * 27 + "…" in text


def test_similarity_matrix_of_identical_frames():
    assert "time warping path" in text_of(matrix(distances=np.zeros((12, 8))))


def test_similarity_matrix_refuses_what_is_no_matrix():
    with pytest.raises(ShapeError, match=r"distances: expected \[Tq, Tc\], got shape \[3\]"):
        matrix(distances=np.zeros(3))


def test_phase_colors_are_different_and_never_run_out():
    assert len({figures.phase_color(label) for label in range(8)}) == 8
    assert figures.phase_color(8) == figures.phase_color(0)
    assert figures.phase_color(-1) == figures.UNLABELLED_COLOR


def test_text_image_stays_inside_its_box():
    image = figures.text_image("a line of text that is far too long for this box", width=120, height=20)
    assert image.shape == (20, 120, 3)
    assert image.dtype == np.uint8
    assert image.min() < 100
    assert (image[:, -4:] == 255).all()


def test_text_image_of_nothing_is_white():
    assert (figures.text_image("", width=30, height=20) == 255).all()


def test_confusion_matrix_has_shares_and_numbers_and_a_dash_for_a_phase_without_frames():
    text = text_of(CHARTS["confusion_matrix"]())
    for part in ("0.75 3", "0.25 1", "– –", "$b$ <i>", "true phase"):
        assert part in text


def test_tau_matrix_hatches_what_is_undefined_and_stars_the_outliers():
    svg = CHARTS["tau_matrix"]()
    assert "pattern" in svg and "★ b" in text_of(svg)


def test_progression_names_its_events():
    text = text_of(progression())
    assert "a → b" in text and "b → c" in text and "truth" in text


def test_maps_name_phases_variance_and_time():
    for svg in (phase_map(), time_map()):
        text = text_of(svg)
        assert "first component (60% of the variance)" in text and "second component (25%)" in text
    assert "no label a b c" in text_of(phase_map())
    assert "time, share of the clip" in text_of(time_map())


def test_map_without_phases():
    assert "no label" in text_of(phase_map(labels=np.full(30, -1), phases=[]))


@pytest.mark.parametrize(
    ("draw", "axes"),
    [
        (lambda: figures.confusion_matrix([1, 2], phases=["a", "b"]), r"counts: expected \[K, K\]"),
        (lambda: progression(truth=np.zeros(10)), r"truth: expected \[T, K-1\]"),
        (lambda: progression(predicted=np.zeros(10)), r"predicted: expected \[T, K-1\]"),
        (lambda: figures.tau_matrix(np.zeros(3), names=["a"] * 3), r"taus: expected \[N, N\]"),
        (lambda: phase_map(points=np.zeros(30)), r"points: expected \[N, 2\]"),
        (lambda: time_map(np.zeros(30)), r"points: expected \[N, 2\]"),
    ],
)
def test_what_is_no_matrix_is_refused(draw, axes):
    with pytest.raises(ShapeError, match=axes):
        draw()
