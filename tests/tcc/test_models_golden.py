"""The reference's default architecture, number by number: ResNet50V2 to conv4_block3_out and its 3-D embedder."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tensorflow as tf

from tcc.config import BackboneConfig, EmbedderConfig
from tcc.losses import cycle_consistency_loss
from tcc.models import Embedder, Encoder, build_backbone
from tests.golden import golden_path
from tests.reference import models as reference

EMBEDDER = EmbedderConfig(convolution="conv3d", channels=(512, 512), dense=(512, 512), standardize=False)
FRAME_INDICES = np.array([[1, 9, 20], [3, 11, 40]])
SEQUENCE_LENGTHS = np.array([50, 60])


@pytest.fixture(scope="module")
def golden():
    """The golden scalars and arrays."""
    return json.loads(golden_path("model.json").read_text()), np.load(golden_path("model.npz"))


def shapes_of(names_and_shapes):
    """Shapes by weight in the golden order; the reference's layer names are Keras' counters."""
    return [(name.rsplit("/", 1)[1].split(":")[0], shape) for name, shape in names_and_shapes]


def test_vggm_has_the_references_variables_and_feature_shape():
    expected = json.loads(golden_path("model_other.json").read_text())["VGGM"]
    backbone = build_backbone(BackboneConfig(name="vggm"))
    variables = backbone.named_variables()
    assert [(key.split("/")[1], list(var.shape)) for key, var in variables.items()] == shapes_of(
        expected["cnn_weights"]
    )
    assert sum(var.shape.num_elements() for var in variables.values()) == expected["cnn_params"]
    features = backbone(np.zeros((4, 64, 64, 3), np.uint8))
    assert list(features.shape) == expected["feat_shape_for_64px"][1:]
    embedder = Embedder(EMBEDDER, num_context_frames=2, feature_channels=512, seed=0)
    count = sum(var.shape.num_elements() for var in embedder.named_variables().values())
    assert count == expected["emb_params"]


def reference_encoder():
    """The reference's architecture with the golden weights."""
    backbone = build_backbone(BackboneConfig(name="resnet50v2"))
    embedder = Embedder(EMBEDDER, num_context_frames=2, feature_channels=1024, seed=0)
    encoder = Encoder(backbone, embedder, trained="batch_norm")
    reference.fill(encoder)
    return encoder


def embed(encoder, inputs, *, training=False):
    """Embeddings [B, T, D] and features of golden inputs [B, 2 T, S, S, 3], which are scaled already."""
    batch, images, side = inputs.shape[:3]
    features = encoder.backbone.features(tf.reshape(inputs, [-1, side, side, 3]), training=training)
    windows = tf.reshape(features, [-1, 2, *features.shape[1:]])
    return tf.reshape(encoder.embedder(windows, training=training), [batch, images // 2, 128]), features


def golden_inputs(case):
    """Frames in [-1, 1] by the golden files' rule."""
    return np.random.default_rng(case["seed"]).uniform(-1, 1, case["input_shape"]).astype(np.float32)


def test_variables_have_the_references_keys_order_and_shapes(golden):
    values, _ = golden
    variables = reference_encoder().named_variables()
    expected = [(weight["key"], weight["shape"], weight["trainable"]) for weight in values["weights"]]
    assert [(key, list(var.shape), var.trainable) for key, var in variables.items()] == expected
    assert sum(var.shape.num_elements() for var in variables.values()) == values["param_count"]["total"]


def test_only_bn_trains_the_references_variables(golden):
    values, _ = golden
    encoder = reference_encoder()
    keys = {variable.ref(): key for key, variable in encoder.named_variables().items()}
    assert [keys[var.ref()] for var in encoder.trained_variables()] == values["only_bn_trained_variables"]
    count = sum(var.shape.num_elements() for var in encoder.trained_variables())
    assert count == values["only_bn_trained_param_count"]


@pytest.mark.parametrize("side", ["s64", "s224"])
def test_embeddings_match_the_reference(golden, side):
    values, arrays = golden
    embeddings, features = embed(reference_encoder(), golden_inputs(values[side]))
    np.testing.assert_allclose(embeddings, arrays[f"{side}_embs"], atol=1e-4)
    assert float(tf.reduce_mean(features)) == pytest.approx(values[side]["feat_mean"], abs=1e-5)
    if side == "s64":
        np.testing.assert_allclose(features[0], arrays["s64_feat_first"], atol=1e-4)


@pytest.mark.parametrize(
    "case, loss", [("regression_mse", "regression"), ("regression_mse_var", "regression_variance")]
)
def test_one_training_step_matches_the_reference(golden, case, loss):
    values, arrays = golden
    expected = values[f"train_step_{case}"]
    encoder = reference_encoder()
    with tf.GradientTape() as tape:
        embeddings, _ = embed(encoder, golden_inputs(values["s64"]), training=True)
        alignment = cycle_consistency_loss(
            embeddings,
            frame_indices=FRAME_INDICES,
            sequence_lengths=SEQUENCE_LENGTHS,
            loss=loss,
        )
        squares = [tf.reduce_sum(tf.square(variable)) for variable in encoder.regularized_variables()]
        regularization = 1e-5 * tf.add_n(squares) / len(squares)
        total = alignment + regularization
    gradients = tape.gradient(total, encoder.trained_variables())

    np.testing.assert_allclose(embeddings, arrays[f"train_{case}_embs"], atol=1e-3)
    assert float(alignment) == pytest.approx(expected["loss"], rel=1e-3)
    assert len(squares) == expected["num_reg_terms"]
    assert float(regularization) == pytest.approx(expected["reg_loss_mean"], rel=1e-3)
    norms = dict(zip(values["only_bn_trained_variables"], (float(tf.norm(gradient)) for gradient in gradients)))
    assert norms == pytest.approx(expected["grad_norms"], rel=1e-2)
    # Moving all embeddings alike changes no distance: what is left is the regularization, 2e-6 bias, and rounding.
    np.testing.assert_allclose(gradients[-1], arrays[f"train_{case}_grad_last_bias"], atol=1e-7)
    moving = {key: float(tf.norm(var)) for key, var in encoder.named_variables().items() if "/moving_" in key}
    assert moving == pytest.approx(expected["moving_stat_norms_after_one_training_forward"], rel=1e-4)
