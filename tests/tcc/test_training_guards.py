"""What a step does besides learning: precision, accumulated gradients, XLA, why it diverged, whether it collapses."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf

from tcc import figures
from tcc.config import OptimizerConfig, TrainingConfig
from tcc.device import open_device
from tcc.errors import SettingsError, TrainingDiverged
from tcc.training import Adam, TrainingStep, list_checkpoints, read_history, train
from tcc.training.collapse import collapse_warnings, embedding_health
from tcc.training.diagnosis import clips_of, diagnose
from tcc.training.drawing import draw_training_batch
from tcc.training.loop import check_xla
from tcc.training.loss_scale import LossScale
from tcc.training.methods import build_head
from tcc.training.optimizer import build_optimizer
from tcc.training.precision import build_loss_scale, check_precision
from tcc.training.step import trained_variables
from tests.tcc.training_samples import SAMPLING, TRAINING, sample_clips, sample_encoder, weights

NAMES = [f"clip{index}" for index in range(5)]
NO_BFLOAT16 = pytest.mark.skipif(tf.__version__.startswith("2.6."), reason="no bfloat16 convolution on a CPU")


@pytest.fixture(autouse=True, scope="module")
def device():
    open_device("cpu")


def batch_of(step=0, *, training=TRAINING):
    return draw_training_batch(sample_clips(), step, sampling=SAMPLING, training=training)


def step_for(encoder, training=TRAINING, **settings):
    head = build_head(training, encoder.embedder.config.embedding_size, num_phases=0)
    return TrainingStep(encoder, Adam(trained_variables(encoder, head)), training, head, **settings)


# Precision.


@NO_BFLOAT16
def test_bfloat16_changes_the_network_and_leaves_losses_and_variables_in_float32():
    encoder = sample_encoder(dropout=0.0)
    step = step_for(encoder, dataclasses.replace(TRAINING, precision="bfloat16"))
    nodes = step.concrete_function(batch_of()).graph.as_graph_def().node
    types = {node.op: set() for node in nodes}
    for node in nodes:
        types[node.op].add(node.attr["T"].type)
    assert types["Conv2D"] == {tf.bfloat16.as_datatype_enum}
    for op in ("MatMul", "Softmax", "Exp", "Sum", "L2Loss", "Log", "SquaredDifference"):
        assert types.get(op, set()) <= {tf.float32.as_datatype_enum}, op
    assert all(variable.dtype in (tf.float32, tf.int64) for variable in [*encoder.variables, *step.optimizer.variables])


@NO_BFLOAT16
def test_bfloat16_is_near_float32_but_not_it():
    losses = {
        precision: step_for(sample_encoder(dropout=0.0), dataclasses.replace(TRAINING, precision=precision))(
            batch_of(), 1e-3
        )["loss"]
        for precision in ("float32", "bfloat16")
    }
    assert losses["bfloat16"] != losses["float32"]
    assert losses["bfloat16"] == pytest.approx(losses["float32"], rel=0.05)


def test_losses_without_training_are_float32_in_every_precision():
    values = [
        step_for(sample_encoder(dropout=0.0), dataclasses.replace(TRAINING, precision=precision)).losses(batch_of())
        for precision in ("float32", "float16")
    ]
    assert values[0] == values[1]


def test_float16_is_refused_where_it_does_not_help(tmp_path):
    training = dataclasses.replace(TRAINING, precision="float16")
    with pytest.raises(SettingsError, match="precision: float16 is for a GPU, a CPU is slower in it; use bfloat16"):
        train(sample_clips(), sample_encoder(), tmp_path, sampling=SAMPLING, training=training)
    with pytest.raises(SettingsError, match="float16 is for a GPU, an NPU may hide overflow"):
        check_precision("float16", "npu")
    check_precision("float16", "gpu")
    with pytest.raises(SettingsError, match="precision: must be one of float32, bfloat16, float16; got 'half'"):
        TrainingConfig(precision="half")


def test_bfloat16_is_refused_where_tensorflow_has_none(monkeypatch):
    with pytest.raises(SettingsError, match="bfloat16 is not known to run on an NPU"):
        check_precision("bfloat16", "npu")
    monkeypatch.setattr(tf, "__version__", "2.6.5")
    with pytest.raises(SettingsError, match=r"TensorFlow 2\.6\.5 has no convolution in bfloat16 on a CPU; use float32"):
        check_precision("bfloat16", "cpu")


@pytest.mark.parametrize("factor", [1.0, 1024.0])
def test_the_scale_of_the_loss_cancels(factor):
    """A power of two: the scaled and the plain gradient have the same bits."""
    steps, encoders = [], []
    for scale in (None, LossScale(initial=factor)):
        encoders.append(sample_encoder(dropout=0.0))
        steps.append(step_for(encoders[-1], loss_scale=scale)(batch_of(), 1e-3))
    assert steps[1].pop("loss_scale") == factor
    assert steps[0] == pytest.approx(steps[1], rel=1e-6)
    for name, value in weights(encoders[0]).items():
        np.testing.assert_allclose(weights(encoders[1])[name], value, atol=1e-6)


def test_the_scale_doubles_after_enough_good_steps():
    scale = LossScale(initial=8.0, growth_steps=2)
    step = step_for(sample_encoder(dropout=0.0), loss_scale=scale)
    assert [step(batch_of(), 1e-3)["loss_scale"] for _ in range(5)] == [8, 8, 16, 16, 32]


def test_a_step_that_overflows_changes_no_weight_counts_and_halves_the_scale():
    encoder, scale = sample_encoder(dropout=0.0), LossScale(initial=3e38)
    step = step_for(encoder, loss_scale=scale)
    before = {variable.ref(): variable.numpy() for variable in encoder.trained_variables()}
    losses = step(batch_of(), 1e-3)
    assert "gradient_norm" not in losses and np.isfinite(losses["loss"])
    assert all(np.array_equal(before[one.ref()], one.numpy()) for one in encoder.trained_variables())
    assert int(step.optimizer.iterations) == 1
    assert float(scale.factor) == pytest.approx(1.5e38) and int(scale.good_steps) == 0


def test_only_float16_has_a_scale():
    assert build_loss_scale("float32") is None and build_loss_scale("bfloat16") is None
    assert float(build_loss_scale("float16").factor) == 2**15


# Accumulated gradients.


def test_accumulated_gradients_are_the_mean_of_the_batches_gradients():
    """Plain gradient descent without clipping: one step of the mean is the mean of the steps from the same weights."""
    training = dataclasses.replace(TRAINING, clip_norm=0.0)
    batches = [batch_of(0), batch_of(1), batch_of(2)]

    def moved(parts, accumulation_steps):
        encoder = sample_encoder(dropout=0.0)
        optimizer = build_optimizer(OptimizerConfig("momentum", momentum=0.0), encoder.trained_variables())
        before = [variable.numpy() for variable in encoder.trained_variables()]
        settings = dataclasses.replace(training, accumulation_steps=accumulation_steps)
        losses = TrainingStep(encoder, optimizer, settings)(parts, 0.1)
        return [one.numpy() - old for one, old in zip(encoder.trained_variables(), before)], losses

    apart = [moved([batch], 1) for batch in batches]
    together, losses = moved(batches, 3)
    for index, change in enumerate(together):
        np.testing.assert_allclose(change, np.mean([one[0][index] for one in apart], axis=0), atol=1e-6)
    assert losses["loss"] == pytest.approx(np.mean([one[1]["loss"] for one in apart]), rel=1e-6)


def test_nothing_is_left_of_the_gradients_before():
    training = dataclasses.replace(TRAINING, accumulation_steps=2, clip_norm=0.0)
    step = step_for(sample_encoder(dropout=0.0), training)
    norms = [step([batch_of(0), batch_of(0)], 0.0)["gradient_norm"] for _ in range(2)]
    assert norms[0] == pytest.approx(norms[1], rel=1e-5)


def test_history_counts_optimizer_steps_and_each_draws_batches_of_its_own(tmp_path):
    training = dataclasses.replace(TRAINING, accumulation_steps=2, num_steps=3, checkpoint_every=2)
    seen = []

    class Watching(type(sample_clips())):
        def gather(self, clip, indices):
            seen.append(clip)
            return super().gather(clip, indices)

    source = sample_clips()
    source.__class__ = Watching
    train(source, sample_encoder(), tmp_path, sampling=SAMPLING, training=training)
    assert [line["step"] for line in read_history(tmp_path)] == [1, 2, 3]
    assert list_checkpoints(tmp_path) == [2, 3]
    expected = [draw_training_batch(sample_clips(), step, sampling=SAMPLING, training=training) for step in range(6)]
    # Standardization looks at every clip first.
    assert seen[-12:] == [clip for batch in expected for clip in batch.clips]


# XLA.


def test_xla_does_the_same_step():
    results = [step_for(sample_encoder(dropout=0.0), xla=xla)(batch_of(), 1e-3) for xla in (False, True)]
    assert results[1] == pytest.approx(results[0], rel=1e-4)


def test_xla_is_refused_on_an_npu_and_for_several_replicas():
    check_xla(True, "gpu", 1)
    with pytest.raises(SettingsError, match="xla: an NPU compiles by itself; set it to false"):
        check_xla(True, "npu", 1)
    with pytest.raises(SettingsError, match="xla: a step that 2 replicas do together is not compiled by XLA"):
        check_xla(True, "gpu", 2)


# Divergence.


def diagnosed(change, *, training=TRAINING):
    """What is said of a step whose trace was changed by `change`."""
    step = step_for(sample_encoder(dropout=0.0), training)
    step(batch_of(training=training), 1e-3)
    step.traces = (change(step, step.traces[0]),)
    return diagnose(step, NAMES), [NAMES[clip] for clip in step.traces[0].batch.clips]


def with_embeddings(trace, place, value):
    embeddings = trace.embeddings.numpy()
    embeddings[place] = value
    return dataclasses.replace(trace, embeddings=tf.constant(embeddings))


def test_inputs_that_are_not_finite_are_named_first():
    def change(step, trace):
        inputs = trace.batch.inputs.copy()
        inputs[1, 0] = np.nan
        trace = dataclasses.replace(trace, batch=dataclasses.replace(trace.batch, inputs=inputs))
        return with_embeddings(trace, 0, np.nan)

    said, clips = diagnosed(change)
    assert said == f"the inputs of clip {clips[1]} are not finite; leave them out, or compute their features anew"


def test_embeddings_that_are_not_finite_are_named_by_clip():
    said, clips = diagnosed(lambda step, trace: with_embeddings(trace, 0, np.inf))
    assert said.startswith(f"inputs are finite, the embeddings of clip {clips[0]} are not; look at these clips")
    said, _ = diagnosed(lambda step, trace: with_embeddings(trace, slice(None), np.nan))
    assert said.startswith("inputs are finite, the embeddings of every clip are not: the weights have grown too large")


def test_the_term_and_the_clip_that_breaks_it_are_named():
    """Clip 2 of 4 lies so far away that its squares overflow: it is in every pair that is not finite."""
    training = dataclasses.replace(TRAINING, batch_size=4, tcn_weight=0.0, weight_decay=0.0)

    def change(step, trace):
        trace = with_embeddings(trace, (2, 0), 3e19)
        terms = {name: float(value) for name, value in step.terms_of(trace.embeddings, trace.batch).items()}
        assert not np.isfinite(terms["method"])
        return dataclasses.replace(trace, terms=terms)

    said, clips = diagnosed(change, training=training)
    assert said.startswith(f"embeddings are finite, the term method is not, because of clip {clips[2]}; look at")


def test_a_gradient_alone():
    said, _ = diagnosed(lambda step, trace: trace)
    assert said.startswith("inputs, embeddings and terms are finite, the gradient is not: it overflows on its way back")


def test_clips_of_a_batch_keep_their_triplets():
    training = dataclasses.replace(TRAINING, method="shuffle_and_learn", batch_size=3)
    sampling = dataclasses.replace(SAMPLING, num_frames=6)
    batch = draw_training_batch(sample_clips(), 0, sampling=sampling, training=training)
    part = clips_of(batch, [0, 2])

    def shown(one):
        """(clip, frames, label) of each triplet; triplet r belongs to the clip at place r % B."""
        triplets = zip(one.triplets.tolist(), one.triplet_labels.tolist())
        return [(int(one.clips[r % len(one.clips)]), *triplet) for r, triplet in enumerate(triplets)]

    expected = [triplet for triplet in shown(batch) if triplet[0] != batch.clips[1]]
    assert shown(part) == expected and len(expected) == 2 * training.sal_samples


def test_a_clip_with_two_views_is_named_once_and_by_its_own_name():
    training = dataclasses.replace(TRAINING, method="scl", batch_size=2)

    def change(step, trace):
        inputs = trace.batch.inputs.copy()
        inputs[2:4] = np.nan
        return dataclasses.replace(trace, batch=dataclasses.replace(trace.batch, inputs=inputs))

    said, clips = diagnosed(change, training=training)
    assert said.startswith(f"the inputs of clip {clips[1]} are not finite")
    said, clips = diagnosed(lambda step, trace: with_embeddings(trace, 1, np.inf), training=training)
    assert said.startswith(f"inputs are finite, the embeddings of clip {clips[0]} are not")


def test_a_training_that_diverges_keeps_its_last_checkpoint(tmp_path):
    run = {"sampling": SAMPLING, "training": dataclasses.replace(TRAINING, num_steps=40, checkpoint_every=1)}
    source = sample_clips()
    source.values[4] = source.values[4].copy()
    source.values[4][:] = np.inf
    encoder = sample_encoder()
    # It would be broken by that clip before the first step.
    encoder.embedder.standardization = None
    said = r"step \d+: .* on clips .*: .*; then run again: it goes on from the last"
    with pytest.raises(TrainingDiverged, match=said):
        train(source, encoder, tmp_path, **run)
    steps = list_checkpoints(tmp_path)
    history = read_history(tmp_path)
    assert [line["step"] for line in history] == steps
    assert all(np.isfinite(line["loss"]) for line in history)


# Collapse.


def test_health_of_embeddings_by_hand():
    """Two clips of the same three points on a line: 0, 1, 2 along one axis, always 1 on the other."""
    points = np.array([[0.0, 1], [1, 1], [2, 1]])
    health = embedding_health(np.stack([points, points]))
    assert health["embedding_variance"] == pytest.approx((2 / 3 + 0) / 2)
    assert health["embedding_spread"] == pytest.approx((2 / 3 / 2) / ((5 / 3 + 1) / 2))
    assert health["embedding_rank"] == pytest.approx(1.0)
    assert health["neighbor_entropy"] == pytest.approx(1.0)


def test_the_curve_of_the_losses_shows_no_sign_of_collapse_and_no_scale():
    health = embedding_health(np.random.default_rng(0).standard_normal((2, 4, 3)))
    assert figures.loss_terms([{"step": 1, "loss": 2.0, "method": 1.0, "loss_scale": 32768.0, **health}]) == [
        "loss",
        "method",
    ]


def test_entropy_of_one_neighbor_for_all_is_zero_and_of_two_is_between():
    far, near = np.array([[[0.0], [10], [20], [30]]]), np.array([[[14.0], [16], [17], [18]]])
    there = -(0.5 * np.log(0.5) * 2) / np.log(4)  # 0, 10 -> 14 and 20, 30 -> 18
    back = -(0.25 * np.log(0.25) + 0.75 * np.log(0.75)) / np.log(4)  # 14 -> 10, all others -> 20
    health = embedding_health(np.concatenate([far, near]))
    assert health["neighbor_entropy"] == pytest.approx((there + back) / 2)
    same = embedding_health(np.ones((2, 4, 3)))
    assert same["neighbor_entropy"] == 0 and same["embedding_spread"] == 0 and same["embedding_rank"] == 0


def test_rank_counts_dimensions_in_use():
    values = np.random.default_rng(0).standard_normal((4, 500, 3))
    assert embedding_health(values)["embedding_rank"] == pytest.approx(3, abs=0.05)
    values[..., 2] = 0
    assert embedding_health(values)["embedding_rank"] == pytest.approx(2, abs=0.05)


def test_warnings_say_when_and_how_often():
    good = {"embedding_spread": 0.5, "neighbor_entropy": 0.8}
    history = [
        {"step": 100, **good},
        {"step": 101},
        {"step": 200, **good, "neighbor_entropy": 0.1},
        {"step": 300, "embedding_spread": 1e-6, "neighbor_entropy": 0.0},
    ]
    spread, entropy = collapse_warnings(history)
    assert (
        "all frames have nearly the same embedding (embedding_spread 1e-06 below 0.0001 at step 300, 1 times" in spread
    )
    assert "(neighbor_entropy 0.1 below 0.2 at step 200, 2 times in all); lower learning_rate" in entropy
    assert collapse_warnings(history[:2]) == []


def test_a_collapsed_training_warns_and_a_healthy_one_does_not(tmp_path):
    settings = {"sampling": SAMPLING, "training": TRAINING}
    healthy = train(sample_clips(), sample_encoder(), tmp_path / "healthy", **settings)
    assert healthy.warnings == ()
    lines = read_history(tmp_path / "healthy")
    assert [line["step"] for line in lines if "neighbor_entropy" in line] == [3, 6, 7]
    collapsed = sample_encoder()
    collapsed.embedder.output.kernel.assign(tf.zeros_like(collapsed.embedder.output.kernel))
    collapsed.embedder.output.bias.assign(tf.ones_like(collapsed.embedder.output.bias))
    settings["training"] = dataclasses.replace(TRAINING, learning_rate=1e-12)
    said = []
    result = train(
        sample_clips(),
        collapsed,
        tmp_path / "collapsed",
        progress=lambda fraction, status: said.append(status),
        **settings,
    )
    assert len(result.warnings) == 2 and "at step 3, 3 times in all" in result.warnings[0]
    assert "; collapse: all frames have nearly the same embedding" in said[-1]
    json.dumps(result.warnings)
