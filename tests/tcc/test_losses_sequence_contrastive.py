"""SCL: against loops, against golden numbers, and by its properties."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from tcc import losses
from tcc.errors import SettingsError, ShapeError
from tests.golden import golden_path
from tests.reference import sequence_losses as reference
from tests.tcc.loss_samples import finite_difference, random_embeddings, value_and_gradient

# Two videos with two views of five frames: uneven times, lengths that differ between the views of the first, padding.
FRAME_INDICES = np.array([[[0, 2, 3, 7, 11], [1, 2, 8, 9, 10]], [[3, 4, 5, 6, 30], [0, 4, 8, 9, 15]]])
SEQUENCE_LENGTHS = np.array([[12, 16], [40, 40]])
MASK = np.array([[[1, 1, 1, 1, 0], [1, 1, 1, 1, 1]], [[1, 1, 1, 0, 0], [1, 1, 1, 1, 0]]])
TIMES = {"frame_indices": FRAME_INDICES, "sequence_lengths": SEQUENCE_LENGTHS}


@pytest.mark.parametrize("negatives", losses.NEGATIVES)
@pytest.mark.parametrize("epsilon", [0.0, 1e-2])
@pytest.mark.parametrize("mask", [None, MASK])
def test_matches_loops_and_finite_differences(negatives, epsilon, mask):
    embeddings = random_embeddings(2, 2, 5, 3, seed=3)
    settings = {
        **TIMES,
        "mask": mask,
        "temperature": 0.3,
        "variance": 7.0,
        "epsilon": epsilon,
        "negatives": negatives,
        "l2_normalize": epsilon == 0.0,
    }
    value, (gradient,) = value_and_gradient(
        lambda array: losses.sequence_contrastive_loss(array, **settings), embeddings
    )
    slow = lambda array: reference.sequence_contrastive_loss(array, **settings)  # noqa: E731
    np.testing.assert_allclose(value, slow(embeddings), rtol=1e-5, atol=1e-6)
    positions = [(0, 0, 0, 0), (1, 0, 2, 2), (0, 1, 4, 1), (1, 1, 3, 0), (0, 0, 4, 2)]
    slopes = finite_difference(slow, embeddings.astype(np.float64), positions, width=1e-6)
    np.testing.assert_allclose(
        [gradient[position] for position in positions], slopes, rtol=1e-3, atol=1e-4 * np.abs(gradient).max()
    )
    if mask is not None:
        assert (gradient[mask == 0] == 0).all()


def test_is_the_golden_one():
    """Loss to 1e-5 and gradient to 2e-5 of its largest entry.

    Padding counts a little in three cases, as in the released code; there the loops are compared with the golden
    numbers, and the loss with the loops where padding counts nothing.
    """
    cases = json.loads(golden_path("scl.json").read_text())["cases"]
    arrays = np.load(golden_path("scl.npz"))
    assert len(cases) == 26
    for case in cases:
        prefix = f"in_{case['input']}"
        settings = {key: case[key] for key in ("temperature", "variance", "l2_normalize", "negatives", "epsilon")}
        settings["frame_indices"] = arrays[f"{prefix}_steps"]
        settings["sequence_lengths"] = arrays[f"{prefix}_seq_lens"]
        settings["mask"] = arrays[f"{prefix}_mask"]
        embeddings = arrays[f"{prefix}_embs"]
        value, (gradient,) = value_and_gradient(
            lambda array, settings=settings: losses.sequence_contrastive_loss(array, **settings), embeddings
        )
        padding_counts = case["pad_weight"] > 0 and not settings["mask"].all()
        loss, expected = case["loss"], arrays[f"{case['id']}_grad"]
        if padding_counts:
            slip = reference.sequence_contrastive_loss(embeddings, pad_weight=case["pad_weight"], **settings)
            np.testing.assert_allclose(slip, loss, rtol=1e-9, err_msg=case["id"])
            loss = reference.sequence_contrastive_loss(embeddings, **settings)
        np.testing.assert_allclose(value, loss, rtol=1e-5, err_msg=case["id"])
        tolerance = 1e-3 if padding_counts else 2e-5
        assert np.abs(gradient - expected).max() <= tolerance * np.abs(expected).max(), case["id"]


@pytest.mark.parametrize("negatives", losses.NEGATIVES)
def test_swapped_views_and_swapped_videos_change_nothing(negatives):
    embeddings = random_embeddings(2, 2, 5, 3)
    value = losses.sequence_contrastive_loss(embeddings, mask=MASK, negatives=negatives, **TIMES)
    for swap in ((slice(None), slice(None, None, -1)), (slice(None, None, -1),)):
        swapped = losses.sequence_contrastive_loss(
            embeddings[swap],
            mask=MASK[swap],
            negatives=negatives,
            frame_indices=FRAME_INDICES[swap],
            sequence_lengths=SEQUENCE_LENGTHS[swap],
        )
        np.testing.assert_allclose(swapped, value, rtol=1e-5)


@pytest.mark.parametrize("negatives", losses.NEGATIVES)
def test_padding_changes_nothing(negatives):
    embeddings, padding = random_embeddings(2, 2, 5, 3), random_embeddings(2, 2, 3, 3, seed=1, scale=5)
    settings = {"sequence_lengths": SEQUENCE_LENGTHS, "negatives": negatives}
    value = losses.sequence_contrastive_loss(embeddings, frame_indices=FRAME_INDICES, **settings)
    padded = losses.sequence_contrastive_loss(
        np.concatenate([embeddings, padding], axis=2),
        frame_indices=np.concatenate([FRAME_INDICES, np.full((2, 2, 3), 9)], axis=2),
        mask=np.concatenate([np.ones((2, 2, 5)), np.zeros((2, 2, 3))], axis=2),
        **settings,
    )
    np.testing.assert_allclose(padded, value, rtol=1e-5)


def test_identical_frames_cost_what_the_labels_leave_open():
    """p = 1/T everywhere, so a frame costs ln T less the entropy of its labels."""
    value = losses.sequence_contrastive_loss(np.ones((1, 2, 6, 3), np.float32), variance=4.0, epsilon=0.0)
    costs = []
    for s in range(6):
        near = np.exp(-((s - np.arange(6.0)) ** 2) / 8)
        near /= near.sum()
        costs.append((near * np.log(near)).sum() + math.log(6))
    np.testing.assert_allclose(value, np.mean(costs), rtol=1e-5)


def test_a_small_variance_is_the_cross_entropy_of_the_same_frame_in_the_other_view():
    embeddings = random_embeddings(1, 2, 5, 4)
    value = losses.sequence_contrastive_loss(embeddings, variance=1e-3, epsilon=0.0, temperature=0.5)
    unit = embeddings[0] / np.linalg.norm(embeddings[0], axis=-1, keepdims=True)
    costs = []
    for own, other in ((0, 1), (1, 0)):
        similar = np.exp(unit[own] @ unit[other].T / 0.5)
        costs += list(-np.log(np.diag(similar) / similar.sum(axis=1)))
    np.testing.assert_allclose(value, np.mean(costs), rtol=1e-5)


def test_epsilon_bounds_the_cost_of_a_pair():
    """Frames that match the wrong way round: the true pair has p = 0, which costs ln(1 / epsilon)."""
    eye = np.eye(2, dtype=np.float32)
    views = np.stack([eye, eye[::-1]])[np.newaxis]
    value = losses.sequence_contrastive_loss(views, variance=1e-3, temperature=1e-3, epsilon=1e-4)
    np.testing.assert_allclose(value, -math.log(1e-4), rtol=1e-5)


def test_a_view_without_a_valid_frame_and_a_batch_without_one_cost_nothing():
    embeddings = random_embeddings(1, 2, 5, 3)
    for mask in (np.zeros((1, 2, 5)), np.stack([np.ones(5), np.zeros(5)])[np.newaxis]):
        for negatives in losses.NEGATIVES:
            value, (gradient,) = value_and_gradient(
                lambda array, mask=mask, negatives=negatives: losses.sequence_contrastive_loss(
                    array, mask=mask, negatives=negatives
                ),
                embeddings,
            )
            assert value == 0.0 and (gradient == 0).all()


def test_errors_say_what_to_do():
    embeddings = random_embeddings(2, 2, 5, 3)
    with pytest.raises(ShapeError, match=r"embeddings: expected two views \[B, 2, T, D\], got shape \[2, 3, 5, 3\]"):
        losses.sequence_contrastive_loss(random_embeddings(2, 3, 5, 3))
    with pytest.raises(ShapeError, match=r"embeddings: expected \[B, V, T, D\], got shape \[2, 5, 3\]"):
        losses.sequence_contrastive_loss(embeddings[0])
    with pytest.raises(ShapeError, match=r"frame_indices: expected \[2, 2, 5\], got shape \[2, 5\]"):
        losses.sequence_contrastive_loss(embeddings, frame_indices=FRAME_INDICES[0])
    with pytest.raises(ShapeError, match=r"mask: expected \[2, 2, 5\], got shape \[2, 2, 4\]"):
        losses.sequence_contrastive_loss(embeddings, mask=MASK[..., :4])
    with pytest.raises(SettingsError, match=r"negatives: must be one of other_view, .*; got 'single'"):
        losses.sequence_contrastive_loss(embeddings, negatives="single")
