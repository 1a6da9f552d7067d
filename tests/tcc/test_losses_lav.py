"""Soft-DTW and LAV: against the list of all ways, against loops, against golden numbers, and by their properties."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import tensorflow as tf

from tcc import losses
from tcc.errors import SettingsError, ShapeError
from tests.golden import golden_path
from tests.reference import sequence_losses as reference
from tests.tcc.loss_samples import finite_difference, random_embeddings, value_and_gradient

GAMMAS = (1.0, 0.1, 0.01, 0.001)
# Four videos, two pairs; uneven times and lengths, pairs of frames on both sides of sigma = 4 and right at it.
FRAME_INDICES = np.array([[0, 2, 3, 7, 11], [1, 2, 8, 9, 10], [3, 4, 5, 6, 30], [0, 4, 8, 9, 15]])
SEQUENCE_LENGTHS = np.array([12, 14, 40, 16])
TIMES = {"frame_indices": FRAME_INDICES, "sequence_lengths": SEQUENCE_LENGTHS}


def random_costs(*shape, seed=0):
    return np.random.default_rng(seed).uniform(0, 2, shape).astype(np.float32)


def number_of_ways(count):
    """Monotonic ways through a square table: the central Delannoy numbers 1, 3, 13, 63, ..."""
    return sum(math.comb(count - 1, k) * math.comb(count - 1 + k, k) for k in range(count))


@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (5, 1), (2, 2), (3, 5), (5, 3), (4, 4)])
@pytest.mark.parametrize("gamma", [2.0, 0.1])
def test_soft_dtw_is_the_soft_minimum_over_all_ways(shape, gamma):
    """Value, gradient and expected alignment of small tables from the list of every monotonic way."""
    costs = random_costs(*shape, seed=sum(shape))
    expected, alignment = reference.soft_dtw_over_ways(costs.astype(np.float64), gamma)
    value, (gradient,) = value_and_gradient(lambda array: losses.soft_dtw(array, gamma=gamma), costs)
    np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(gradient, alignment, atol=2e-6)
    np.testing.assert_allclose(losses.soft_dtw_alignment(costs, gamma=gamma), alignment, atol=2e-6)


def test_soft_dtw_works_on_many_tables_at_once():
    costs, upstream = random_costs(2, 3, 4, 6), random_embeddings(2, 3, seed=1)
    value, (gradient,) = value_and_gradient(lambda array: losses.soft_dtw(array, gamma=0.3), costs)
    assert value.shape == (2, 3)
    _, (weighted,) = value_and_gradient(
        lambda array: tf.reduce_sum(upstream * losses.soft_dtw(array, gamma=0.3)), costs
    )
    for index in np.ndindex(2, 3):
        np.testing.assert_allclose(value[index], reference.soft_dtw(costs[index], 0.3), rtol=1e-5)
        alignment = losses.soft_dtw_alignment(costs[index], gamma=0.3)
        np.testing.assert_allclose(gradient[index], alignment, atol=1e-6)
        np.testing.assert_allclose(weighted[index], upstream[index] * alignment, atol=1e-6)


def test_soft_dtw_is_the_golden_one():
    cases = json.loads(golden_path("lav.json").read_text())["soft_dtw"]
    arrays = np.load(golden_path("lav.npz"))
    assert len(cases) == 12
    for case in cases:
        name, gamma = case["matrix"], case["gamma"]
        value, (gradient,) = value_and_gradient(
            lambda array, gamma=gamma: losses.soft_dtw(array, gamma=gamma), arrays[name].astype(np.float32)
        )
        np.testing.assert_allclose(value, case["value"], rtol=1e-5, err_msg=str(case))
        expected = arrays[f"{name}_g{gamma:g}_E"]
        # Costs are rounded to float32: at gamma .001 that alone moves exponents by 1e-4.
        assert np.abs(gradient - expected).max() <= max(2e-5, 1e-7 / gamma), case


def test_small_gamma_is_hard_dtw_and_its_way():
    """To gamma log(ways): 11 x 9 cells have fewer than 3^20 ways."""
    costs = random_costs(11, 9)
    hard = reference.hard_dtw(costs.astype(np.float64))
    for gamma in (1e-2, 1e-3, 1e-5):
        value = float(losses.soft_dtw(costs, gamma=gamma))
        assert hard - gamma * 20 * math.log(3) - 1e-5 <= value <= hard + 1e-5
    alignment = losses.soft_dtw_alignment(costs, gamma=1e-5).numpy()
    np.testing.assert_allclose((alignment * costs).sum(), hard, rtol=1e-5)
    assert set(np.round(np.unique(alignment), 5)) == {0.0, 1.0}


def test_large_gamma_is_the_mean_over_all_ways():
    costs = random_costs(4, 4)
    ways = reference.monotonic_ways(4, 4)
    assert len(ways) == number_of_ways(4) == 63
    uniform = np.zeros((4, 4))
    for way in ways:
        for cell in way:
            uniform[cell] += 1 / 63
    np.testing.assert_allclose(losses.soft_dtw_alignment(costs, gamma=1e6), uniform, atol=1e-5)


def test_the_expected_alignment_is_a_chance_and_certain_at_both_ends():
    alignment = losses.soft_dtw_alignment(random_costs(3, 30, 20), gamma=0.1).numpy()
    assert alignment.min() >= 0 and alignment.max() <= 1 + 1e-5
    np.testing.assert_allclose(alignment[:, [0, -1], [0, -1]], 1.0, rtol=1e-5)
    assert (alignment.sum(axis=1) >= 1 - 1e-5).all() and (alignment.sum(axis=2) >= 1 - 1e-5).all()


@pytest.mark.parametrize("shape", [(20, 20), (13, 40), (40, 13)])
def test_soft_dtw_turns_with_its_table(shape):
    costs = random_costs(*shape)
    value = losses.soft_dtw(costs, gamma=0.1)
    for turned in (costs.T, costs[::-1, ::-1]):
        np.testing.assert_allclose(losses.soft_dtw(np.ascontiguousarray(turned), gamma=0.1), value, rtol=1e-5)


def test_soft_dtw_gradient_matches_central_differences_of_itself():
    costs = random_costs(6, 7)
    value = lambda array: float(losses.soft_dtw(array, gamma=0.5))  # noqa: E731
    positions = [(0, 0), (2, 3), (5, 6), (1, 5), (3, 3)]
    gradient = losses.soft_dtw_alignment(costs, gamma=0.5).numpy()
    slopes = finite_difference(value, costs, positions, width=1e-2)
    np.testing.assert_allclose([gradient[position] for position in positions], slopes, atol=1e-3)


@pytest.mark.parametrize("near_weight", losses.NEAR_WEIGHTS)
@pytest.mark.parametrize("l2_normalize, soft_dtw_normalize", [(True, False), (False, True), (False, False)])
@pytest.mark.parametrize("normalize_indices", [True, False])
def test_lav_matches_loops_and_finite_differences(near_weight, l2_normalize, soft_dtw_normalize, normalize_indices):
    embeddings = random_embeddings(4, 5, 3, seed=3, scale=0.5)
    settings = {
        **TIMES,
        "gamma": 0.2,
        "sigma": 4,
        "margin": 1.5,
        "alpha": 0.3,
        "l2_normalize": l2_normalize,
        "soft_dtw_normalize": soft_dtw_normalize,
        "normalize_indices": normalize_indices,
        "idm_near_weight": near_weight,
    }
    value, (gradient,) = value_and_gradient(lambda array: losses.lav_loss(array, **settings), embeddings)
    slow = lambda array: reference.lav_loss(array, **settings)  # noqa: E731
    np.testing.assert_allclose(value, slow(embeddings), rtol=1e-5, atol=1e-6)
    positions = [(0, 0, 0), (1, 2, 2), (2, 4, 1), (3, 3, 0), (3, 0, 1)]
    slopes = finite_difference(slow, embeddings.astype(np.float64), positions, width=1e-6)
    np.testing.assert_allclose(
        [gradient[position] for position in positions], slopes, rtol=1e-3, atol=1e-4 * np.abs(gradient).max()
    )


def test_lav_is_the_golden_one():
    """Loss to 1e-5 and gradient to 2e-5 of its largest entry, in every golden case; alignment and moments as well."""
    cases = json.loads(golden_path("lav.json").read_text())["cases"]
    arrays = np.load(golden_path("lav.npz"))
    assert len(cases) == 24
    for case in cases:
        prefix = f"in_{case['input']}"
        embeddings = arrays[f"{prefix}_embs"]
        times = {
            "frame_indices": arrays[f"{prefix}_steps"],
            "sequence_lengths": arrays[f"{prefix}_seq_lens"],
            "sigma": case["sigma"],
            "margin": case["margin"],
            "normalize_indices": case["idm_time"] == "normalised",
        }
        settings = {key: case[key] for key in ("gamma", "alpha", "l2_normalize", "soft_dtw_normalize")}
        settings["idm_near_weight"] = case["idm_near_weight"]
        value, (gradient,) = value_and_gradient(
            lambda array, settings=settings, times=times: losses.lav_loss(array, **settings, **times), embeddings
        )
        np.testing.assert_allclose(value, case["loss"], rtol=1e-5, err_msg=case["id"])
        expected = arrays[f"{case['id']}_grad"]
        assert np.abs(gradient - expected).max() <= 2e-5 * np.abs(expected).max(), case["id"]
        if case["l2_normalize"]:
            embeddings = embeddings / np.linalg.norm(embeddings, axis=-1, keepdims=True)
        moments = losses.contrastive_idm(embeddings, near_weight=case["idm_near_weight"], **times)
        np.testing.assert_allclose(moments, [case["idm_a"], case["idm_b"]], rtol=1e-5, err_msg=case["id"])
        if not case["soft_dtw_normalize"]:
            alignment = losses.soft_dtw_alignment(reference.distances(*embeddings), gamma=case["gamma"])
            np.testing.assert_allclose(alignment, arrays[f"{case['id']}_expected_alignment"], atol=2e-4)


def test_lav_of_swapped_videos_and_of_swapped_pairs_is_the_same():
    embeddings = random_embeddings(4, 5, 3)
    value = losses.lav_loss(embeddings, sigma=4, **TIMES)
    for order in ([1, 0, 2, 3], [2, 3, 0, 1], [3, 2, 1, 0]):
        moved = losses.lav_loss(
            embeddings[order],
            sigma=4,
            frame_indices=FRAME_INDICES[order],
            sequence_lengths=SEQUENCE_LENGTHS[order],
        )
        np.testing.assert_allclose(moved, value, rtol=1e-5)
    mixed = losses.lav_loss(embeddings[[0, 2, 1, 3]], sigma=4, alpha=0.0)
    assert abs(float(mixed) - float(losses.lav_loss(embeddings, sigma=4, alpha=0.0))) > 1e-3


def test_lav_without_regularization_and_smoothing_is_dtw_over_t():
    embeddings = random_embeddings(2, 6, 3)
    hard = reference.hard_dtw(reference.distances(*embeddings.astype(np.float64)))
    value = losses.lav_loss(embeddings, alpha=0.0, gamma=1e-5, l2_normalize=False)
    np.testing.assert_allclose(value, hard / 6, rtol=1e-4)


def test_a_wide_window_leaves_the_sum_of_all_distances():
    embeddings = random_embeddings(3, 5, 4)
    moments = losses.contrastive_idm(embeddings, sigma=5)
    expected = [reference.distances(sequence, sequence).sum() for sequence in embeddings.astype(np.float64)]
    np.testing.assert_allclose(moments, expected, rtol=1e-5)


def test_no_margin_leaves_only_near_frames():
    embeddings = random_embeddings(1, 5, 4)
    distances = reference.distances(embeddings[0], embeddings[0])
    near = np.abs(np.subtract.outer(np.arange(5), np.arange(5))) <= 2
    np.testing.assert_allclose(
        losses.contrastive_idm(embeddings, sigma=2, margin=0.0), [distances[near].sum()], rtol=1e-5
    )


def test_frames_exactly_sigma_apart_are_near():
    """Frames 0 and 10: their distance of 8 is pulled at sigma 10, twice, and beyond the margin at sigma 9."""
    embeddings = np.stack([np.zeros(8, np.float32), np.ones(8, np.float32)])[np.newaxis]
    settings = {"frame_indices": [[0, 10]], "sequence_lengths": [20]}
    np.testing.assert_allclose(losses.contrastive_idm(embeddings, sigma=10, **settings), [16.0], rtol=1e-6)
    np.testing.assert_allclose(losses.contrastive_idm(embeddings, sigma=9, **settings), [0.0], atol=1e-6)


def test_lav_of_identical_frames():
    """Every way costs 0, so soft-DTW is -gamma ln(ways); far frames cost their weight times the margin.

    T = 4, sigma 1: 6 ordered pairs are far, four of them 2/4 and two 3/4 apart: 6 + 4 (1/4) + 2 (9/16) = 8.125.
    """
    value = losses.lav_loss(np.ones((2, 4, 3), np.float32), gamma=0.2, sigma=1, margin=1.5, alpha=0.5)
    expected = (-0.2 * math.log(number_of_ways(4)) + 0.5 * 2 * 1.5 * 8.125) / 4
    np.testing.assert_allclose(value, expected, rtol=1e-5)


def test_normalized_soft_dtw_of_equal_videos_is_zero():
    embeddings = np.repeat(random_embeddings(1, 6, 3), 2, axis=0)
    value, (gradient,) = value_and_gradient(
        lambda array: losses.lav_loss(array, alpha=0.0, soft_dtw_normalize=True), embeddings
    )
    np.testing.assert_allclose(value, 0.0, atol=1e-6)
    np.testing.assert_allclose(gradient, 0.0, atol=1e-5)


def test_errors_say_what_to_do():
    embeddings = random_embeddings(4, 5, 3)
    with pytest.raises(ShapeError, match=r"aligned in pairs, got shape \[3, 5, 3\] \(B=3\); pass an even B"):
        losses.lav_loss(embeddings[:3])
    with pytest.raises(ShapeError, match=r"embeddings: expected \[B, T, D\], got shape \[5, 3\]"):
        losses.lav_loss(embeddings[0])
    with pytest.raises(ShapeError, match=r"frame_indices: expected \[4, 5\], got shape \[4, 4\]"):
        losses.lav_loss(embeddings, frame_indices=np.zeros((4, 4)))
    with pytest.raises(ShapeError, match=r"sequence_lengths: expected \[4\], got shape \[2\]"):
        losses.contrastive_idm(embeddings, sequence_lengths=np.ones(2))
    with pytest.raises(SettingsError, match="idm_near_weight: must be one of one, inverse; got 'two'"):
        losses.lav_loss(embeddings, idm_near_weight="two")
    with pytest.raises(SettingsError, match=r"gamma: must be greater than 0; got 0"):
        losses.soft_dtw(np.ones((3, 4), np.float32), gamma=0)
    with pytest.raises(ShapeError, match=r"cost: expected \[\.\.\., n, m\] of a static shape .* got shape \[4\]"):
        losses.soft_dtw(np.ones(4, np.float32))
