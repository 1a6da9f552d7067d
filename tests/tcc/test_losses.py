"""Losses against slow loops, against the reference's numbers, and by their properties."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tcc import losses
from tcc.errors import SettingsError, ShapeError
from tests.golden import golden_path
from tests.reference import losses as reference
from tests.tcc.loss_samples import (
    EXTREMES,
    FRAME_INDICES,
    SEQUENCE_LENGTHS,
    finite_difference,
    golden_cycle_settings,
    random_embeddings,
    value_and_gradient,
)

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("loss", losses.CYCLE_BACK_LOSSES)
@pytest.mark.parametrize("similarity", losses.SIMILARITIES)
@pytest.mark.parametrize("normalize", [False, True])
def test_cycle_consistency_matches_loops_and_finite_differences(loss, similarity, normalize):
    embeddings = random_embeddings(3, 5, 4, seed=3)
    settings = {
        "frame_indices": FRAME_INDICES,
        "sequence_lengths": SEQUENCE_LENGTHS,
        "loss": loss,
        "similarity": similarity,
        "temperature": 0.2,
        "variance_weight": 0.03,
        "normalize_indices": not normalize,
        "normalize_embeddings": normalize,
    }
    value, (gradient,) = value_and_gradient(lambda array: losses.cycle_consistency_loss(array, **settings), embeddings)
    slow = lambda array: reference.cycle_consistency_loss(array.astype(np.float64), **settings)  # noqa: E731
    np.testing.assert_allclose(value, slow(embeddings), rtol=1e-5, atol=1e-6)
    positions = [(0, 0, 0), (1, 2, 3), (2, 4, 1), (0, 3, 2)]
    slopes = finite_difference(slow, embeddings.astype(np.float64), positions, width=1e-5)
    np.testing.assert_allclose(
        [gradient[position] for position in positions], slopes, rtol=1e-3, atol=1e-4 * np.abs(gradient).max()
    )


def test_soft_nearest_neighbor_matches_double_loop():
    query, candidates = random_embeddings(3, 2, seed=0), random_embeddings(5, 2, seed=1)  # unequal on purpose
    for similarity in losses.SIMILARITIES:
        expected = reference.soft_nearest_neighbor(query, candidates, similarity=similarity, temperature=0.1)
        actual = losses.soft_nearest_neighbor(
            tf.constant(query), tf.constant(candidates), similarity=similarity, temperature=0.1
        )
        np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("l2_weight", [0.0, 0.05])
def test_time_contrastive_matches_loops_and_does_not_mix_videos(l2_weight):
    anchors, positives = random_embeddings(3, 5, 4, seed=0), random_embeddings(3, 5, 4, seed=1)
    function = lambda a, p: losses.time_contrastive_loss(a, p, l2_weight=l2_weight)  # noqa: E731
    value, gradients = value_and_gradient(function, anchors, positives)
    np.testing.assert_allclose(
        value, reference.time_contrastive_loss(anchors, positives, l2_weight=l2_weight), rtol=1e-5
    )
    alone = [float(function(anchors[i : i + 1], positives[i : i + 1])) for i in range(3)]
    np.testing.assert_allclose(value, np.mean(alone), rtol=1e-5)
    slow = lambda array: reference.time_contrastive_loss(array, positives, l2_weight=l2_weight)  # noqa: E731
    positions = [(0, 0, 0), (1, 4, 3), (2, 2, 1)]
    slopes = finite_difference(slow, anchors.astype(np.float64), positions, width=1e-5)
    np.testing.assert_allclose([gradients[0][position] for position in positions], slopes, rtol=1e-3, atol=1e-6)


def test_cycle_consistency_is_the_reference_implementation():
    """Loss to 1e-5 and gradient to 1e-5 of its largest entry, in every golden case."""
    cases = json.loads(golden_path("alignment_deterministic.json").read_text())
    arrays = np.load(golden_path("alignment_deterministic.npz"))
    assert len(cases) == 97
    for case in cases:
        settings = golden_cycle_settings(case, arrays, times_given=case["steps_given"])
        value, (gradient,) = value_and_gradient(
            lambda array, settings=settings: losses.cycle_consistency_loss(array, **settings),
            arrays[f"in_{case['input']}_embs"],
        )
        np.testing.assert_allclose(value, case["loss"], rtol=1e-5, atol=1e-7, err_msg=case["id"])
        expected = arrays[f"{case['id']}_grad"]
        assert np.abs(gradient - expected).max() <= 1e-5 * np.abs(expected).max(), case["id"]


def test_time_contrastive_is_the_reference_implementation():
    arrays = np.load(golden_path("tcn.npz"))
    embeddings = arrays["tcn_embs"]
    for l2_weight in ("0.002", "0.0", "0.05"):
        value, (gradient,) = value_and_gradient(
            lambda array, weight=float(l2_weight): losses.time_contrastive_loss(
                array[:, 0::2], array[:, 1::2], l2_weight=weight
            ),
            embeddings,
        )
        np.testing.assert_allclose(value, arrays[f"tcn_lam{l2_weight}_loss"], rtol=1e-5)
        each = [
            losses.time_contrastive_loss(x[None, 0::2], x[None, 1::2], l2_weight=float(l2_weight)) for x in embeddings
        ]
        np.testing.assert_allclose(each, arrays[f"tcn_lam{l2_weight}_per_seq"], rtol=1e-5)
        expected = arrays[f"tcn_lam{l2_weight}_grad"]
        assert np.abs(gradient - expected).max() <= 1e-4 * np.abs(expected).max()


def test_n_pairs_with_repeated_labels_is_the_reference_implementation():
    arrays = np.load(golden_path("tcn.npz"))
    names = {key.split("npairs_")[1]: arrays[key] for key in arrays.files if key.startswith("npairs_")}
    labels = names["labels"]
    value, gradients = value_and_gradient(
        lambda a, p: losses.n_pairs_loss(a, p, labels=labels, l2_weight=0.002), names["anchor"], names["positive"]
    )
    np.testing.assert_allclose(value, names["loss"], rtol=1e-5)
    np.testing.assert_allclose(
        value, reference.n_pairs_loss(names["anchor"], names["positive"], labels=labels, l2_weight=0.002), rtol=1e-5
    )
    for gradient, key in zip(gradients, ("grad_anchor", "grad_positive")):
        assert np.abs(gradient - names[key]).max() <= 1e-4 * np.abs(names[key]).max()


@pytest.mark.parametrize("name", EXTREMES)
@pytest.mark.parametrize("loss", losses.CYCLE_BACK_LOSSES)
@pytest.mark.parametrize("similarity", losses.SIMILARITIES)
def test_cycle_consistency_stays_finite(name, loss, similarity):
    embeddings = EXTREMES[name]
    num_sequences, num_frames, _ = embeddings.shape
    for normalize_indices in (True, False):
        for normalize_embeddings in (True, False):
            for frame_indices in (None, np.full((num_sequences, num_frames), 7), 5000 * np.arange(num_frames)):
                if frame_indices is not None:
                    frame_indices = np.broadcast_to(frame_indices, (num_sequences, num_frames))
                value, (gradient,) = value_and_gradient(
                    lambda array, indices=frame_indices, a=normalize_indices, b=normalize_embeddings: (
                        losses.cycle_consistency_loss(
                            array,
                            frame_indices=indices,
                            loss=loss,
                            similarity=similarity,
                            normalize_indices=a,
                            normalize_embeddings=b,
                        )
                    ),
                    embeddings,
                )
                assert value.dtype == np.float32 and np.isfinite(value)
                assert gradient.dtype == embeddings.dtype and np.isfinite(gradient).all()


@pytest.mark.parametrize("name", EXTREMES)
def test_time_contrastive_stays_finite(name):
    embeddings = EXTREMES[name]
    value, gradients = value_and_gradient(losses.time_contrastive_loss, embeddings, embeddings[::-1].copy())
    assert np.isfinite(value) and all(np.isfinite(gradient).all() for gradient in gradients)


def test_identical_frames_cannot_be_told_apart():
    """Every way back is equally likely over T frames, so cycle-back classification costs ln(T)."""
    value = losses.cycle_consistency_loss(np.ones((3, 7, 4), np.float32), loss="classification", label_smoothing=0.3)
    np.testing.assert_allclose(value, math.log(7), rtol=1e-6)


def test_identical_sequences_cost_ln_t_where_frames_are_alike_and_nothing_where_they_are_clear():
    """Without smoothing: T equally likely ways back cost ln(T); a sure way back to the right frame costs 0."""
    alike = np.tile(random_embeddings(1, 1, 4), (2, 9, 1))
    clear = np.stack([100 * np.eye(9, dtype=np.float32)] * 2)
    settings = {"loss": "classification", "label_smoothing": 0.0}
    np.testing.assert_allclose(losses.cycle_consistency_loss(alike, **settings), math.log(9), rtol=1e-6)
    np.testing.assert_allclose(losses.cycle_consistency_loss(clear, **settings), 0.0, atol=1e-7)


def test_huber_is_squared_up_to_delta_and_linear_beyond():
    """Uniform ways back to the middle 1.5 of times 0 .. 3: errors 1.5, .5, .5, 1.5, so with delta 1 the cost is
    (2 (1.5 - .5) + 2 (.125)) / 4 = .5625; with a delta of 9 it is half the squared error, 1.25 / 2."""
    ones, settings = np.ones((2, 4, 3), np.float32), {"loss": "huber", "normalize_indices": False}
    np.testing.assert_allclose(losses.cycle_consistency_loss(ones, huber_delta=1.0, **settings), 0.5625, rtol=1e-6)
    np.testing.assert_allclose(losses.cycle_consistency_loss(ones, huber_delta=9.0, **settings), 0.625, rtol=1e-6)


def test_identical_frames_come_back_to_the_middle():
    """The time come back to is the mean, so regression costs the variance of 0, 1/4, .., 3/4: 5/64."""
    value = losses.cycle_consistency_loss(np.ones((2, 4, 3), np.float32), loss="regression")
    np.testing.assert_allclose(value, 5 / 64, rtol=1e-6)


def test_identical_sequences_with_clear_frames_cost_nothing():
    """Each frame finds itself, so the error is 0 and the variance is at its floor: the cost is weight ln(floor)."""
    embeddings = np.stack([100 * np.eye(6, dtype=np.float32)] * 3)
    assert float(losses.cycle_consistency_loss(embeddings, loss="regression")) == pytest.approx(0, abs=1e-10)
    value = losses.cycle_consistency_loss(embeddings, variance_weight=0.5, variance_floor=1e-6)
    np.testing.assert_allclose(value, 0.5 * math.log(1e-6), rtol=1e-5)


def test_time_contrastive_of_identical_frames():
    """All T positives are equally near: the cost is ln(T), and l2_weight / 4 (|a|^2 + |p|^2) with |a|^2 = |p|^2 = D."""
    ones = np.ones((2, 5, 8), np.float32)
    np.testing.assert_allclose(
        losses.time_contrastive_loss(ones, ones, l2_weight=0.1), math.log(5) + 0.1 / 4 * 16, rtol=1e-6
    )


@pytest.mark.parametrize("loss", losses.CYCLE_BACK_LOSSES)
def test_order_of_sequences_and_of_frames_does_not_matter(loss):
    embeddings = random_embeddings(3, 5, 4)
    settings = {"loss": loss, "temperature": 0.5}
    value = losses.cycle_consistency_loss(
        embeddings, frame_indices=FRAME_INDICES, sequence_lengths=SEQUENCE_LENGTHS, **settings
    )
    sequences, frames = [2, 0, 1], [4, 2, 0, 1, 3]
    permuted = losses.cycle_consistency_loss(
        embeddings[sequences][:, frames],
        frame_indices=FRAME_INDICES[sequences][:, frames],
        sequence_lengths=SEQUENCE_LENGTHS[sequences],
        **settings,
    )
    np.testing.assert_allclose(value, permuted, rtol=1e-5)


def test_true_cosine_ignores_length_and_the_reference_one_does_not():
    embeddings = random_embeddings(2, 4, 6)
    scaled = embeddings * np.float32(3)
    cosine = [
        losses.cycle_consistency_loss(item, similarity="cosine", loss="regression") for item in (embeddings, scaled)
    ]
    dot = [losses.cycle_consistency_loss(item, similarity="dot", loss="regression") for item in (embeddings, scaled)]
    np.testing.assert_allclose(cosine[0], cosine[1], rtol=1e-5)
    assert abs(float(dot[0]) - float(dot[1])) > 1e-4


def test_shift_of_all_embeddings_changes_no_distance():
    embeddings = random_embeddings(2, 6, 16)
    value = losses.cycle_consistency_loss(embeddings)
    shifted = losses.cycle_consistency_loss(embeddings + np.float32(100))
    np.testing.assert_allclose(value, shifted, rtol=1e-3)


def test_variance_floor_bounds_the_gradient_away_from_zero_variance():
    """Two clips of clear but swapped frames: variance 0, error > 0; only the floor keeps error / variance finite."""
    eye = 100 * np.eye(4, dtype=np.float32)
    value = losses.cycle_consistency_loss(np.stack([eye, eye[:, ::-1]]), variance_floor=1e-3)
    assert np.isfinite(value)


def test_errors_say_what_to_do():
    embeddings = random_embeddings(2, 4, 3)
    with pytest.raises(ShapeError, match=r"embeddings: expected \[B, T, D\], got shape \[4, 3\]"):
        losses.cycle_consistency_loss(embeddings[0])
    with pytest.raises(ShapeError, match=r"needs two sequences, got shape \[1, 4, 3\] \(B=1\); pass B >= 2"):
        losses.cycle_consistency_loss(embeddings[:1])
    with pytest.raises(ShapeError, match=r"needs two frames, got shape \[2, 1, 3\] \(T=1\); pass T >= 2"):
        losses.cycle_consistency_loss(embeddings[:, :1])
    with pytest.raises(ShapeError, match=r"frame_indices: expected \[2, 4\], got shape \[2, 3\]"):
        losses.cycle_consistency_loss(embeddings, frame_indices=np.zeros((2, 3)))
    with pytest.raises(ShapeError, match=r"sequence_lengths: expected \[2\], got shape \[3\]"):
        losses.cycle_consistency_loss(embeddings, sequence_lengths=np.ones(3))
    with pytest.raises(SettingsError, match=r"loss: must be one of regression_variance, .*got 'mse'"):
        losses.cycle_consistency_loss(embeddings, loss="mse")
    with pytest.raises(SettingsError, match=r"similarity: must be one of negative_squared_l2, .*got 'l2'"):
        losses.cycle_consistency_loss(embeddings, similarity="l2")
    with pytest.raises(ShapeError, match="query and candidates differ in embedding size"):
        losses.soft_nearest_neighbor(tf.zeros([3, 2]), tf.zeros([3, 4]))
    with pytest.raises(ShapeError, match=r"anchors and positives differ in shape: got \[2, 4, 3\] and \[2, 3, 3\]"):
        losses.time_contrastive_loss(embeddings, embeddings[:, :3])
    with pytest.raises(ShapeError, match=r"a contrast needs two pairs, got shape \[2, 1, 3\]"):
        losses.time_contrastive_loss(embeddings[:, :1], embeddings[:, :1])
    with pytest.raises(ShapeError, match=r"anchors: expected \[N, D\], got shape \[2, 4, 3\]"):
        losses.n_pairs_loss(embeddings, embeddings)


def test_a_shape_that_is_not_static_is_refused():
    function = tf.function(
        losses.cycle_consistency_loss, input_signature=[tf.TensorSpec([None, 4, 3])], autograph=False
    )
    with pytest.raises(ShapeError, match=r"the shape must be static, got \[None, 4, 3\]"):
        function.get_concrete_function()


def test_the_code_of_the_guide_runs():
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "adding_a_loss.md").read_text(), re.DOTALL)
    names = {}
    for block in blocks:
        exec(block, names)
    assert np.isfinite(names["value"]) and np.isfinite(names["near"])
    # |1 - 0|^2 = 1 for both numbers, less the margin.
    steps = np.arange(5, dtype=np.float32)[None, :, None] * np.ones((2, 1, 2), np.float32)
    assert float(names["smoothness_loss"](steps, margin=0.25)) == 0.75
