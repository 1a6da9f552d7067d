"""Each method: its terms are the losses it names, its head learns and comes back, and it resumes to the last bit."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tcc.config import METHODS, SCL_NEGATIVES, TrainingConfig
from tcc.dataset import FeatureClips
from tcc.device import open_device
from tcc.errors import SettingsError
from tcc.losses import (
    NEGATIVES,
    cycle_consistency_loss,
    draw_triplets,
    lav_loss,
    sequence_contrastive_loss,
    shuffle_and_learn_loss,
    stochastic_cycle_loss,
    supervised_loss,
    time_contrastive_loss,
)
from tcc.sequences import ClipSequence
from tcc.training import Adam, Interrupted, TrainingStep, train
from tcc.training.drawing import draw_training_batch
from tcc.training.methods import build_head, count_phases, needs_cycles, needs_positives, needs_triplets
from tcc.training.step import trained_variables
from tests.tcc.training_samples import SAMPLING, TRAINING, hashes, sample_clips, sample_encoder, weights

LONGER = dataclasses.replace(SAMPLING, num_frames=6)
CYCLE_BACK = ("tcc_regression_variance", "tcc_regression", "tcc_huber", "tcc_classification")


@pytest.fixture(autouse=True, scope="module")
def device():
    open_device("cpu")


def labelled_clips():
    """The samples with three phases, a third of each clip long; the first frame has none."""
    clips = []
    for clip in [ClipSequence(*item) for item in _parts(sample_clips())]:
        labels = np.arange(len(clip)) * 3 // len(clip)
        labels[0] = -1
        clips.append(dataclasses.replace(clip, labels=labels))
    return FeatureClips(clips)


def _parts(source):
    return zip(source.names, source.timestamps, source.labels, source.values)


def settings_of(method, **settings):
    return dataclasses.replace(TRAINING, method=method, weight_decay=0.0, **settings)


def step_and_batch(method, *, normalize=False, step_number=0, **settings):
    training, source = settings_of(method, **settings), labelled_clips()
    encoder = sample_encoder(dropout=0.0)
    encoder.embedder.config = dataclasses.replace(encoder.embedder.config, normalize=normalize)
    head = build_head(training, encoder.embedder.config.embedding_size, num_phases=count_phases(source.labels))
    step = TrainingStep(encoder, Adam(trained_variables(encoder, head)), training, head)
    return step, draw_training_batch(source, step_number, sampling=LONGER, training=training)


def embed(encoder, batch):
    return encoder(tf.constant(batch.inputs), training=False)


def parts_of(step, batch):
    """Each loss of the losses' own functions, on what the encoder makes of the batch."""
    embeddings, training = embed(step.encoder, batch), step.training
    anchors, positives = embeddings[:, :6], embeddings[:, 6:]
    times = {"frame_indices": batch.frame_indices, "sequence_lengths": batch.sequence_lengths}
    return {
        "tcc": lambda: cycle_consistency_loss(anchors, **times),
        "tcn": lambda: time_contrastive_loss(anchors, positives, l2_weight=training.tcn_l2_weight),
        "sal": lambda: shuffle_and_learn_loss(
            anchors, indices=batch.triplets, labels=batch.triplet_labels, classifier=step.head
        ),
        "supervised": lambda: supervised_loss(step.head(anchors), batch.labels),
        "lav": lambda: lav_loss(anchors, **times),
    }


@pytest.mark.parametrize(
    ("method", "part"), [("tcn", "tcn"), ("shuffle_and_learn", "sal"), ("supervised", "supervised"), ("lav", "lav")]
)
def test_the_loss_is_the_one_that_the_method_names(method, part):
    step, batch = step_and_batch(method)
    losses = step.losses(batch)
    np.testing.assert_allclose(losses["method"], float(parts_of(step, batch)[part]()), rtol=1e-5)
    assert set(losses) == {"loss", "method"} and losses["loss"] == losses["method"]


def test_the_combination_weighs_its_three_parts():
    step, batch = step_and_batch("tcc_sal_tcn")
    losses, parts = step.losses(batch), parts_of(step, batch)
    for name, part, weight in (("method", "tcc", 0.33), ("sal", "sal", 0.33), ("tcn", "tcn", 0.34)):
        np.testing.assert_allclose(losses[name], weight * float(parts[part]()), rtol=1e-5)
    np.testing.assert_allclose(losses["loss"], losses["method"] + losses["sal"] + losses["tcn"], rtol=1e-6)


def test_only_what_a_method_needs_is_drawn():
    positives = {method for method in METHODS if needs_positives(TrainingConfig(method=method))}
    assert positives == {*CYCLE_BACK, "tcn", "tcc_sal_tcn"}
    without = {method for method in METHODS if needs_positives(TrainingConfig(method=method, tcn_weight=0.0))}
    assert without == {"tcn", "tcc_sal_tcn"}
    triplets = {method for method in METHODS if needs_triplets(TrainingConfig(method=method))}
    assert triplets == {"shuffle_and_learn", "tcc_sal_tcn"}


def test_labels_and_triplets_of_a_batch_belong_to_its_anchors():
    _, batch = step_and_batch("tcc_sal_tcn")
    source = labelled_clips()
    for row, clip in enumerate(batch.clips):
        np.testing.assert_array_equal(batch.labels[row], source.labels[clip][batch.frame_indices[row]])
    assert batch.triplets.shape == (16, 3) and batch.triplets.max() < 6
    assert batch.triplet_labels.sum() == 12
    rng = np.random.default_rng(0)
    assert draw_triplets(rng, batch_size=2, num_samples=8, shuffle_fraction=0.75, num_frames=6)[0].shape == (16, 3)


def test_a_supervised_training_needs_labels():
    unlabelled = [np.full(5, -1)]
    with pytest.raises(SettingsError, match=r"supervised needs labels, and no training clip has any; give \[videos\]"):
        build_head(settings_of("supervised"), 6, num_phases=count_phases(unlabelled))


def test_lav_takes_clips_in_pairs():
    with pytest.raises(SettingsError, match="batch_size: lav aligns clips in pairs, got 3; give an even number"):
        TrainingConfig(method="lav", batch_size=3)


def test_scl_compares_projections_of_the_views_and_counts_no_padding():
    step, batch = step_and_batch("scl", normalize=True, step_number=1, scl_variance=4.0, scl_temperature=0.2)
    embeddings = step.encoder.embedder(tf.constant(batch.inputs), training=False)
    expected = sequence_contrastive_loss(
        tf.reshape(step.head(embeddings), [2, 2, 6, 128]),
        frame_indices=batch.frame_indices.reshape(2, 2, 6),
        sequence_lengths=batch.sequence_lengths.reshape(2, 2),
        mask=batch.valid.reshape(2, 2, 6),
        variance=4.0,
        temperature=0.2,
    )
    np.testing.assert_allclose(step.losses(batch)["method"], float(expected), rtol=1e-5)
    assert (batch.valid == 0).any()
    padded = batch.inputs.copy()
    padded[batch.valid == 0] = 100.0
    assert step.losses(dataclasses.replace(batch, inputs=padded)) == step.losses(batch)


def test_scl_negatives_are_those_of_the_settings():
    values = [
        step.losses(batch)["method"]
        for step, batch in (step_and_batch("scl", scl_negatives=name) for name in NEGATIVES)
    ]
    assert len(set(values)) == 4 and SCL_NEGATIVES == NEGATIVES


def test_scl_learns_from_one_clip_a_step():
    step, batch = step_and_batch("scl", batch_size=1)
    losses = [step(batch, 1e-2)["loss"] for _ in range(60)]
    assert losses[-1] < 0.5 * losses[0]
    with pytest.raises(SettingsError, match="batch_size: must be at least 2, got 1"):
        TrainingConfig(batch_size=1)


@pytest.mark.parametrize(("method", "loss"), [("tcc_classification", "classification"), ("tcc_huber", "huber")])
def test_cycles_replace_all_ordered_pairs(method, loss):
    step, batch = step_and_batch(method, cycles=9, tcn_weight=0.0)
    assert batch.cycles.shape == (9, 3) and batch.cycle_starts.shape == (9,)
    expected = stochastic_cycle_loss(
        embed(step.encoder, batch),
        cycles=batch.cycles,
        starts=batch.cycle_starts,
        frame_indices=batch.frame_indices,
        sequence_lengths=batch.sequence_lengths,
        loss=loss,
    )
    np.testing.assert_allclose(step.losses(batch)["method"], float(expected), rtol=1e-5)


def test_cycles_follow_from_seed_and_step_and_have_any_length():
    training = settings_of("tcc_regression", cycles=5, cycle_length=3, batch_size=4)
    one, again, other = (
        draw_training_batch(labelled_clips(), step, sampling=LONGER, training=training) for step in (3, 3, 4)
    )
    np.testing.assert_array_equal(one.cycles, again.cycles)
    np.testing.assert_array_equal(one.cycle_starts, again.cycle_starts)
    assert one.cycles.shape == (5, 4) and (one.cycles != other.cycles).any()
    assert {method for method in METHODS if needs_cycles(TrainingConfig(method=method, cycles=1))} == {
        *CYCLE_BACK,
        "tcc_sal_tcn",
    }
    with pytest.raises(SettingsError, match="cycle_length: must lie between 2 and 2, got 3"):
        TrainingConfig(batch_size=2, cycles=1, cycle_length=3)


def test_embeddings_are_normalized_where_the_setting_says_so():
    step, batch = step_and_batch("lav", normalize=True)
    np.testing.assert_allclose(np.linalg.norm(embed(step.encoder, batch), axis=-1), 1.0, rtol=1e-5)
    plain, same = step_and_batch("lav")
    np.testing.assert_allclose(step.losses(batch)["loss"], plain.losses(same)["loss"], rtol=1e-5)


RUNS = [*((method, {}) for method in METHODS), ("tcc_regression_variance", {"cycles": 6})]


@pytest.mark.parametrize(("method", "options"), RUNS)
def test_every_method_trains_and_resumes_to_the_last_bit(tmp_path, method, options):
    def run(directory, **settings):
        encoder = sample_encoder()
        training = settings_of(method, **options)
        train(labelled_clips(), encoder, directory, sampling=LONGER, training=training, **settings)
        return weights(encoder)

    whole = run(tmp_path / "whole")
    asked = []
    with pytest.raises(Interrupted):
        run(tmp_path / "parted", should_stop=lambda: len(asked) == 4 or asked.append(True))
    parted = run(tmp_path / "parted")
    assert hashes(tmp_path / "whole") == hashes(tmp_path / "parted")
    assert all(np.array_equal(whole[name], value) for name, value in parted.items())


def test_a_supervised_head_learns():
    step, batch = step_and_batch("supervised")
    losses = [step(batch, 1e-2)["loss"] for _ in range(60)]
    assert losses[-1] < 0.5 * losses[0]
