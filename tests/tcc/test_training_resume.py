"""Killed and resumed is as undisturbed, to the last bit: methods x embedders x optimizers x precisions x accumulation.

A cover of all pairs of values always runs, the whole grid in `make test-full`.
"""

from __future__ import annotations

import dataclasses
import itertools
import shutil

import numpy as np
import pytest
import simplejpeg
import tensorflow as tf

from tcc.config import (
    EMBEDDERS,
    METHODS,
    PRECISIONS,
    AugmentationConfig,
    BackboneConfig,
    EmbedderConfig,
    OptimizerConfig,
)
from tcc.dataset import FrameClips
from tcc.device import open_device
from tcc.models import Embedder, Encoder, build_backbone
from tcc.training import read_history, train
from tcc.training.checkpoints import checkpoint_path
from tcc.video.shards import ClipRecord
from tests.tcc.test_training_methods import labelled_clips
from tests.tcc.training_samples import SAMPLING, TRAINING, hashes, sample_encoder, sampling_of, weights

# The kinds of embedder as arguments of `sample_encoder`, by name.
KINDS = {"conv3d": {"convolution": "conv3d"}, **{kind: {"kind": kind} for kind in EMBEDDERS}}
# TensorFlow 2.6 has no convolution in bfloat16 on a CPU.
AXES = (
    METHODS,
    tuple(KINDS),
    ("adam", "adamw", "momentum"),
    tuple(one for one in PRECISIONS if one != "bfloat16" or not tf.__version__.startswith("2.6.")),
    (1, 2),
)
GRID = list(itertools.product(*AXES))


def pairs_of(case):
    return set(itertools.combinations(enumerate(case), 2))


def pairwise(grid):
    """Cases that hold every pair of values of two axes: each next one has the most pairs that are still missing."""
    missing = set().union(*(pairs_of(case) for case in grid))
    chosen = []
    while missing:
        chosen.append(max(grid, key=lambda case: len(pairs_of(case) & missing)))
        missing -= pairs_of(chosen[-1])
    return chosen


COVER = pairwise(GRID)


@pytest.fixture(autouse=True)
def any_precision_on_a_cpu(monkeypatch):
    open_device("cpu")
    monkeypatch.setattr("tcc.training.loop.check_precision", lambda precision, device_kind: None)


def check_resume(directory, case):
    method, embedder, optimizer, precision, accumulation_steps = case
    training = dataclasses.replace(
        TRAINING,
        method=method,
        precision=precision,
        accumulation_steps=accumulation_steps,
        num_steps=3,
        checkpoint_every=1,
    )
    settings = {
        "sampling": dataclasses.replace(sampling_of(KINDS[embedder].get("kind", "conv")), num_frames=6),
        "training": training,
        "optimizer": OptimizerConfig(optimizer),
    }
    check_resumed_is_whole(directory, labelled_clips(), lambda: sample_encoder(**KINDS[embedder]), settings)


def check_resumed_is_whole(directory, source, build, settings):
    """Three steps at once, and the last two again from the checkpoint after the first."""
    whole, resumed = build(), build()
    train(source, whole, directory / "whole", **settings)
    assert len(read_history(directory / "whole")) == 3
    # What a kill in the second step leaves: one checkpoint, and history past it.
    shutil.copytree(directory / "whole", directory / "killed")
    for step in (2, 3):
        shutil.rmtree(checkpoint_path(directory / "killed", step))
    before = weights(resumed)
    train(source, resumed, directory / "killed", **settings)
    after = weights(resumed)
    assert any(not np.array_equal(before[name], value) for name, value in after.items())
    # The resumed run redoes steps 2 and 3, so what it writes is compared with the undisturbed one's.
    assert hashes(directory / "whole") == hashes(directory / "killed")
    assert all(np.array_equal(weights(whole)[name], value) for name, value in after.items())


def frame_clips():
    rng = np.random.default_rng(0)
    clips = []
    for index in range(3):
        pictures = rng.integers(0, 256, (12, 32, 32, 3)).astype(np.uint8)
        jpegs = [simplejpeg.encode_jpeg(picture) for picture in pictures]
        clips.append(ClipRecord(f"clip{index}", jpegs, np.arange(12) / 10, np.full(12, -1)))
    return FrameClips(clips)


def encoder_of_frames():
    backbone = build_backbone(BackboneConfig(name="convnet"))
    config = EmbedderConfig(channels=(4, 4), dense=(5,), embedding_size=6, dropout=0.25)
    embedder = Embedder(config, num_context_frames=2, feature_channels=backbone.feature_channels, seed=0)
    return Encoder(backbone, embedder, trained="all")


@pytest.mark.parametrize("method", ["tcc_regression", "scl"])
def test_augmented_frames_resume_to_the_last_bit(tmp_path, method):
    everything = AugmentationConfig(crop_min_area=0.5, saturation=0.3, hue=0.1, noise=0.05)
    training = dataclasses.replace(TRAINING, method=method, num_steps=3, checkpoint_every=1)
    settings = {"sampling": SAMPLING, "training": training, "augmentation": everything}
    check_resumed_is_whole(tmp_path, frame_clips(), encoder_of_frames, settings)


def test_mirrored_features_resume_to_the_last_bit(tmp_path):
    source = labelled_clips()
    source.mirrored_values = [-values for values in source.values]
    training = dataclasses.replace(TRAINING, num_steps=3, checkpoint_every=1)
    settings = {"sampling": SAMPLING, "training": training, "augmentation": AugmentationConfig()}
    check_resumed_is_whole(tmp_path, source, lambda: sample_encoder(convolution="conv3d"), settings)


HALF = [case if index % 2 else pytest.param(case, marks=pytest.mark.slow) for index, case in enumerate(COVER)]


@pytest.mark.parametrize("case", HALF, ids=lambda case: "-".join(str(value) for value in case))
def test_every_pair_of_settings_resumes_to_the_last_bit(tmp_path, case):
    check_resume(tmp_path, case)


@pytest.mark.slow
@pytest.mark.parametrize("case", [case for case in GRID if case not in COVER], ids=str)
def test_the_whole_grid_resumes_to_the_last_bit(tmp_path, case):
    check_resume(tmp_path, case)


def test_the_cover_holds_every_pair_and_is_small():
    assert set().union(*map(pairs_of, COVER)) == set().union(*map(pairs_of, GRID))
    assert len(COVER) < len(GRID) / 4
