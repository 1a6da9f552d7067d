"""Frames matched in other clips by nearest neighbor and by warping, and what the metrics make of the warping paths."""

from __future__ import annotations

import numpy as np
import pytest

from tcc.alignment import dynamic_time_warping, nearest_neighbors
from tcc.errors import SettingsError
from tcc.evaluation import boundary_transfer, matching, phase_agreement
from tcc.evaluation.matching import Matching, draw_pairs, ordered_pairs
from tests.reference import alignment as reference_alignment
from tests.reference import evaluation as reference
from tests.tcc.evaluation_clips import PHASES, TRIMS, clip_of, random_clips


@pytest.mark.parametrize("distance", ["sqeuclidean", "cosine"])
@pytest.mark.parametrize("small_size", [256, 0])
def test_matches_are_those_of_each_pair_alone(distance, small_size, monkeypatch):
    """Also where distances come from matrix products, as for many dimensions."""
    monkeypatch.setattr(matching, "SMALL_SIZE", small_size)
    clips = random_clips(seed=0, count=3, num_phases=5, size=3, noise=1.0)
    found = Matching(clips, distance=distance)
    for i, j in ordered_pairs(3):
        own, other = clips[i].values, clips[j].values
        assert found.nearest(i, j).tolist() == nearest_neighbors(own, other, distance=distance).tolist()
        forth, back = found.warped([(i, j)])[i, j]
        assert (forth.tolist(), back.tolist()) == reference_alignment.first_matches(own, other, distance)
        assert forth.tolist() == dynamic_time_warping(own, other, distance=distance).first_match().tolist()


def test_a_path_is_searched_once(monkeypatch):
    clips, calls = random_clips(seed=0, count=3, num_phases=5), []
    warp = matching.cheapest_path
    monkeypatch.setattr(matching, "cheapest_path", lambda distances: calls.append(1) or warp(distances))
    shared = Matching(clips, distance="sqeuclidean")
    for metric in (phase_agreement, boundary_transfer):
        alone, together = (metric(clips, phases=PHASES, matching=given, **TRIMS) for given in (None, shared))
        assert alone.as_dict() == together.as_dict()
    assert len(calls) == 3 * 6


def test_pairs_are_drawn_where_there_are_too_many():
    assert draw_pairs(4, 12, seed=0) == ordered_pairs(4)
    drawn = draw_pairs(4, 11, seed=0)
    assert len(set(drawn)) == 11 and set(drawn) < set(ordered_pairs(4)) and drawn == sorted(drawn)
    assert draw_pairs(9, 7, seed=0) == draw_pairs(9, 7, seed=0) != draw_pairs(9, 7, seed=1)
    seen = {pair for seed in range(200) for pair in draw_pairs(4, 2, seed=seed)}
    assert seen == set(ordered_pairs(4))
    assert draw_pairs(1, 5, seed=0) == draw_pairs(0, 5, seed=0) == []
    with pytest.raises(SettingsError, match="dtw_pairs: must be at least 1, got 0"):
        draw_pairs(3, 0, seed=0)


@pytest.mark.parametrize("dtw_pairs", [400, 5])
def test_phase_agreement_by_warping_matches_double_loop(dtw_pairs):
    clips = random_clips(seed=0, count=3, num_phases=5, size=3, noise=1.0, unlabelled=True)
    warped = phase_agreement(clips, phases=PHASES, **{**TRIMS, "dtw_pairs": dtw_pairs}).details["dtw"]
    pairs = draw_pairs(3, dtw_pairs, seed=0)
    assert warped["value"] == pytest.approx(reference.warped_agreement(clips, pairs), rel=1e-12)
    assert 0.2 < warped["value"] < 1
    assert (warped["count"], warped["pairs"], warped["pairs_in_all"]) == (len(pairs), len(pairs), 6)
    assert warped["undefined"] == []


@pytest.mark.parametrize("dtw_pairs", [400, 5])
def test_boundary_transfer_by_warping_matches_double_loop(dtw_pairs):
    clips = random_clips(seed=0, count=3, num_phases=5, size=3, noise=2.5)
    warped = boundary_transfer(clips, phases=PHASES, **{**TRIMS, "dtw_pairs": dtw_pairs}).details["dtw"]
    errors = reference.warped_boundary_errors(clips, 5, draw_pairs(3, dtw_pairs, seed=0))
    assert warped["value"] == pytest.approx(np.median(errors))
    assert (warped["count"], warped["pairs_in_all"]) == (len(errors), 6)
    assert warped["value"] > 0


def test_warping_keeps_to_the_order_of_time_where_neighbors_do_not():
    """One place is visited in two phases: neighbors take the first visit, the path walks through both."""
    places, labels = [0, 1, 2, 3, 2, 1, 0, 5], [0, 0, 0, 0, 1, 1, 1, 1]
    clips = [clip_of(name, np.array(places)[:, None], labels) for name in ("a", "b")]
    result = phase_agreement(clips, phases=PHASES[:2], **TRIMS)
    assert result.value == 5 / 8
    assert result.details["dtw"]["value"] == 1.0


def test_clips_that_cannot_be_warped_are_named():
    clips = random_clips(seed=0, count=3, num_phases=5)
    broken = clip_of("broken", np.full((9, 8), np.nan), [0] * 9)
    still = clip_of("still", np.full((9, 8), 0.7), [0] * 9)
    for metric in (phase_agreement, boundary_transfer):
        warped = metric([*clips, broken, still], phases=PHASES, **TRIMS).details["dtw"]
        assert warped["value"] == metric(clips, phases=PHASES, **TRIMS).details["dtw"]["value"]
        assert warped["pairs_in_all"] == 20
        assert [entry["what"] for entry in warped["undefined"]] == ["clip broken", "clip still"]


def test_no_pair_with_labels_has_no_value_by_warping():
    ramp = np.arange(8.0)[:, None]
    early = clip_of("early", ramp, [0, 0, 0, -1, -1, -1, -1, -1])
    late = clip_of("late", ramp, [-1, -1, -1, -1, -1, 1, 1, 1])
    warped = phase_agreement([early, late], phases=PHASES, **TRIMS).details["dtw"]
    assert (warped["value"], warped["count"]) == (None, 0)
    reasons = {entry["reason"] for entry in warped["undefined"]}
    assert reasons == {"no labelled frame meets another"}
