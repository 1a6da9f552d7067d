"""Losses with labels: shuffle and learn, supervised, and shuffle and learn in a sum with others."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import tensorflow as tf

from tcc import losses
from tcc.errors import SettingsError, ShapeError
from tcc.models import TripletClassifier
from tests.golden import golden_path
from tests.reference import losses as reference
from tests.tcc.loss_samples import finite_difference, random_embeddings, value_and_gradient

INDICES = np.array([[0, 2, 1], [3, 1, 0], [2, 2, 4], [4, 0, 3], [1, 0, 2], [0, 1, 2], [4, 3, 2]])
LABELS = np.array([1, 0, 0, 1, 1, 0, 0])
DRAW = {"batch_size": 2, "num_samples": 8, "shuffle_fraction": 0.75, "num_frames": 20}


def golden_classifier(arrays):
    """The reference's classifier with its golden weights."""
    classifier = TripletClassifier(8, seed=0)
    for number, variable in enumerate(classifier.named_variables().values()):
        variable.assign(arrays[f"clf_{number}"])
    return classifier


def linear_classifier(size, *, seed=0):
    """[R, 3 size] -> [R, 2] in TensorFlow, and the same for one row in NumPy."""
    kernel = random_embeddings(3 * size, 2, seed=seed)
    return (lambda rows: tf.matmul(rows, kernel)), (lambda row: row @ kernel.astype(np.float64))


@pytest.mark.parametrize("label_smoothing", [0.0, 0.2])
def test_shuffle_and_learn_matches_loops_and_finite_differences(label_smoothing):
    """Seven triplets of three sequences: the count is no multiple, so that r % B is not r // B."""
    embeddings, (fast, slow) = random_embeddings(3, 5, 4, seed=2), linear_classifier(4)
    settings = {"indices": INDICES, "labels": LABELS, "label_smoothing": label_smoothing}
    value, (gradient,) = value_and_gradient(
        lambda array: losses.shuffle_and_learn_loss(array, classifier=fast, **settings), embeddings
    )
    loops = lambda array: reference.shuffle_and_learn_loss(array, classifier=slow, **settings)  # noqa: E731
    np.testing.assert_allclose(value, loops(embeddings.astype(np.float64)), rtol=1e-5)
    positions = [(0, 0, 0), (1, 3, 2), (2, 4, 1), (0, 4, 3), (1, 2, 0)]
    slopes = finite_difference(loops, embeddings.astype(np.float64), positions, width=1e-5)
    np.testing.assert_allclose([gradient[position] for position in positions], slopes, rtol=1e-3, atol=1e-6)


def test_shuffle_and_learn_is_the_reference_implementation():
    arrays = np.load(golden_path("sal.npz"))
    classifier, seen = golden_classifier(arrays), []

    def watched(triplets):
        seen.append((triplets.numpy(), classifier(triplets).numpy()))
        return classifier(triplets)

    labels = arrays["draw0_labels"]
    np.testing.assert_array_equal(np.eye(2)[labels], arrays["labels_onehot"])
    for label_smoothing in (0.0, 0.1):
        value, (gradient,) = value_and_gradient(
            lambda array, smoothing=label_smoothing: losses.shuffle_and_learn_loss(
                array,
                indices=arrays["draw0_indices"],
                labels=labels,
                classifier=watched,
                label_smoothing=smoothing,
            ),
            arrays["embs"],
        )
        np.testing.assert_allclose(value, arrays[f"ls{label_smoothing}_loss"], rtol=1e-5)
        expected = arrays[f"ls{label_smoothing}_grad"]
        assert np.abs(gradient - expected).max() <= 1e-4 * np.abs(expected).max()
    np.testing.assert_array_equal(seen[0][0], arrays["concat_embs"])
    np.testing.assert_allclose(seen[0][1], arrays["logits"], rtol=1e-5, atol=1e-6)


def check_draw(indices, labels):
    """What holds for every draw with DRAW, the reference's among them."""
    first, middle, last = np.asarray(indices).T
    assert indices.shape == (16, 3) and labels.sum() == 12
    assert (first > last).all() or (first < last).all()
    inside = (middle - first) * (last - middle) > 0
    assert np.array_equal(inside, labels == 0)
    assert indices.min() >= 0 and indices.max() < 20
    assert all(len(set(triplet)) == 3 for triplet in indices.tolist())


def test_draws_have_the_properties_of_the_reference():
    arrays = np.load(golden_path("sal.npz"))
    for number in range(6):
        check_draw(arrays[f"draw{number}_indices"], arrays[f"draw{number}_labels"])


def test_drawn_triplets_are_in_order_or_have_their_middle_outside():
    directions, places, sides = [], np.zeros(16), []
    for seed in range(400):
        indices, labels = losses.draw_triplets(np.random.default_rng(seed), **DRAW)
        check_draw(indices, labels)
        assert indices.dtype == labels.dtype == np.int32
        directions.append(indices[0, 0] < indices[0, 2])
        places += labels
        sides.append((indices[:, 1] > indices.max(axis=1) - 1)[labels == 1].mean())
    assert abs(np.mean(directions) - 0.5) < 0.15 and abs(np.mean(sides) - 0.5) < 0.05
    assert (np.abs(places / 400 - 0.75) < 0.11).all()


@pytest.mark.parametrize("share, count", [(0.0, 0), (1.0, 10), (0.7, 7), (0.29, 2)])
def test_the_share_of_shuffled_triplets_is_exact(share, count):
    _, labels = losses.draw_triplets(
        np.random.default_rng(0), batch_size=2, num_samples=5, shuffle_fraction=share, num_frames=5
    )
    assert labels.sum() == count


def test_a_classifier_that_knows_nothing_costs_ln_2():
    value = losses.shuffle_and_learn_loss(
        random_embeddings(3, 5, 4), indices=INDICES, labels=LABELS, classifier=lambda rows: tf.zeros([len(rows), 2])
    )
    np.testing.assert_allclose(value, math.log(2), rtol=1e-6)


def test_order_of_triplets_of_a_sequence_does_not_matter():
    embeddings, (classifier, _) = random_embeddings(2, 5, 4), linear_classifier(4)
    order = [4, 1, 0, 5, 2, 3]  # even rows stay even: they belong to sequence 0
    values = [
        losses.shuffle_and_learn_loss(embeddings, indices=INDICES[rows], labels=LABELS[rows], classifier=classifier)
        for rows in (list(range(6)), order)
    ]
    np.testing.assert_allclose(values[0], values[1], rtol=1e-6)


def test_combined_losses_are_the_reference_implementation():
    """TCC and shuffle and learn see the frames of one parity of each sequence, TCN pairs of neighbors."""
    cases = json.loads(golden_path("combined.json").read_text())
    arrays = np.load(golden_path("combined.npz"))
    classifier = golden_classifier(arrays)
    assert len(cases) == 12

    def combined(embeddings, case):
        total = 0.0
        if case["alignment_weight"] or case["sal_weight"]:
            kept = [np.arange(20)[parity::2] for parity in case["start_parity"]]
            half = tf.stack([tf.gather(sequence, frames) for sequence, frames in zip(tf.unstack(embeddings), kept)])
            steps = np.stack([steps[frames] for steps, frames in zip(arrays["steps"], kept)])
            total += case["alignment_weight"] * losses.cycle_consistency_loss(
                half, frame_indices=steps, sequence_lengths=arrays["seq_lens"]
            )
            total += case["sal_weight"] * losses.shuffle_and_learn_loss(
                half, indices=arrays["sal_indices"], labels=arrays["sal_labels"], classifier=classifier
            )
        if case["tcn_weight"]:
            total += case["tcn_weight"] * losses.time_contrastive_loss(embeddings[:, 0::2], embeddings[:, 1::2])
        return total

    for case in cases:
        value, (gradient,) = value_and_gradient(lambda array, case=case: combined(array, case), arrays["embs"])
        np.testing.assert_allclose(value, case["loss"], rtol=1e-4, err_msg=case["id"])
        expected = arrays[f"{case['id']}_grad"]
        assert np.abs(gradient - expected).max() <= 1e-3 * np.abs(expected).max(), case["id"]


@pytest.mark.parametrize("label_smoothing", [0.0, 0.3])
def test_supervised_matches_loops_and_finite_differences(label_smoothing):
    logits, labels = random_embeddings(2, 4, 3), np.array([[0, 2, -1, 1], [-1, -1, 2, 2]])
    settings = {"label_smoothing": label_smoothing}
    value, (gradient,) = value_and_gradient(lambda array: losses.supervised_loss(array, labels, **settings), logits)
    slow = lambda array: reference.supervised_loss(array, labels, **settings)  # noqa: E731
    np.testing.assert_allclose(value, slow(logits), rtol=1e-5)
    positions = [(0, 0, 0), (0, 1, 2), (1, 3, 1), (1, 0, 0)]
    slopes = finite_difference(slow, logits.astype(np.float64), positions, width=1e-5)
    np.testing.assert_allclose([gradient[position] for position in positions], slopes, rtol=1e-3, atol=1e-6)
    assert (gradient[labels < 0] == 0).all()


def test_frames_without_a_label_change_nothing():
    logits, labels = random_embeddings(2, 4, 3), np.array([[0, 2, 1, 1], [2, 1, 2, 0]])
    more = np.concatenate([logits, random_embeddings(2, 3, 3, seed=1)], axis=1)
    padded = np.concatenate([labels, np.full((2, 3), -1)], axis=1)
    np.testing.assert_allclose(losses.supervised_loss(more, padded), losses.supervised_loss(logits, labels), rtol=1e-6)


def test_no_label_at_all_costs_nothing_and_moves_nothing():
    value, (gradient,) = value_and_gradient(
        lambda array: losses.supervised_loss(array, np.full((2, 4), -1)), random_embeddings(2, 4, 3)
    )
    assert value == 0.0 and (gradient == 0).all()


def test_equal_logits_cost_ln_k():
    np.testing.assert_allclose(
        losses.supervised_loss(np.ones((1, 4, 5), np.float32), np.array([[0, 1, 4, -1]]), label_smoothing=0.2),
        math.log(5),
        rtol=1e-6,
    )


def test_the_classifier_has_the_reference_layers_and_follows_its_seed():
    classifier = TripletClassifier(8, seed=3)
    shapes = {key: tuple(variable.shape) for key, variable in classifier.named_variables().items()}
    assert shapes == {
        "sal_fc0/kernel": (24, 128),
        "sal_fc0/bias": (128,),
        "sal_fc1/kernel": (128, 64),
        "sal_fc1/bias": (64,),
        "sal_out0/kernel": (64, 2),
        "sal_out0/bias": (2,),
    }
    trained = classifier.trained_variables()
    assert all(a is b for a, b in zip(trained, classifier.named_variables().values())) and len(trained) == 6
    rows = random_embeddings(5, 24)
    np.testing.assert_array_equal(classifier(rows), TripletClassifier(8, seed=3)(rows))
    assert not np.array_equal(classifier(rows), TripletClassifier(8, seed=4)(rows))


def test_errors_say_what_to_do():
    embeddings, rng = random_embeddings(3, 5, 4), np.random.default_rng(0)
    settings = {"indices": INDICES, "labels": LABELS, "classifier": linear_classifier(4)[0]}
    with pytest.raises(SettingsError, match="num_frames: shuffle and learn needs 5 or more, got 4"):
        losses.draw_triplets(rng, **{**DRAW, "num_frames": 4})
    with pytest.raises(SettingsError, match="batch_size, num_samples: must be 1 or more; got 2, 0"):
        losses.draw_triplets(rng, **{**DRAW, "num_samples": 0})
    with pytest.raises(SettingsError, match=r"shuffle_fraction: must be from 0 to 1; got 1\.5"):
        losses.draw_triplets(rng, **{**DRAW, "shuffle_fraction": 1.5})
    with pytest.raises(ShapeError, match=r"indices: expected \[R, 3\], got shape \[7, 2\]"):
        losses.shuffle_and_learn_loss(embeddings, **{**settings, "indices": INDICES[:, :2]})
    with pytest.raises(ShapeError, match=r"labels: expected \[7\], got shape \[6\]"):
        losses.shuffle_and_learn_loss(embeddings, **{**settings, "labels": LABELS[:6]})
    with pytest.raises(ShapeError, match=r"classifier: expected to return \[7, 2\], got shape \[7, 12\]"):
        losses.shuffle_and_learn_loss(embeddings, **{**settings, "classifier": tf.identity})
    with pytest.raises(ShapeError, match=r"labels: expected \[3, 5\], got shape \[3, 4\]"):
        losses.supervised_loss(embeddings, np.zeros((3, 4), int))
    with pytest.raises(ShapeError, match=r"logits: expected \[B, T, K\], got shape \[5, 4\]"):
        losses.supervised_loss(embeddings[0], np.zeros(5, int))
    with pytest.raises(ShapeError, match=r"triplets: expected \[R, 24\], got shape \[3, 12\]"):
        TripletClassifier(8, seed=0)(tf.zeros([3, 12]))
