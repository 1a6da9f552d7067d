"""Adam, clipping and the learning rate against loops, against Keras, and against the reference."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest
import tensorflow as tf

from tcc.config import OptimizerConfig, ScheduleConfig
from tcc.training import Adam, learning_rate_at
from tcc.training.optimizer import build_optimizer, clip_by_global_norm, global_norm
from tests.golden import golden_path

START = [np.array([[0.5, -2.0], [3.0, 0.0]], np.float32), np.array([1.0, -1.0, 0.25], np.float32)]


def gradients_of(step):
    rng = np.random.default_rng(step)
    return [(10.0 ** (step % 3 - 2) * rng.standard_normal(item.shape)).astype(np.float32) for item in START]


def adam_by_loops(rates):
    values, m, v = ([item.astype(np.float64) for item in START] for _ in range(3))
    m, v = ([np.zeros_like(item) for item in values] for _ in range(2))
    for t, rate in enumerate(rates, start=1):
        for i, gradient in enumerate(gradients_of(t)):
            m[i] = 0.9 * m[i] + 0.1 * gradient
            v[i] = 0.999 * v[i] + 0.001 * gradient.astype(np.float64) ** 2
            values[i] -= rate * math.sqrt(1 - 0.999**t) / (1 - 0.9**t) * m[i] / (np.sqrt(v[i]) + 1e-7)
    return values


def run_adam(rates):
    variables = [tf.Variable(item) for item in START]
    optimizer = Adam(variables)
    for t, rate in enumerate(rates, start=1):
        optimizer.apply([tf.constant(item) for item in gradients_of(t)], variables, tf.constant(rate, tf.float32))
    assert int(optimizer.iterations.numpy()) == len(rates)
    return [variable.numpy() for variable in variables]


def test_adam_matches_loops():
    rates = [1e-2, 1e-2, 5e-3, 1e-3, 1e-3, 2e-2]
    for actual, expected in zip(run_adam(rates), adam_by_loops(rates)):
        np.testing.assert_allclose(actual, expected, rtol=2e-5, atol=1e-6)


def test_adam_matches_keras():
    variables = [tf.Variable(item) for item in START]
    keras = tf.keras.optimizers.Adam(learning_rate=1e-2, epsilon=1e-7)
    for t in range(1, 21):
        keras.apply_gradients(zip([tf.constant(item) for item in gradients_of(t)], variables))
    for actual, expected in zip(run_adam([1e-2] * 20), variables):
        # Keras 2.6: 1e-6. Keras 3 rounds its powers of beta differently.
        np.testing.assert_allclose(actual, expected.numpy(), rtol=2e-5, atol=1e-7)


def test_the_first_step_moves_every_weight_by_the_rate():
    moved = run_adam([1e-2])
    for before, after, gradient in zip(START, moved, gradients_of(1)):
        np.testing.assert_allclose(before - after, 1e-2 * np.sign(gradient), rtol=1e-3)


def test_clipping_keeps_the_direction_and_bounds_the_norm():
    tensors = [tf.constant([3.0, 0.0]), tf.constant([[4.0]])]
    norm = global_norm(tensors)
    assert float(norm) == 5.0
    clipped = clip_by_global_norm(tensors, norm, 1.0)
    np.testing.assert_allclose([clipped[0][0], clipped[1][0, 0]], [0.6, 0.8], rtol=1e-6)
    for clip_norm in (10.0, 0.0):
        np.testing.assert_array_equal(clip_by_global_norm(tensors, norm, clip_norm)[0], tensors[0])


def momentum_by_loops(rates, momentum):
    values = [item.astype(np.float64) for item in START]
    m = [np.zeros_like(item) for item in values]
    for t, rate in enumerate(rates, start=1):
        for i, gradient in enumerate(gradients_of(t)):
            m[i] = momentum * m[i] - rate * gradient
            values[i] += m[i]
    return values


def run(config, rates):
    variables = [tf.Variable(item) for item in START]
    optimizer = build_optimizer(config, variables)
    for t, rate in enumerate(rates, start=1):
        optimizer.apply([tf.constant(item) for item in gradients_of(t)], variables, tf.constant(rate, tf.float32))
    return [variable.numpy() for variable in variables]


def test_momentum_matches_loops_and_keras():
    rates = [1e-2, 1e-2, 5e-3, 1e-3]
    for actual, expected in zip(run(OptimizerConfig("momentum", momentum=0.8), rates), momentum_by_loops(rates, 0.8)):
        np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-7)
    variables = [tf.Variable(item) for item in START]
    keras = tf.keras.optimizers.SGD(learning_rate=1e-2, momentum=0.9)
    for t in range(1, 11):
        keras.apply_gradients(zip([tf.constant(item) for item in gradients_of(t)], variables))
    for actual, expected in zip(run(OptimizerConfig("momentum"), [1e-2] * 10), variables):
        np.testing.assert_allclose(actual, expected.numpy(), rtol=1e-5, atol=1e-7)


def test_adamw_shrinks_the_weights_besides():
    """After one step AdamW is Adam less rate x decay x weight, of the weight before the step."""
    adam, adamw = (run(OptimizerConfig(kind, decay=0.1), [1e-2]) for kind in ("adam", "adamw"))
    for before, one, other in zip(START, adam, adamw):
        np.testing.assert_allclose(other, one - 1e-2 * 0.1 * before, rtol=1e-6, atol=1e-8)


KINDS = {
    "fixed": ScheduleConfig(),
    "exp_decay": ScheduleConfig("exponential", decay_rate=0.97, decay_steps=1000),
    "manual": ScheduleConfig("manual", decay_rate=0.1, boundaries=(5000, 10000)),
    "poly": ScheduleConfig("polynomial", decay_steps=20000, power=1.0),
}


def test_learning_rates_are_those_of_the_reference_from_the_initial_rate():
    compared = set()
    for case in json.loads(golden_path("lr_schedules.json").read_text())["values"]:
        schedule = dataclasses.replace(KINDS[case["decay_type"]], warmup_steps=case["warmup"])
        rate = learning_rate_at(case["step"], learning_rate=case["initial_lr"], schedule=schedule)
        np.testing.assert_allclose(rate, case["lr"], rtol=1e-5)
        compared.add((case["decay_type"], case["warmup"]))
    assert len(compared) == 8


@pytest.mark.parametrize(("step", "rate"), [(0, 0.0), (5, 0.25), (10, 0.5), (1000, 0.5)])
def test_warm_up_is_a_line_from_zero(step, rate):
    assert learning_rate_at(step, learning_rate=0.5, schedule=ScheduleConfig(warmup_steps=10)) == rate


def test_without_warm_up_the_first_step_has_the_full_rate():
    assert learning_rate_at(0, learning_rate=0.5, schedule=ScheduleConfig()) == 0.5


def test_a_cosine_falls_from_the_initial_rate_to_its_end_and_stays():
    schedule = ScheduleConfig("cosine", decay_steps=100, end_fraction=0.1)
    rates = [learning_rate_at(step, learning_rate=2.0, schedule=schedule) for step in (0, 50, 100, 5000)]
    np.testing.assert_allclose(rates, [2.0, 1.1, 0.2, 0.2])
    steps = [learning_rate_at(step, learning_rate=2.0, schedule=schedule) for step in range(101)]
    assert steps == sorted(steps, reverse=True)
