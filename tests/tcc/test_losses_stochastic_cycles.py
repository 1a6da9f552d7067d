"""Cycles drawn at random: against loops, against the reference's numbers, and how they are drawn."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tcc import losses
from tcc.errors import SettingsError, ShapeError
from tests.golden import golden_path
from tests.reference import losses as reference
from tests.tcc.loss_samples import (
    FRAME_INDICES,
    SEQUENCE_LENGTHS,
    finite_difference,
    golden_cycle_settings,
    random_embeddings,
    value_and_gradient,
)

# Three cycles of three sequences, two of them through the same ones in another order, from frames all over.
CYCLES = np.array([[0, 2, 1, 0], [1, 2, 0, 1], [2, 0, 1, 2], [0, 1, 2, 0]])
STARTS = np.array([4, 0, 2, 1])


@pytest.mark.parametrize("loss", losses.CYCLE_BACK_LOSSES)
@pytest.mark.parametrize("similarity", losses.SIMILARITIES)
@pytest.mark.parametrize("normalize", [False, True])
def test_matches_loops_and_finite_differences(loss, similarity, normalize):
    embeddings = random_embeddings(3, 5, 4, seed=3)
    settings = {
        "cycles": CYCLES,
        "starts": STARTS,
        "frame_indices": FRAME_INDICES,
        "sequence_lengths": SEQUENCE_LENGTHS,
        "loss": loss,
        "similarity": similarity,
        "temperature": 0.2,
        "variance_weight": 0.03,
        "normalize_indices": not normalize,
        "normalize_embeddings": normalize,
    }
    value, (gradient,) = value_and_gradient(lambda array: losses.stochastic_cycle_loss(array, **settings), embeddings)
    slow = lambda array: reference.stochastic_cycle_loss(array, **settings)  # noqa: E731
    np.testing.assert_allclose(value, slow(embeddings), rtol=1e-5, atol=1e-6)
    positions = [(0, 0, 0), (1, 2, 3), (2, 4, 1), (0, 4, 2)]
    slopes = finite_difference(slow, embeddings.astype(np.float64), positions, width=1e-5)
    np.testing.assert_allclose(
        [gradient[position] for position in positions], slopes, rtol=1e-3, atol=1e-4 * np.abs(gradient).max()
    )


def test_is_the_reference_implementation():
    """Loss to 1e-5 and gradient to 1e-5 of its largest entry, in every golden case."""
    cases = json.loads(golden_path("alignment_stochastic.json").read_text())
    arrays = np.load(golden_path("alignment_stochastic.npz"))
    assert len(cases) == 96
    for case in cases:
        settings = golden_cycle_settings(case, arrays)
        settings.update({key: arrays[f"{case['id']}_{key}"] for key in ("cycles", "starts")})
        value, (gradient,) = value_and_gradient(
            lambda array, settings=settings: losses.stochastic_cycle_loss(array, **settings),
            arrays[f"in_{case['input']}_embs"],
        )
        np.testing.assert_allclose(value, case["loss"], rtol=1e-5, atol=1e-7, err_msg=case["id"])
        expected = arrays[f"{case['id']}_grad"]
        assert np.abs(gradient - expected).max() <= 1e-5 * np.abs(expected).max(), case["id"]


@pytest.mark.parametrize("loss", losses.CYCLE_BACK_LOSSES)
def test_all_cycles_of_two_sequences_are_the_deterministic_loss(loss):
    """Every ordered pair of sequences from every frame is what `cycle_consistency_loss` averages over."""
    embeddings = random_embeddings(3, 5, 4, seed=1)
    walks = [((u, v, u), t) for u in range(3) for v in range(3) if u != v for t in range(5)]
    settings = {"frame_indices": FRAME_INDICES, "sequence_lengths": SEQUENCE_LENGTHS, "loss": loss}
    every = losses.stochastic_cycle_loss(
        embeddings, cycles=np.array([cycle for cycle, _ in walks]), starts=np.array([t for _, t in walks]), **settings
    )
    np.testing.assert_allclose(every, losses.cycle_consistency_loss(embeddings, **settings), rtol=1e-5)


def test_order_of_cycles_and_of_sequences_does_not_matter():
    embeddings = random_embeddings(3, 5, 4)
    value = losses.stochastic_cycle_loss(embeddings, cycles=CYCLES, starts=STARTS)
    np.testing.assert_allclose(
        losses.stochastic_cycle_loss(embeddings, cycles=CYCLES[::-1], starts=STARTS[::-1]), value, rtol=1e-5
    )
    order = np.array([2, 0, 1])  # where the sequences 0, 1, 2 come from; they move to argsort(order)
    moved = losses.stochastic_cycle_loss(embeddings[order], cycles=np.argsort(order)[CYCLES], starts=STARTS)
    np.testing.assert_allclose(moved, value, rtol=1e-5)


@pytest.mark.parametrize("cycle_length", [2, 3, 5])
def test_drawn_cycles_are_closed_and_go_through_different_sequences(cycle_length):
    cycles, starts = losses.draw_cycles(
        np.random.default_rng(0), num_sequences=5, num_frames=7, num_cycles=200, cycle_length=cycle_length
    )
    assert cycles.dtype == starts.dtype == np.int32
    assert cycles.shape == (200, cycle_length + 1) and starts.shape == (200,)
    assert (cycles[:, 0] == cycles[:, -1]).all()
    assert all(len(set(cycle[:-1])) == cycle_length for cycle in cycles.tolist())
    assert cycles.min() == 0 and cycles.max() == 4 and starts.min() == 0 and starts.max() == 6


def test_every_cycle_and_every_start_is_equally_likely():
    """12 ordered pairs of 4 sequences and 6 frames, 12000 draws: counts within five standard deviations of the mean."""
    cycles, starts = losses.draw_cycles(
        np.random.default_rng(1), num_sequences=4, num_frames=6, num_cycles=12000, cycle_length=2
    )
    pairs = np.bincount(4 * cycles[:, 0] + cycles[:, 1], minlength=16).reshape(4, 4)
    assert (np.diag(pairs) == 0).all()
    assert (np.abs(pairs[~np.eye(4, dtype=bool)] - 1000) < 5 * np.sqrt(1000)).all()
    assert (np.abs(np.bincount(starts, minlength=6) - 2000) < 5 * np.sqrt(2000)).all()


def test_a_draw_follows_from_its_generator():
    draws = [
        losses.draw_cycles(np.random.default_rng(5), num_sequences=4, num_frames=6, num_cycles=8, cycle_length=3)
        for _ in range(2)
    ]
    assert all(np.array_equal(a, b) for a, b in zip(*draws))


def test_errors_say_what_to_do():
    embeddings, rng = random_embeddings(3, 5, 4), np.random.default_rng(0)
    sizes = {"num_sequences": 3, "num_frames": 5, "num_cycles": 2, "cycle_length": 2}
    for length in (1, 4):
        with pytest.raises(SettingsError, match=rf"cycle_length: .* of 3 in the batch; got {length}; change it"):
            losses.draw_cycles(rng, **{**sizes, "cycle_length": length})
    with pytest.raises(SettingsError, match=r"num_cycles, num_frames: must be 1 or more; got 0, 5"):
        losses.draw_cycles(rng, **{**sizes, "num_cycles": 0})
    for cycles in (CYCLES[0], CYCLES[:, :2], np.zeros((2, 5), int)):
        with pytest.raises(ShapeError, match=r"cycles: expected \[N, L \+ 1\] with 2 <= L <= 3 sequences, got shape"):
            losses.stochastic_cycle_loss(embeddings, cycles=cycles, starts=STARTS)
    with pytest.raises(ShapeError, match=r"starts: expected \[4\], got shape \[3\]"):
        losses.stochastic_cycle_loss(embeddings, cycles=CYCLES, starts=STARTS[:3])
    with pytest.raises(SettingsError, match=r"loss: must be one of .*got 'mse'"):
        losses.stochastic_cycle_loss(embeddings, cycles=CYCLES, starts=STARTS, loss="mse")
    with pytest.raises(ShapeError, match=r"a cycle needs two sequences, got shape \[1, 5, 4\]"):
        losses.stochastic_cycle_loss(embeddings[:1], cycles=CYCLES, starts=STARTS)
