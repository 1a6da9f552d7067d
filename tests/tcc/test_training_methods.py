"""Each method: its terms are the losses it names, its head learns and comes back, and it resumes to the last bit."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tcc.config import METHODS, TrainingConfig
from tcc.dataset import FeatureClips
from tcc.device import open_device
from tcc.errors import SettingsError
from tcc.losses import (
    cycle_consistency_loss,
    draw_triplets,
    lav_loss,
    shuffle_and_learn_loss,
    supervised_loss,
    time_contrastive_loss,
)
from tcc.sequences import ClipSequence
from tcc.training import Adam, Interrupted, TrainingStep, train
from tcc.training.loop import draw_training_batch
from tcc.training.methods import build_head, needs_positives, needs_triplets
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


def settings_of(method):
    return dataclasses.replace(TRAINING, method=method, weight_decay=0.0)


def step_and_batch(method):
    training, source = settings_of(method), labelled_clips()
    encoder = sample_encoder(dropout=0.0)
    head = build_head(training, encoder.embedder.config.embedding_size, source.labels)
    step = TrainingStep(encoder, Adam(trained_variables(encoder, head)), training, head)
    return step, draw_training_batch(source, 0, sampling=LONGER, training=training)


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
        build_head(settings_of("supervised"), 6, unlabelled)


def test_lav_takes_clips_in_pairs():
    with pytest.raises(SettingsError, match="batch_size: lav aligns clips in pairs, got 3; give an even number"):
        TrainingConfig(method="lav", batch_size=3)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_trains_and_resumes_to_the_last_bit(tmp_path, method):
    def run(directory, **settings):
        encoder = sample_encoder()
        training = settings_of(method)
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
