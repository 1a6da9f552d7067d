"""One training step: its terms, its gradient, its operations."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tcc.config import METHODS, BackboneConfig, EmbedderConfig, SamplingConfig
from tcc.dataset import draw_batch
from tcc.device import open_device
from tcc.losses import cycle_consistency_loss, time_contrastive_loss
from tcc.models import Embedder, Encoder, build_backbone
from tcc.training import Adam, TrainingStep
from tcc.training.drawing import draw_training_batch
from tcc.training.loss_scale import LossScale
from tcc.training.methods import build_head, count_phases
from tcc.training.optimizer import Momentum
from tcc.training.step import mean_squared_weights, trained_variables
from tests.tcc.training_samples import SAMPLING, TRAINING, sample_clips, sample_encoder, weights


@pytest.fixture(autouse=True, scope="module")
def device():
    open_device("cpu")


CYCLE_BACK = ("tcc_regression_variance", "tcc_regression", "tcc_huber", "tcc_classification")
OTHERS = tuple(method for method in METHODS if method not in CYCLE_BACK)
LONGER = dataclasses.replace(SAMPLING, num_frames=6)


def batch_of(step=0, *, training=TRAINING):
    return draw_training_batch(sample_clips(), step, sampling=SAMPLING, training=training)


def step_for(encoder, training):
    head = build_head(training, encoder.embedder.config.embedding_size, num_phases=count_phases(sample_clips().labels))
    return TrainingStep(encoder, Adam(trained_variables(encoder, head)), training, head)


def embed(encoder, batch):
    return encoder(tf.constant(batch.inputs), training=False)


@pytest.mark.parametrize("method", CYCLE_BACK)
def test_losses_are_those_of_the_settings(method):
    training = dataclasses.replace(TRAINING, method=method, tcn_weight=0.3, weight_decay=0.01)
    encoder, batch = sample_encoder(dropout=0.0), batch_of()
    losses = step_for(encoder, training).losses(batch)
    embeddings = embed(encoder, batch)
    expected = cycle_consistency_loss(
        embeddings[:, :4],
        frame_indices=batch.frame_indices,
        sequence_lengths=batch.sequence_lengths,
        loss=method[len("tcc_") :],
    )
    contrast = time_contrastive_loss(embeddings[:, :4], embeddings[:, 4:], l2_weight=training.tcn_l2_weight)
    np.testing.assert_allclose(losses["method"], expected, rtol=1e-5)
    np.testing.assert_allclose(losses["tcn"], 0.3 * contrast, rtol=1e-5)
    squares = [np.square(variable.numpy()).sum() for variable in encoder.regularized_variables()]
    np.testing.assert_allclose(losses["weight_decay"], 0.01 * np.mean(squares), rtol=1e-5)
    np.testing.assert_allclose(losses["loss"], sum(losses[key] for key in ("method", "tcn", "weight_decay")), rtol=1e-6)


def test_terms_of_weight_zero_are_left_out():
    training = dataclasses.replace(TRAINING, tcn_weight=0.0, weight_decay=0.0)
    batch = batch_of(training=training)
    assert batch.inputs.shape[1] == 4
    assert set(step_for(sample_encoder(dropout=0.0), training).losses(batch)) == {"loss", "method"}


def test_the_settings_reach_the_loss():
    encoder, batch = sample_encoder(dropout=0.0), batch_of()
    settings = {
        "similarity": "cosine",
        "temperature": 0.7,
        "variance_weight": 0.2,
        "variance_floor": 0.5,
        "normalize_indices": False,
        "normalize_embeddings": True,
    }
    training = dataclasses.replace(TRAINING, **settings)
    expected = cycle_consistency_loss(
        embed(encoder, batch)[:, :4],
        frame_indices=batch.frame_indices,
        sequence_lengths=batch.sequence_lengths,
        **settings,
    )
    np.testing.assert_allclose(step_for(encoder, training).losses(batch)["method"], expected, rtol=1e-5)


def test_the_mean_of_squared_weights_is_over_variables_not_over_weights():
    """(1 + 4) and 9: the mean of the two sums is 7."""
    assert float(mean_squared_weights([tf.Variable([1.0, 2.0]), tf.Variable([[3.0]])])) == 7.0


@pytest.mark.parametrize("scaled", [False, True])
def test_weight_decay_pulls_every_regularized_weight_to_zero_and_no_other(scaled):
    """Plain gradient descent with and without: the difference is rate 2 weight variable / number of variables."""
    start, ends = weights(sample_encoder(dropout=0.0)), []
    for decay in (0.5, 0.0):
        training = dataclasses.replace(TRAINING, tcn_weight=0.0, clip_norm=0.0, weight_decay=decay)
        encoder = sample_encoder(dropout=0.0)
        descent = Momentum(encoder.trained_variables(), momentum=0.0)
        step = TrainingStep(encoder, descent, training, loss_scale=LossScale() if scaled else None)
        step(batch_of(training=training), 0.25)
        ends.append(weights(encoder))
    regularized = sum(name.endswith(("/kernel", "/bias")) for name in start)
    assert 0 < regularized < len(start)
    for name, value in start.items():
        share = 0.25 * 2 * 0.5 / regularized if name.endswith(("/kernel", "/bias")) else 0.0
        np.testing.assert_allclose(ends[0][name] - ends[1][name], -share * value, atol=1e-6, err_msg=name)


def test_a_step_descends_and_changes_statistics():
    training = dataclasses.replace(TRAINING, learning_rate=1e-3, clip_norm=0.0)
    encoder, batch = sample_encoder(dropout=0.0), batch_of()
    step, before = step_for(encoder, training), weights(encoder)
    losses = [step(batch, 1e-3)["loss"] for _ in range(30)]
    assert losses[-1] < losses[0]
    after = weights(encoder)
    unchanged = {name for name in before if np.array_equal(before[name], after[name])}
    # Standardization is data, set once; a bias right before a batch norm has a zero gradient up to rounding.
    assert unchanged <= {"emb_standardize/mean", "emb_standardize/std", "emb_conv0/bias", "emb_conv1/bias"}


def test_losses_in_inference_change_nothing():
    encoder = sample_encoder(dropout=0.0)
    before = weights(encoder)
    step_for(encoder, TRAINING).losses(batch_of())
    assert all(np.array_equal(before[name], value) for name, value in weights(encoder).items())


def test_dropout_masks_and_the_learning_rate_are_inputs():
    encoder, batch = sample_encoder(dropout=0.5), batch_of()
    shapes = encoder.embedder.dropout_mask_shapes(4, 4)
    masked = [
        dataclasses.replace(batch, dropout_masks=tuple(np.full(s, k, np.float32) for s in shapes)) for k in (1, 2)
    ]
    step = step_for(encoder, TRAINING)
    values = [step(item, 0.0)["loss"] for item in masked]
    assert values[0] != values[1]
    assert step._compiled.experimental_get_tracing_count() == 1


def test_gradients_are_clipped_after_their_norm_was_taken():
    """Clipped to far below Adam's epsilon, gradients hardly move a weight; unclipped, each moves by the rate."""
    moved = []
    for clip_norm in (0.0, 1e-10):
        encoder = sample_encoder(dropout=0.0)
        before = weights(encoder)["emb_out0/kernel"]
        losses = step_for(encoder, dataclasses.replace(TRAINING, clip_norm=clip_norm))(batch_of(), 0.01)
        moved.append((np.abs(weights(encoder)["emb_out0/kernel"] - before).max(), losses["gradient_norm"]))
    assert moved[0][0] == pytest.approx(0.01, rel=1e-2) and moved[1][0] < 1e-4
    assert moved[0][1] == moved[1][1] > 1e-3


# From the plugin's table: what Ascend calls unsupported, in the names of the operations that it becomes in a graph.
FORBIDDEN = {
    "Einsum",
    "EnsureShape",
    "PyFunc",
    "PyFuncStateless",
    "EagerPyFunc",
    "StatelessRandomUniform",
    "StatelessRandomUniformV2",
    "StatelessRandomGetKeyCounter",
    "RandomUniform",
    "AvgPool3D",
    "AvgPool3DGrad",
    "CheckNumerics",
    "CheckNumericsV2",
    "SparseTensorDenseMatMul",
    "RaggedTensorToTensor",
    "TensorListFromTensor",
    "While",
    "StatelessWhile",
    "StringFormat",
    "WriteSummary",
}
FORBIDDEN_ON_THE_DEVICE = FORBIDDEN | {"DepthwiseConv2dNative"}
# Rated unsupported in the same table and used by Ascend's own port of TCC, which is rated working: allowed.
CONV3D = {"Conv3D", "Conv3DBackpropFilterV2", "Conv3DBackpropInputV2"}


def operations(encoder, training, batch):
    function = step_for(encoder, training).concrete_function(batch)
    graph = function.graph.as_graph_def()
    nodes = [*graph.node, *(node for item in graph.library.function for node in item.node_def)]
    return {node.op for node in nodes}, {value for node in nodes for value in _dtypes(node)}


def _dtypes(node):
    return {tf.dtypes.as_dtype(node.attr[key].type) for key in ("T", "dtype", "DstT") if node.attr[key].type}


@pytest.mark.parametrize("method", CYCLE_BACK)
@pytest.mark.parametrize("similarity", ["negative_squared_l2", "dot", "cosine"])
def test_the_step_holds_no_operation_that_ascend_forbids(method, similarity):
    training = dataclasses.replace(TRAINING, method=method, similarity=similarity)
    found, dtypes = operations(sample_encoder(dropout=0.0), training, batch_of())
    assert not found & FORBIDDEN_ON_THE_DEVICE and not found & CONV3D
    assert not dtypes & {tf.float64, tf.string, tf.complex64, tf.variant}


@pytest.mark.parametrize("method", OTHERS)
def test_the_step_of_the_other_methods_holds_no_operation_that_ascend_forbids(method):
    training = dataclasses.replace(TRAINING, method=method)
    batch = draw_training_batch(sample_clips(), 0, sampling=LONGER, training=training)
    found, dtypes = operations(sample_encoder(dropout=0.0), training, batch)
    assert not found & FORBIDDEN_ON_THE_DEVICE and not found & CONV3D
    assert not dtypes & {tf.float64, tf.string, tf.complex64, tf.variant}


def test_the_reference_embedder_needs_no_conv3d():
    config = EmbedderConfig(convolution="conv3d", channels=(4, 4), dense=(5,), embedding_size=6)
    encoder = Encoder(None, Embedder(config, num_context_frames=2, feature_channels=3, seed=0))
    found, dtypes = operations(encoder, TRAINING, batch_of())
    assert not found & FORBIDDEN_ON_THE_DEVICE and not found & CONV3D
    assert not dtypes & {tf.float64, tf.string}


@pytest.mark.parametrize("name", ["resnet50v2", "convnet"])
def test_the_step_from_frames_holds_no_operation_that_ascend_forbids(name):
    backbone = build_backbone(BackboneConfig(name=name))
    config = EmbedderConfig(channels=(4, 4), dense=(5,), embedding_size=6, standardize=False)
    embedder = Embedder(config, num_context_frames=2, feature_channels=backbone.feature_channels, seed=0)
    encoder = Encoder(backbone, embedder, trained="batch_norm")
    batch = dataclasses.replace(batch_of(), inputs=np.zeros((2, 8, 2, 32, 32, 3), np.uint8))
    found, _ = operations(encoder, TRAINING, batch)
    assert not found & FORBIDDEN_ON_THE_DEVICE


def test_the_operation_test_can_fail():
    class Forbidden(Encoder):
        def __call__(self, inputs, **settings):
            return tf.einsum("btd,de->bte", super().__call__(inputs, **settings), tf.eye(6))

    encoder = Forbidden(None, sample_encoder(dropout=0.0).embedder)
    found, _ = operations(encoder, TRAINING, batch_of())
    assert found & FORBIDDEN


def test_a_small_set_can_be_learnt():
    """Clips that drift alike: after training, the way back ends nearer in time on every batch taken together."""
    sampling = SamplingConfig(num_frames=6, num_context_frames=2, context_stride=1)
    training = dataclasses.replace(TRAINING, method="tcc_regression", tcn_weight=0.0, weight_decay=0.0)
    encoder, source = sample_encoder(dropout=0.0, channels=(8, 8)), sample_clips(num_clips=6)
    step = step_for(encoder, training)
    batches = [draw_batch(source, number, seed=0, sampling=sampling, batch_size=2) for number in range(90)]

    def mean_loss():
        return np.mean([step.losses(batch)["loss"] for batch in batches[:30]])

    before = mean_loss()
    for batch in batches[30:]:
        step(batch, 1e-2)
    assert mean_loss() < 0.5 * before
