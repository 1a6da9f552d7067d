"""The embedders over whole sequences: slow loops, the reference's shapes, what sees what, any length, training."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tensorflow as tf

from tcc.config import EmbedderConfig, SamplingConfig, Settings
from tcc.errors import SettingsError, ShapeError
from tcc.models import ConvGRUEmbedder, Embedder, Encoder, TransformerEmbedder, build_embedder, draw_dropout_masks
from tcc.models import attention as attention_module
from tcc.models.attention import positional_encoding
from tcc.models.gru import orthogonal
from tcc.models.transformer_embedder import filled_length
from tests.golden import golden_path
from tests.reference import models as reference
from tests.reference import sequence_models

SMALL = {
    "channels": (5, 6),
    "dense": (7, 8),
    "embedding_size": 4,
    "gru_units": (5, 4),
    "transformer_layers": 2,
    "transformer_heads": 3,
    "transformer_width": 6,
    "transformer_feed_forward": 9,
}
KINDS = ("conv_gru", "transformer")
NUM_FRAMES = 6


def small_embedder(kind, *, seed=0, filled=True, **settings):
    """A small embedder with weights that are not symmetric in anything."""
    sampling = SamplingConfig(num_frames=NUM_FRAMES, num_context_frames=1 if kind != "conv" else 2)
    config = EmbedderConfig(kind=kind, **{**SMALL, **settings})
    embedder = build_embedder(config, sampling=sampling, feature_channels=3, seed=seed)
    if filled:
        reference.fill(embedder)
    return embedder


def sequences(num=2, *, length=NUM_FRAMES, seed=0):
    """Random features [num, length, 1, 3, 2, 3]."""
    return np.random.default_rng(seed).normal(size=(num, length, 1, 3, 2, 3)).astype(np.float32)


def slowly(embedder, features):
    """Embeddings by the slow loops."""
    arrays = {key: variable.numpy() for key, variable in embedder.named_variables().items()}
    if isinstance(embedder, ConvGRUEmbedder):
        return [sequence_models.conv_gru(one[:, 0], arrays, num_convs=2, num_grus=2) for one in features]
    counts = {"num_denses": 2, "num_layers": 2, "heads": 3, "num_frames": NUM_FRAMES}
    return [sequence_models.transformer(one[:, 0], arrays, **counts) for one in features]


def of_clip(embedder, features):
    """Embeddings of one clip [T, ...] by way of `frame_vectors` and `clip_function`."""
    return embedder.clip_function()(embedder.frame_vectors(tf.constant(features)).numpy())


def masks_of(embedder, num, length, *, dropout=0.5):
    shapes = embedder.dropout_mask_shapes(num, length)
    return draw_dropout_masks(shapes, dropout=dropout, rng=np.random.default_rng(1))


@pytest.mark.parametrize(
    "kind, made", [("conv", Embedder), ("conv_gru", ConvGRUEmbedder), ("transformer", TransformerEmbedder)]
)
def test_the_kind_names_the_embedder(kind, made):
    assert type(small_embedder(kind)) is made


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("length", [2, NUM_FRAMES, 11])
def test_embeddings_match_the_slow_loops(kind, length):
    embedder, features = small_embedder(kind), sequences(length=length)
    np.testing.assert_allclose(embedder(features), slowly(embedder, features), atol=2e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("length", [1, 5, 31, 32, 33, 64, 65, 150])
def test_a_clip_of_any_length_is_embedded_as_one_sequence(kind, length):
    embedder, features = small_embedder(kind), sequences(1, length=length)
    np.testing.assert_allclose(of_clip(embedder, features[0]), embedder(features)[0], atol=1e-5)


def test_a_gru_goes_on_from_its_state():
    embedder, features = small_embedder("conv_gru"), sequences(length=9)
    vectors = tf.reshape(embedder.frame_vectors(features.reshape(-1, *features.shape[2:])), [2, 9, 6])
    states, parts = embedder.first_states(2), []
    for start, end in ((0, 1), (1, 5), (5, 9)):
        embeddings, states = embedder.advance(vectors[:, start:end], states)
        parts.append(embeddings)
    np.testing.assert_allclose(tf.concat(parts, axis=1), embedder(features), atol=1e-6)


def test_a_gru_sees_all_frames_before_and_none_after():
    embedder, features = small_embedder("conv_gru"), sequences(1, length=5)
    changed = features.copy()
    changed[:, 2] += 1
    moved = np.abs(embedder(changed) - embedder(features)).max(axis=(0, 2))
    assert (moved[:2] == 0).all() and (moved[2:] > 1e-4).all()


def test_every_frame_of_a_transformer_sees_every_other():
    embedder, features = small_embedder("transformer"), sequences(1, length=5)
    for place in range(5):
        changed = features.copy()
        changed[:, place] += 1
        assert (np.abs(embedder(changed) - embedder(features)).max(axis=(0, 2)) > 1e-4).all()


@pytest.mark.parametrize("kind", KINDS)
def test_sequences_of_a_batch_do_not_see_each_other(kind):
    embedder, features = small_embedder(kind), sequences(3)
    np.testing.assert_allclose(embedder(features)[1:2], embedder(features[1:2]), atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_the_order_of_frames_matters(kind):
    embedder, features = small_embedder(kind), sequences()
    assert np.abs(embedder(features) - embedder(features[:, ::-1])[:, ::-1]).max() > 0.01


@pytest.mark.parametrize("kind", KINDS)
def test_masked_frames_reach_no_other(kind):
    embedder, features = small_embedder(kind), sequences()
    frame_mask = np.array([[1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 1, 1]], np.float32)
    other = features.copy()
    other[0, 4:] = 7.0
    embeddings, changed = (embedder(one, frame_mask=tf.constant(frame_mask)) for one in (features, other))
    np.testing.assert_array_equal(embeddings[0, :4], changed[0, :4])
    np.testing.assert_array_equal(embeddings[1], changed[1])
    np.testing.assert_allclose(embeddings[1], embedder(features)[1], atol=1e-6)


def test_a_clip_does_not_depend_on_what_it_is_filled_up_to(monkeypatch):
    embedder, features = small_embedder("transformer"), sequences(1, length=50)
    results = []
    for shortest in (1, 64, 300):
        monkeypatch.setattr("tcc.models.transformer_embedder._SHORTEST", shortest)
        results.append(of_clip(embedder, features[0]))
    np.testing.assert_allclose(results[1], results[0], atol=1e-5)
    np.testing.assert_allclose(results[2], results[0], atol=1e-5)


def test_attention_in_blocks_is_attention_at_once(monkeypatch):
    embedder, features = small_embedder("transformer"), sequences(length=11)
    at_once = embedder(features)
    monkeypatch.setattr(attention_module, "_QUERIES_PER_BLOCK", 4)
    np.testing.assert_allclose(embedder(features), at_once, atol=1e-6)
    np.testing.assert_allclose(of_clip(embedder, features[0]), at_once[0], atol=1e-5)


def test_lengths_are_filled_up_to_few_sizes():
    assert [filled_length(length) for length in (1, 64, 65, 1000, 10_000)] == [64, 64, 128, 1024, 16_384]


def test_positions_are_encoded_channel_by_channel():
    places = np.array([0, 1, 2.5, 300])
    expected = [sequence_models.position(place, 7) for place in places]
    np.testing.assert_allclose(positional_encoding(places, 7), expected, atol=1e-6)


def test_an_orthogonal_matrix_is_orthogonal():
    for shape in ((4, 12), (12, 4), (5, 5)):
        matrix = orthogonal(np.random.default_rng(0), shape)
        product = matrix @ matrix.T if shape[0] <= shape[1] else matrix.T @ matrix
        assert matrix.shape == shape and matrix.dtype == np.float32
        np.testing.assert_allclose(product, np.eye(min(shape)), atol=1e-6)


def test_the_conv_gru_has_the_references_variables():
    golden = json.loads(golden_path("model_other.json").read_text())["convgru"]
    config = EmbedderConfig(kind="conv_gru", channels=(512, 512), standardize=False)
    sampling = SamplingConfig(num_context_frames=1)
    variables = build_embedder(config, sampling=sampling, feature_channels=1024, seed=0).named_variables()
    expected = sorted((name.split("/")[-1].split(":")[0], shape) for name, shape in golden["emb_weights"])
    assert sorted((key.split("/")[1], list(var.shape)) for key, var in variables.items()) == expected
    assert sum(var.shape.num_elements() for var in variables.values()) == golden["emb_params"]


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_reach_every_trained_variable_and_statistics_move(kind):
    embedder = small_embedder(kind, dropout=0.2)
    before = embedder.norms[0].moving_mean.numpy()
    with tf.GradientTape() as tape:
        masks = masks_of(embedder, 4, NUM_FRAMES, dropout=0.2)
        embeddings = embedder(sequences(4), training=True, dropout_masks=masks)
        loss = tf.reduce_sum(embeddings**2 * tf.range(1.0, 5.0))
    variables = embedder.trained_variables()
    gradients = dict(zip((id(var) for var in variables), tape.gradient(loss, variables)))
    for key, variable in embedder.named_variables().items():
        if variable.trainable:
            gradient = gradients[id(variable)].numpy()
            assert np.isfinite(gradient).all(), key
            # A bias right before a batch norm, or the same for all keys of an attention, changes nothing but rounding.
            rounding_only = key.endswith(("conv0/bias", "conv1/bias", "fc0/bias", "fc1/bias", "_key/bias"))
            assert rounding_only or np.abs(gradient).max() > 1e-6, key
    assert (embedder.norms[0].moving_mean.numpy() != before).any()


@pytest.mark.parametrize("kind, count", [("conv_gru", 2), ("transformer", 2 + 1 + 2 * 2)])
def test_every_dropout_mask_is_used(kind, count):
    embedder, features = small_embedder(kind, dropout=0.5), sequences()
    masks = [np.ones(shape, np.float32) for shape in embedder.dropout_mask_shapes(2, NUM_FRAMES)]
    assert len(masks) == count
    kept = embedder(features, training=True, dropout_masks=masks)
    for index in range(count):
        dropped = [0 * mask if index == other else mask for other, mask in enumerate(masks)]
        assert np.abs(embedder(features, training=True, dropout_masks=dropped) - kept).max() > 1e-3, index
    assert small_embedder(kind).dropout_mask_shapes(2, NUM_FRAMES) == []


@pytest.mark.parametrize("kind", KINDS)
def test_the_number_of_dropout_masks_is_checked(kind):
    with pytest.raises(ShapeError, match=r"dropout_masks: expected .* draw them with draw_dropout_masks"):
        small_embedder(kind, dropout=0.5)(sequences(), training=True)


@pytest.mark.parametrize("kind", KINDS)
def test_initial_weights_follow_from_the_seed(kind):
    kernels = [small_embedder(kind, seed=seed, filled=False).trained_variables()[0].numpy() for seed in (5, 5, 6)]
    np.testing.assert_array_equal(kernels[0], kernels[1])
    assert (kernels[0] != kernels[2]).any()


def test_encoder_layers_begin_alike_and_are_trained_apart():
    first, second = small_embedder("transformer", filled=False).encoder_layers
    np.testing.assert_array_equal(first.query.kernel, second.query.kernel)
    assert first.query.kernel is not second.query.kernel


@pytest.mark.parametrize("kind, left_out", [("conv_gru", "recurrent_kernel"), ("transformer", "no such weight")])
def test_regularized_variables_are_kernels_and_biases(kind, left_out):
    embedder = small_embedder(kind)
    keys = {id(variable): key for key, variable in embedder.named_variables().items()}
    regularized = [keys[id(variable)] for variable in embedder.regularized_variables()]
    assert regularized == [key for key in keys.values() if key.endswith(("/kernel", "/bias")) and left_out not in key]


@pytest.mark.parametrize("kind", KINDS)
def test_without_batch_norm_and_standardization_there_is_none(kind):
    embedder = small_embedder(kind, batch_norm=False, standardize=False)
    assert not any("_bn" in key or "standardize" in key for key in embedder.named_variables())
    assert np.isfinite(embedder(sequences())).all()


@pytest.mark.parametrize("kind", KINDS)
def test_context_frames_are_refused(kind):
    config, sampling = EmbedderConfig(kind=kind, **SMALL), SamplingConfig(num_context_frames=2)
    text = f"num_context_frames: kind = {kind} of .embedder. sees the whole sequence .* to 1, got 2"
    with pytest.raises(SettingsError, match=text):
        build_embedder(config, sampling=sampling, feature_channels=3, seed=0)
    with pytest.raises(SettingsError, match=text):
        Settings(embedder=config, sampling=sampling)


@pytest.mark.parametrize(
    "settings, text",
    [
        ({"kind": "lstm"}, "kind: must be one of conv, conv_gru, transformer; got 'lstm'"),
        ({"kind": "conv_gru", "gru_units": (64,)}, r"gru_units: must .* end in embedding_size \(128\).* got \(64,\)"),
        ({"kind": "conv_gru", "gru_units": ()}, r"gru_units: must be positive .* got \(\)"),
        ({"kind": "transformer", "transformer_heads": 3}, "transformer_width: 3 heads must divide it, got 256"),
        ({"transformer_layers": 0}, "transformer_layers: must be at least 1, got 0"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings, text):
    with pytest.raises(SettingsError, match=text):
        EmbedderConfig(**settings)


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_has_static_shapes_and_no_forbidden_operation(kind):
    encoder = Encoder(None, small_embedder(kind))

    def step(features):
        with tf.GradientTape() as tape:
            embeddings = encoder(features, training=True)
            loss = tf.reduce_sum(embeddings**2)
        return embeddings, tape.gradient(loss, encoder.trained_variables())

    concrete = tf.function(step).get_concrete_function(tf.TensorSpec([2, NUM_FRAMES, 1, 3, 2, 3], tf.float16))
    assert concrete.structured_outputs[0].shape == [2, NUM_FRAMES, 4]
    kinds = {operation.type for operation in concrete.graph.get_operations()}
    assert not kinds & {"Einsum", "EnsureShape", "PyFunc", "While", "StatelessWhile", "Conv3D", "RandomUniform"}
