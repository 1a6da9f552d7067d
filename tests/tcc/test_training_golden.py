"""One step of the reference at its defaults: loss, regularization, and what Adam does with the gradient."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tcc.config import BackboneConfig, EmbedderConfig, TrainingConfig
from tcc.dataset import Batch
from tcc.device import open_device
from tcc.models import Embedder, Encoder, build_backbone
from tcc.training import Adam, TrainingStep
from tests.golden import golden_path
from tests.reference import models as reference

EMBEDDER = EmbedderConfig(convolution="conv3d", channels=(512, 512), dense=(512, 512), standardize=False)


@pytest.fixture(scope="module")
def golden():
    return json.loads(golden_path("model.json").read_text())


def golden_batch(case):
    inputs = np.random.default_rng(case["seed"]).uniform(-1, 1, case["input_shape"]).astype(np.float32)
    num_clips, images, *image_shape = inputs.shape
    windows = inputs.reshape(num_clips, images // 2, 2, *image_shape)
    return Batch(
        step=0,
        clips=np.arange(2),
        inputs=(windows + 1) * np.float32(127.5),
        frame_indices=np.array([[1, 9, 20], [3, 11, 40]], np.int32),
        sequence_lengths=np.array([50, 60], np.int32),
        labels=np.full((2, 3), -1, np.int32),
    )


@pytest.mark.parametrize(
    ("case", "method"),
    [("regression_mse", "tcc_regression"), ("regression_mse_var", "tcc_regression_variance")],
)
def test_the_first_step_is_the_reference_one(golden, case, method):
    open_device("cpu")
    backbone = build_backbone(BackboneConfig(name="resnet50v2"))
    encoder = Encoder(
        backbone, Embedder(EMBEDDER, num_context_frames=2, feature_channels=1024, seed=0), trained="batch_norm"
    )
    reference.fill(encoder)
    expected = golden[f"train_step_{case}"]
    keys = golden["only_bn_trained_variables"]
    variables = encoder.trained_variables()
    before = [variable.numpy() for variable in variables]
    training = TrainingConfig(method=method, tcn_weight=0.0, clip_norm=0.0)
    losses = TrainingStep(encoder, Adam(variables), training)(golden_batch(golden["s64"]), 1e-4)

    assert losses["method"] == pytest.approx(expected["loss"], rel=1e-3)
    assert losses["weight_decay"] == pytest.approx(expected["reg_loss_mean"], rel=1e-3)
    norms = np.array([expected["grad_norms"][key] for key in keys])
    assert losses["gradient_norm"] == pytest.approx(np.sqrt(np.square(norms).sum()), rel=1e-2)
    moved = {key: float(np.linalg.norm(var.numpy() - old)) for key, var, old in zip(keys, variables, before)}
    deltas = expected["adam_lr1e-4_step1_delta_norms"]
    assert moved == pytest.approx(deltas, rel=1e-2)
