"""Training across interruptions: the same weights, checkpoints and history, to the last bit."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tcc import device as device_module
from tcc.config import EmbedderConfig, OptimizerConfig, ScheduleConfig, TrainingConfig
from tcc.dataset import FrameClips
from tcc.device import open_device
from tcc.errors import CheckpointError, DeviceError, SettingsError, TrainingDiverged
from tcc.models import Embedder, Encoder
from tcc.training import Interrupted, list_checkpoints, read_history, train
from tcc.training.loop import check_finite, duration
from tcc.training.standardization import channel_statistics
from tests.tcc.training_samples import (
    CHANNELS,
    SAMPLING,
    SCHEDULE,
    TRAINING,
    hashes,
    sample_clips,
    sample_encoder,
    weights,
)

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True, scope="module")
def device():
    open_device("cpu")


def run(directory, encoder=None, training=TRAINING, **settings):
    encoder = encoder or sample_encoder()
    settings.setdefault("validation_source", sample_clips(num_clips=3, seed=9))
    settings.setdefault("schedule", SCHEDULE)
    return train(sample_clips(), encoder, directory, sampling=SAMPLING, training=training, **settings)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, device):
    directory = tmp_path_factory.mktemp("undisturbed")
    encoder = sample_encoder()
    result = run(directory, encoder)
    return directory, result, weights(encoder)


def test_a_training_leaves_checkpoints_history_and_summaries(undisturbed):
    directory, result, _ = undisturbed
    rate = TrainingConfig().learning_rate
    assert list_checkpoints(directory) == [3, 6, 7]
    assert result.steps == 7 and 0 <= result.input_share <= 1
    lines = read_history(directory)
    assert [line["step"] for line in lines] == list(range(1, 8))
    assert [line["learning_rate"] for line in lines[:3]] == [0.0, rate / 2, rate]
    assert [line["step"] for line in lines if "validation_loss" in line] == [3, 6, 7]
    assert result.losses == {key: value for key, value in lines[-1].items() if key != "step"}
    assert {"loss", "method", "tcn", "weight_decay", "gradient_norm"} <= set(lines[0])
    assert not list(directory.glob(".*")) and not list(directory.glob("*.tmp"))


def test_the_weights_are_those_of_the_last_step_and_not_the_first(undisturbed):
    _, _, trained = undisturbed
    before = weights(sample_encoder())
    assert not np.array_equal(trained["emb_out0/kernel"], before["emb_out0/kernel"])
    expected = channel_statistics(sample_encoder(), sample_clips())
    np.testing.assert_allclose(trained["emb_standardize/mean"], expected[0], rtol=1e-6)


def test_who_follows_step_by_step_is_told_of_each_once_its_checkpoint_is_there(tmp_path, undisturbed):
    directory, _, _ = undisturbed
    told, there = [], []

    def on_step(done):
        told.append(done)
        there.append(done.step in list_checkpoints(tmp_path))

    run(tmp_path, on_step=on_step)
    assert hashes(tmp_path) == hashes(directory)
    assert [done.step for done in told] == list(range(1, 8))
    assert [done.saved for done in told] == there == [step in (3, 6, 7) for step in range(1, 8)]
    assert [done.losses["loss"] for done in told] == [line["loss"] for line in read_history(directory)]
    assert all(done.seconds > 0 for done in told)


@pytest.mark.parametrize("stop_at", [1, 3, 5])
def test_stopped_and_resumed_is_as_undisturbed(tmp_path, undisturbed, stop_at):
    directory, result, trained = undisturbed
    asked = []

    def should_stop():
        asked.append(True)
        return len(asked) == stop_at

    with pytest.raises(Interrupted, match=f"stopped at step {stop_at} of 7; the next run goes on from its checkpoint"):
        run(tmp_path, should_stop=should_stop)
    assert list_checkpoints(tmp_path)[-1] == stop_at
    encoder = sample_encoder()
    resumed = run(tmp_path, encoder)
    assert hashes(tmp_path) == hashes(directory)
    assert resumed.losses == result.losses
    assert all(np.array_equal(trained[name], value) for name, value in weights(encoder).items())


@pytest.mark.parametrize(
    ("optimizer", "schedule"),
    [
        (OptimizerConfig("momentum"), ScheduleConfig("exponential", decay_steps=2)),
        (OptimizerConfig("adamw"), ScheduleConfig("cosine", decay_steps=7)),
    ],
)
def test_every_optimizer_resumes_to_the_last_bit(tmp_path, optimizer, schedule):
    whole, parted = sample_encoder(), sample_encoder()
    run(tmp_path / "whole", whole, optimizer=optimizer, schedule=schedule)
    asked = []
    with pytest.raises(Interrupted):
        run(
            tmp_path / "parted",
            optimizer=optimizer,
            schedule=schedule,
            should_stop=lambda: len(asked) == 4 or asked.append(True),
        )
    run(tmp_path / "parted", parted, optimizer=optimizer, schedule=schedule)
    assert hashes(tmp_path / "whole") == hashes(tmp_path / "parted")
    assert all(np.array_equal(weights(whole)[name], value) for name, value in weights(parted).items())


def test_killed_in_another_process_and_resumed_is_as_undisturbed(tmp_path, undisturbed):
    code = f"""
        import os, signal
        from tcc.device import open_device
        from tcc.training import train
        from tests.tcc.training_samples import SAMPLING, SCHEDULE, TRAINING, sample_clips, sample_encoder
        open_device("cpu")
        calls = []
        def die():
            calls.append(True)
            if len(calls) == 5:
                os.kill(os.getpid(), signal.SIGKILL)
            return False
        train(sample_clips(), sample_encoder(), {str(tmp_path)!r}, sampling=SAMPLING, training=TRAINING,
              schedule=SCHEDULE, validation_source=sample_clips(num_clips=3, seed=9), should_stop=die)
    """
    killed = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], cwd=str(ROOT), env={**os.environ, "PYTHONHASHSEED": "77"}
    )
    assert killed.returncode == -signal.SIGKILL
    assert list_checkpoints(tmp_path) == [3]
    # What a kill while writing may leave: a half-written checkpoint, and history past the checkpoint.
    (tmp_path / ".writing-step-00000006").mkdir()
    with open(tmp_path / "history.jsonl", "a") as file:
        file.write('{"step": 4, "loss": 17.0}\n{"step": 5, "lo')
    run(tmp_path)
    assert hashes(tmp_path) == hashes(undisturbed[0])


def test_a_finished_training_is_left_as_it_is(tmp_path, undisturbed):
    directory, result, trained = undisturbed
    before = hashes(directory)
    encoder = sample_encoder()
    assert run(directory, encoder).losses == result.losses
    assert hashes(directory) == before
    assert all(np.array_equal(trained[name], value) for name, value in weights(encoder).items())


def test_summaries_and_logging_do_not_change_the_bytes(tmp_path, undisturbed):
    run(tmp_path, training=dataclasses.replace(TRAINING, log_every=5))
    assert hashes(tmp_path) == hashes(undisturbed[0])


def test_seeds_make_different_trainings(tmp_path, undisturbed):
    run(tmp_path, training=dataclasses.replace(TRAINING, seeds=(1,)))
    assert read_history(tmp_path)[0]["loss"] != read_history(undisturbed[0])[0]["loss"]


def test_summaries_can_be_read(undisturbed):
    directory, _, _ = undisturbed
    scalars = {}
    for path in (directory / "summaries").iterdir():
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                assert value.metadata.plugin_data.plugin_name == "scalars"
                scalars[value.tag, event.step] = float(tf.make_ndarray(value.tensor))
    lines = {line["step"]: line for line in read_history(directory)}
    assert {step for tag, step in scalars if tag == "loss"} == {2, 3, 4, 6, 7}
    assert scalars["loss", 4] == pytest.approx(lines[4]["loss"], rel=1e-6)
    assert scalars["validation_loss", 6] == pytest.approx(lines[6]["validation_loss"], rel=1e-6)
    assert ("clips_per_second", 4) in scalars and ("input_share", 4) in scalars


def test_progress_says_step_loss_speed_and_time_left(tmp_path, monkeypatch):
    monkeypatch.setattr("tcc.training.loop._SECONDS_BETWEEN_REPORTS", 0.0)
    reports = []
    run(tmp_path, progress=lambda fraction, status: reports.append((fraction, status)))
    assert [round(7 * fraction) for fraction, _ in reports] == list(range(1, 8))
    assert re.fullmatch(r"step 1/7, loss [\d.e+-]+", reports[0][1])
    assert re.fullmatch(r"step 4/7, loss [\d.e+-]+, [\d.e+]+ clips/s, \d+ s left", reports[3][1])


@pytest.mark.parametrize(("seconds", "text"), [(12.4, "12 s"), (340, "6 min"), (5000, "83 min"), (9000, "2.5 h")])
def test_duration(seconds, text):
    assert duration(seconds) == text


def test_a_loss_that_is_not_finite_stops_with_step_term_and_clips(tmp_path):
    source = sample_clips()
    source.values[2][:] = np.inf
    encoder = Encoder(
        None,
        Embedder(
            EmbedderConfig(channels=(4, 4), dense=(5,), embedding_size=6, standardize=False),
            num_context_frames=2,
            feature_channels=CHANNELS,
            seed=0,
        ),
    )
    with pytest.raises(TrainingDiverged, match=r"step \d: .*= nan.* on clips .*clip2") as caught:
        train(source, encoder, tmp_path, sampling=SAMPLING, training=TRAINING)
    assert "the inputs of clip clip2 are not finite; leave them out, or compute their features anew" in str(
        caught.value
    )
    assert all(np.isfinite(line["loss"]) for line in read_history(tmp_path))


def test_every_number_is_looked_at():
    check_finite({"loss": 1.0, "gradient_norm": 2.0}, 3, ["a", "b"], why=lambda: "not asked")
    with pytest.raises(TrainingDiverged, match="step 3: gradient_norm = inf on clips a, b: because; then run again"):
        check_finite({"loss": 1.0, "gradient_norm": float("inf")}, 3, ["a", "b"], why=lambda: "because")


def test_a_checkpoint_of_another_model_is_refused(tmp_path, undisturbed):
    run(tmp_path, training=dataclasses.replace(TRAINING, num_steps=3))
    with pytest.raises(CheckpointError, match=r"step-00000003: is damaged or belongs to another model"):
        run(tmp_path, sample_encoder(channels=(4, 6)))


def test_a_longer_training_is_not_cut_short(undisturbed):
    with pytest.raises(CheckpointError, match="holds a training of 7 steps and num_steps is 5; use another directory"):
        run(undisturbed[0], training=dataclasses.replace(TRAINING, num_steps=5))
    assert list_checkpoints(undisturbed[0]) == [3, 6, 7]


def test_history_that_is_gone_is_told(tmp_path):
    run(tmp_path, training=dataclasses.replace(TRAINING, num_steps=3))
    (tmp_path / "history.jsonl").write_text('{"step": 1, "loss": 2.0}\n')
    with pytest.raises(
        CheckpointError, match=r"history\.jsonl: does not hold the steps up to the checkpoint of step 3"
    ):
        run(tmp_path)


def test_too_few_clips(tmp_path):
    with pytest.raises(SettingsError, match="validation_source: 1 clips, and a batch takes batch_size = 2"):
        run(tmp_path, validation_source=sample_clips(num_clips=1))
    assert not any(tmp_path.iterdir())
    with pytest.raises(SettingsError, match="batch_size: 9 different clips are needed for a batch and there are 5"):
        run(tmp_path, training=dataclasses.replace(TRAINING, batch_size=9), validation_source=None)


def test_a_device_has_to_be_open(tmp_path, monkeypatch):
    monkeypatch.setattr(device_module, "_opened", {})
    with pytest.raises(DeviceError, match=r"no device is open: call tcc\.device\.open_device\(\.\.\.\) before"):
        run(tmp_path)


def test_statistics_are_per_channel_over_all_frames():
    source = sample_clips()
    stacked = np.concatenate([values.astype(np.float64).reshape(-1, CHANNELS) for values in source.values])
    mean, std = channel_statistics(sample_encoder(), source)
    np.testing.assert_allclose(mean, stacked.mean(axis=0), rtol=1e-9)
    np.testing.assert_allclose(std, stacked.std(axis=0), rtol=1e-9)


def test_statistics_of_a_backbone_come_from_a_few_frames_of_each_clip(monkeypatch):
    class Record:
        name, timestamps, frame_labels, frames = "a.mp4", np.arange(15), np.zeros(15), [b""] * 15

    class Clips(FrameClips):
        def gather(self, clip, indices):
            assert indices.tolist() == [0, 2, 4, 6, 8, 10, 12, 14]
            return np.broadcast_to(indices[:, None, None, None], (8, 2, 2, 3)).astype(np.uint8)

    class Stub:
        grid = 1

        @staticmethod
        def backbone(frames, training):
            assert training is False
            return tf.cast(frames, tf.float32)

    mean, std = channel_statistics(Stub(), Clips([Record()]))
    np.testing.assert_allclose(mean, [7, 7, 7])
    np.testing.assert_allclose(std, np.std([0, 2, 4, 6, 8, 10, 12, 14]) * np.ones(3))


def test_history_is_one_json_object_a_line(undisturbed):
    text = (undisturbed[0] / "history.jsonl").read_text()
    assert text.endswith("\n") and [json.loads(line)["step"] for line in text.splitlines()] == list(range(1, 8))
