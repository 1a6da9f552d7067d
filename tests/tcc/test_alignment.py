from __future__ import annotations

import json

import numpy as np
import pytest

from tcc.alignment import dynamic_time_warping, nearest_neighbors, pairwise_distances
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


@pytest.mark.parametrize("function", [nearest_neighbors, dynamic_time_warping, pairwise_distances])
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
