"""What holds for every loss: finite value and gradient whatever comes in, and no operation that Ascend forbids."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tcc import losses
from tests.tcc.loss_samples import random_embeddings, value_and_gradient
from tests.tcc.test_training_step import FORBIDDEN_ON_THE_DEVICE

EXTREMES = {
    "constant": np.ones((4, 6, 8), np.float32),
    "zero": np.zeros((4, 6, 8), np.float32),
    "far apart": random_embeddings(4, 6, 8, scale=30.0),
    "huge": random_embeddings(4, 6, 8, scale=1e4),
    "huge and shifted": random_embeddings(4, 6, 8) + np.float32(1e4),
    "one hot": np.float32(1e4) * np.eye(8, dtype=np.float32)[np.array([[0, 1, 2, 3, 4, 5]] * 4)],
    "one hot, reversed": np.float32(1e4)
    * np.eye(8, dtype=np.float32)[np.array([[0, 1, 2, 3, 4, 5], [5, 4, 3, 2, 1, 0]] * 2)],
    "two frames": random_embeddings(4, 2, 8),
    "duplicated frames": np.repeat(random_embeddings(4, 3, 8), 2, axis=1),
    "one frame is zero": random_embeddings(4, 6, 8) * (np.arange(6) != 2)[:, np.newaxis].astype(np.float32),
    "float16": random_embeddings(4, 6, 8).astype(np.float16),
    "float16 huge": random_embeddings(4, 6, 8, scale=1e4).astype(np.float16),
    "tiny": random_embeddings(4, 6, 8, scale=1e-30),
}
TIMES = {
    "all the same": lambda num_frames: np.full(num_frames, 7),
    "far apart": lambda num_frames: 5000 * np.arange(num_frames),
}


def cycles(embeddings, indices, **settings):
    return losses.cycle_consistency_loss(embeddings, frame_indices=indices, **settings)


def stochastic(embeddings, indices, **settings):
    walks = {"cycles": np.array([[0, 1, 2, 0], [3, 2, 0, 3]]), "starts": np.array([1, 0])}
    return losses.stochastic_cycle_loss(embeddings, frame_indices=indices, **walks, **settings)


def time_contrastive(embeddings, indices, **settings):
    return losses.time_contrastive_loss(embeddings, embeddings[::-1], **settings)


def n_pairs(embeddings, indices, **settings):
    return losses.n_pairs_loss(embeddings[:, 0], embeddings[:, 1], labels=np.array([0, 1, 1, 2]), **settings)


def shuffle_and_learn(embeddings, indices, **settings):
    kernel = random_embeddings(24, 2)
    triplets = np.array([[0, 1, 0], [1, 0, 1], [0, 0, 1], [1, 1, 1], [0, 1, 1]])
    return losses.shuffle_and_learn_loss(
        embeddings,
        indices=triplets,
        labels=np.array([0, 1, 1, 0, 1]),
        classifier=lambda rows: tf.matmul(rows, kernel),
        **settings,
    )


def supervised(embeddings, indices, **settings):
    labels = np.arange(4 * embeddings.shape[1]).reshape(4, -1) % 9 - 1
    return losses.supervised_loss(embeddings, labels, **settings)


def lav(embeddings, indices, **settings):
    return losses.lav_loss(embeddings, frame_indices=indices, sigma=1, **settings)


def sequence_contrastive(embeddings, indices, **settings):
    num_frames = embeddings.shape[1]
    views = tf.reshape(embeddings, [2, 2, num_frames, 8])
    indices = None if indices is None else indices.reshape(2, 2, num_frames)
    mask = np.arange(4 * num_frames).reshape(2, 2, num_frames) % 4 != 1
    return losses.sequence_contrastive_loss(views, frame_indices=indices, mask=mask, **settings)


CYCLE_SETTINGS = [
    {"loss": loss, "similarity": similarity, "normalize_indices": normalize, "normalize_embeddings": normalize}
    for loss in losses.CYCLE_BACK_LOSSES
    for similarity in losses.SIMILARITIES
    for normalize in (True, False)
]
# Every loss with every setting that leads through other operations.
LOSSES = {
    "cycle_consistency": (cycles, CYCLE_SETTINGS),
    "stochastic_cycle": (stochastic, [item for item in CYCLE_SETTINGS if not item["normalize_indices"]]),
    "time_contrastive": (time_contrastive, [{}]),
    "n_pairs": (n_pairs, [{}]),
    "shuffle_and_learn": (shuffle_and_learn, [{}, {"label_smoothing": 0.1}]),
    "supervised": (supervised, [{}, {"label_smoothing": 0.1}]),
    "lav": (
        lav,
        [
            {"l2_normalize": l2, "soft_dtw_normalize": soft, "normalize_indices": soft, "idm_near_weight": weight}
            for l2 in (True, False)
            for soft in (True, False)
            for weight in losses.NEAR_WEIGHTS
        ]
        + [{"gamma": 1e-3}, {"gamma": 1e3}],
    ),
    "sequence_contrastive": (
        sequence_contrastive,
        [
            {"l2_normalize": l2, "negatives": negatives, "epsilon": epsilon}
            for l2 in (True, False)
            for negatives in losses.NEGATIVES
            for epsilon in (0.0, 1e-6)
        ]
        + [{"temperature": 1e-3}, {"variance": 1e-3}],
    ),
}


@pytest.mark.parametrize("name", EXTREMES)
@pytest.mark.parametrize("loss", LOSSES)
def test_value_and_gradient_are_finite(loss, name):
    function, settings_of_loss = LOSSES[loss]
    embeddings = EXTREMES[name]
    for settings in settings_of_loss:
        for times, indices_of in TIMES.items():
            indices = np.broadcast_to(indices_of(embeddings.shape[1]), embeddings.shape[:2])
            value, (gradient,) = value_and_gradient(
                lambda array, indices=indices, settings=settings: function(array, indices, **settings), embeddings
            )
            assert value.dtype == np.float32 and np.isfinite(value), (settings, times)
            assert gradient.dtype == embeddings.dtype and np.isfinite(gradient).all(), (settings, times)


def test_the_table_holds_every_loss():
    named = {name[: -len("_loss")] for name in losses.__all__ if name.endswith("_loss")}
    assert named == set(LOSSES)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_loss_holds_no_operation_that_ascend_forbids(loss):
    function, settings_of_loss = LOSSES[loss]
    for settings in settings_of_loss:
        found, dtypes = operations(lambda array, settings=settings: function(array, None, **settings))
        assert not found & (FORBIDDEN_ON_THE_DEVICE | {"Cumsum", "Switch", "If", "StatelessIf"}), settings
        assert not dtypes & {tf.float64, tf.string, tf.complex64, tf.variant}, settings


def test_the_operation_test_can_fail():
    found, dtypes = operations(lambda array: tf.reduce_sum(tf.einsum("btd->bt", tf.cast(array, tf.float64))))
    assert found & FORBIDDEN_ON_THE_DEVICE and tf.float64 in dtypes


def operations(function):
    """Operations and types of numbers in the graph of a loss and its gradient."""

    def step(array):
        with tf.GradientTape() as tape:
            tape.watch(array)
            value = function(array)
        return value, tape.gradient(value, array)

    graph = tf.function(step, autograph=False).get_concrete_function(tf.TensorSpec([4, 6, 8])).graph.as_graph_def()
    nodes = [*graph.node, *(node for item in graph.library.function for node in item.node_def)]
    types = {node.attr[key].type for node in nodes for key in ("T", "dtype", "DstT", "SrcT")}
    return {node.op for node in nodes}, {tf.dtypes.as_dtype(item) for item in types if item}
