from __future__ import annotations

import json

import numpy as np
import pytest

from tcc.alignment import (
    dynamic_time_warping,
    nearest_neighbors,
    neighbor_confidence,
    pairwise_distances,
    path_confidence,
    subsequence_time_warping,
)
from tcc.alignment.confidence import confidence_of_matches
from tcc.alignment.dynamic_time_warping import cheapest_path
from tcc.alignment.nearest_neighbor import NearestInEach
from tcc.errors import MetricUndefined, SettingsError, ShapeError
from tests.golden import golden_path
from tests.reference import alignment as reference

DISTANCES = ("sqeuclidean", "cosine")


def sequences(*, seed, lengths, size):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(length, size)).astype(np.float32) for length in lengths]


@pytest.mark.parametrize("distance", DISTANCES)
def test_distances_match_double_loop(distance):
    query, candidates = sequences(seed=0, lengths=(3, 5), size=4)
    expected = reference.distances(query, candidates, distance)
    np.testing.assert_allclose(pairwise_distances(query, candidates, distance=distance), expected, rtol=1e-12)


def test_distances_far_from_the_origin_keep_their_digits():
    query, candidates = (array.astype(np.float64) for array in sequences(seed=1, lengths=(3, 5), size=4))
    near = pairwise_distances(query, candidates)
    np.testing.assert_allclose(pairwise_distances(query + 1e6, candidates + 1e6), near, rtol=1e-7)


@pytest.mark.parametrize("distance", DISTANCES)
def test_nearest_neighbors_match_double_loop(distance):
    query, candidates = sequences(seed=2, lengths=(30, 41), size=3)
    expected = reference.nearest_neighbors(query, candidates, distance)
    np.testing.assert_array_equal(nearest_neighbors(query, candidates, distance=distance), expected)


def test_of_equally_near_frames_the_first_is_taken():
    """Each frame is there three times in a row; the matrix product may round the three differently."""
    (frames,) = sequences(seed=3, lengths=(20,), size=37)
    thrice = np.repeat(frames, 3, axis=0)
    np.testing.assert_array_equal(nearest_neighbors(frames * 1.01, thrice), 3 * np.arange(20))
    np.testing.assert_array_equal(NearestInEach([thrice]).neighbors(frames * 1.01), [3 * np.arange(20)])
    rounding = np.array([[0.5], [0.5 + 1e-15], [5.0]])
    assert NearestInEach([rounding]).neighbors(np.array([[0.5 + 1e-15]])) == [[0]]
    assert NearestInEach([rounding]).neighbors(np.array([[4.0]])) == [[2]]


@pytest.mark.parametrize("distance", DISTANCES)
def test_nearest_in_each_of_unequal_sequences_is_nearest_in_one(distance):
    query, *others = sequences(seed=4, lengths=(7, 5, 1, 9), size=3)
    together = NearestInEach(others, distance=distance).neighbors(query)
    for found, other in zip(together, others):
        np.testing.assert_array_equal(found, nearest_neighbors(query, other, distance=distance))


def test_nearest_in_each_far_from_the_origin_keeps_its_digits():
    query, *others = (array.astype(np.float64) for array in sequences(seed=9, lengths=(7, 5, 9), size=3))
    near = NearestInEach(others).neighbors(query)
    np.testing.assert_array_equal(NearestInEach([other + 1e8 for other in others]).neighbors(query + 1e8), near)


def test_blocks_of_queries_change_nothing(monkeypatch):
    query, *others = sequences(seed=5, lengths=(7, 5, 9), size=3)
    whole = NearestInEach(others).neighbors(query)
    monkeypatch.setattr("tcc.alignment.nearest_neighbor._BLOCK_ELEMENTS", 40)
    np.testing.assert_array_equal(NearestInEach(others).neighbors(query), whole)
    np.testing.assert_array_equal(nearest_neighbors(np.repeat(query, 9, axis=0), others[0])[::9], whole[0])


@pytest.mark.parametrize("pair", [(0, 1), (2, 3)])
def test_nearest_neighbors_as_the_reference(pair):
    arrays = np.load(golden_path("evaluation.npz"))
    query, candidates = (arrays[f"val_{clip:02d}_embs"] for clip in pair)
    np.testing.assert_array_equal(nearest_neighbors(query, candidates), arrays[f"nn_{pair[0]}_{pair[1]}"])


@pytest.mark.parametrize("pair", [(0, 1), (2, 3)])
def test_dynamic_time_warping_as_the_reference(pair):
    arrays = np.load(golden_path("evaluation.npz"))
    scalars = json.loads(golden_path("evaluation.json").read_text())
    query, candidates = (arrays[f"val_{clip:02d}_embs"] for clip in pair)
    path = dynamic_time_warping(query, candidates)
    name = f"dtw_{pair[0]}_{pair[1]}"
    assert path.cost == pytest.approx(scalars[f"{name}_distance"], rel=1e-6)
    np.testing.assert_array_equal(path.query_indices, arrays[f"{name}_path0"])
    np.testing.assert_array_equal(path.candidate_indices, arrays[f"{name}_path1"])
    np.testing.assert_array_equal(path.first_match(), arrays[f"{name}_nns"])


@pytest.mark.parametrize("lengths", [(1, 1), (1, 6), (6, 1), (2, 3), (3, 2), (9, 25), (25, 9), (17, 17)])
@pytest.mark.parametrize("distance", DISTANCES)
def test_warping_path_is_a_path_and_the_cheapest(lengths, distance):
    query, candidates = sequences(seed=6, lengths=lengths, size=3)
    costs = np.array(reference.distances(query, candidates, distance))
    path = dynamic_time_warping(query, candidates, distance=distance)
    assert path.cost == pytest.approx(reference.warping_cost(costs.tolist()), rel=1e-12)
    assert costs[path.query_indices, path.candidate_indices].sum() == pytest.approx(path.cost, rel=1e-12)
    steps = np.stack([np.diff(path.query_indices), np.diff(path.candidate_indices)], axis=1)
    assert {tuple(step) for step in steps.tolist()} <= {(1, 1), (1, 0), (0, 1)}
    assert (path.query_indices[0], path.candidate_indices[0]) == (0, 0)
    assert (path.query_indices[-1] + 1, path.candidate_indices[-1] + 1) == lengths


def test_the_cheapest_of_all_paths_is_found():
    costs = np.random.default_rng(7).uniform(size=(5, 6))
    assert cheapest_path(costs).cost == pytest.approx(reference.cheapest_of_all_paths(costs.tolist()), rel=1e-12)


def test_costs_of_very_different_size_are_not_lost():
    """One cell of 1e20 beside the way 1 + 2 + 3 must not swallow it: no sums are subtracted."""
    assert cheapest_path(np.array([[1.0, 1e20, 1e20], [1e20, 2.0, 3.0]])).cost == 6.0


def test_identical_sequences_go_along_the_diagonal():
    (frames,) = sequences(seed=8, lengths=(12,), size=3)
    path = dynamic_time_warping(frames, frames)
    np.testing.assert_array_equal(path.query_indices, np.arange(12))
    np.testing.assert_array_equal(path.candidate_indices, np.arange(12))


def test_first_match_is_the_first_candidate_of_each_frame():
    path = dynamic_time_warping(np.array([[0.0], [5.0]]), np.array([[0.0], [0.1], [4.9], [5.0]]))
    np.testing.assert_array_equal(path.first_match(), [0, 2])


@pytest.mark.parametrize("lengths", [(1, 1), (1, 6), (6, 1), (2, 3), (3, 2), (9, 25), (25, 9), (17, 17)])
@pytest.mark.parametrize("distance", DISTANCES)
def test_a_subsequence_is_found_as_by_a_loop(lengths, distance):
    query, candidates = sequences(seed=10, lengths=lengths, size=3)
    path = subsequence_time_warping(query, candidates, distance=distance)
    steps, cost = reference.subsequence_path(reference.distances(query, candidates, distance))
    assert list(zip(path.query_indices.tolist(), path.candidate_indices.tolist())) == steps
    assert path.cost == pytest.approx(cost, rel=1e-12)


def test_no_stretch_of_the_candidates_is_cheaper():
    costs = np.random.default_rng(11).uniform(size=(4, 7))
    found = cheapest_path(costs, subsequence=True)
    assert found.cost == pytest.approx(reference.cheapest_of_all_subsequences(costs.tolist()), rel=1e-12)


def test_an_action_is_found_where_it_happens():
    query, before, after = sequences(seed=12, lengths=(10, 30, 20), size=5)
    slow = np.repeat(query, 2, axis=0)
    path = subsequence_time_warping(query, np.concatenate([before, slow, after]))
    assert path.cost == 0
    np.testing.assert_array_equal(path.query_indices[[0, -1]], [0, 9])
    # Of equally cheap ends the first; back from there the path starts as soon as it is at query frame 0.
    np.testing.assert_array_equal(path.candidate_indices[[0, -1]], [31, 48])
    np.testing.assert_array_equal(query[path.query_indices], np.concatenate([before, slow])[path.candidate_indices])


def test_ties_of_a_subsequence_are_the_first_end_and_the_shortest_way():
    path = subsequence_time_warping(np.zeros((3, 2)), np.zeros((5, 2)))
    assert (path.query_indices.tolist(), path.candidate_indices.tolist()) == ([0, 1, 2], [0, 0, 0])
    twice = subsequence_time_warping(np.array([[1.0], [2.0]]), np.array([[0.0], [1.0], [2.0], [0.0], [1.0], [2.0]]))
    assert (twice.candidate_indices.tolist(), twice.cost) == ([1, 2], 0.0)


@pytest.mark.parametrize("window", [0, 1, 4, 30])
@pytest.mark.parametrize("distance", DISTANCES)
def test_confidence_matches_a_loop(window, distance):
    query, candidates = sequences(seed=13, lengths=(12, 9), size=3)
    costs = reference.distances(query, candidates, distance)
    neighbors = nearest_neighbors(query, candidates, distance=distance)
    found = neighbor_confidence(query, candidates, neighbors, window=window, distance=distance)
    expected = reference.confidence(costs, list(enumerate(neighbors)), window)
    np.testing.assert_allclose(found, np.array(expected, float), rtol=1e-9, atol=1e-12)
    path = dynamic_time_warping(query, candidates, distance=distance)
    of_path = path_confidence(query, candidates, path, window=window, distance=distance)
    expected = reference.confidence(costs, list(zip(path.query_indices, path.candidate_indices)), window)
    np.testing.assert_allclose(of_path, np.array(expected, float), rtol=1e-9, atol=1e-12)


def test_a_constant_embedding_has_no_confidence():
    frames = np.ones((8, 3))
    np.testing.assert_array_equal(neighbor_confidence(frames, frames, np.zeros(8, int), window=2), np.zeros(8))
    path = dynamic_time_warping(frames, frames)
    np.testing.assert_array_equal(path_confidence(frames, frames, path, window=2), np.zeros(len(path.query_indices)))


def test_a_unique_match_has_confidence_near_one_and_a_repeated_or_strange_frame_near_zero():
    places = 10.0 * np.eye(12)
    unique = neighbor_confidence(places[:3] + 0.1, places, np.arange(3), window=2)
    assert (unique > 0.99).all()
    repeated = np.concatenate([places, places])
    assert (neighbor_confidence(places[:3] + 0.1, repeated, np.arange(3), window=2) < 1e-9).all()
    strange = np.full((1, 12), 1000.0)
    assert neighbor_confidence(strange, places, nearest_neighbors(strange, places), window=2)[0] < 0.01


def test_a_step_that_is_farther_than_another_place_has_no_confidence():
    distances = np.array([[5.0, 5.0, 5.0, 1.0], [0.0, 2.0, 2.0, 4.0]])
    found = confidence_of_matches(distances, np.array([0, 1]), np.array([0, 0]), window=1)
    np.testing.assert_allclose(found, [0, 1])


def test_confidence_is_undefined_where_nothing_lies_elsewhere():
    frames = np.arange(4.0)[:, None]
    found = neighbor_confidence(frames, frames, np.arange(4), window=2)
    np.testing.assert_array_equal(np.isnan(found), [False, True, True, False])
    with pytest.raises(SettingsError, match="window: must be at least 0 frames, got -1"):
        neighbor_confidence(frames, frames, np.arange(4), window=-1)


@pytest.mark.parametrize(
    "function", [nearest_neighbors, dynamic_time_warping, subsequence_time_warping, pairwise_distances]
)
def test_what_cannot_be_aligned_says_why(function):
    frames = np.ones((4, 3))
    with pytest.raises(ShapeError, match=r"query: expected \[T, D\], got shape \[3\]"):
        function(np.ones(3), frames)
    with pytest.raises(ShapeError, match=r"candidates: no frames, got shape \[0, 3\]; pass at least one"):
        function(frames, np.ones((0, 3)))
    with pytest.raises(ShapeError, match=r"differ in embedding size D: got shapes \[4, 3\] and \[4, 2\]"):
        function(frames, np.ones((4, 2)))
    with pytest.raises(SettingsError, match="distance: must be one of sqeuclidean, cosine; got 'euclidean'"):
        function(frames, frames, distance="euclidean")
    broken = np.where(np.arange(4)[:, None] == 1, np.nan, frames)
    with pytest.raises(MetricUndefined, match="query: 1 of 4 frames are not finite; leave them out"):
        function(broken, frames)
    empty = np.where(np.arange(4)[:, None] > 1, 0, frames)
    with pytest.raises(MetricUndefined, match=r"query: 2 of 4 frames have length zero, .* use sqeuclidean"):
        function(empty, frames, distance="cosine")
