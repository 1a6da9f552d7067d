"""Checkpoints: absent or whole, the same bytes, refused unless everything matches, shared between TensorFlows."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tcc.config import EMBEDDERS
from tcc.device import open_device
from tcc.errors import CheckpointError
from tcc.training import Adam, list_checkpoints, read_history, restore, restore_encoder, save
from tcc.training.checkpoints import Trained, remove_checkpoints, take_over
from tests.tcc.training_samples import (
    embeddings_of,
    evaluate_here,
    hashes,
    sample_encoder,
    train_here,
    weights,
)

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True, scope="module")
def device():
    open_device("cpu")


def trained(step=4, **settings):
    encoder = sample_encoder(**settings)
    optimizer = Adam(encoder.trained_variables())
    optimizer.iterations.assign(step)
    for index, variable in enumerate([*encoder.variables, *optimizer.m, *optimizer.v]):
        variable.assign_add(tf.fill(variable.shape, 0.01 * (index + 1)))
    return Trained(encoder, optimizer)


def test_everything_comes_back(tmp_path):
    written = trained()
    encoder, optimizer = written.encoder, written.optimizer
    assert save(tmp_path, 4, written) == tmp_path / "step-00000004"
    other = sample_encoder(seed=5)
    other_optimizer = Adam(other.trained_variables())
    restore(tmp_path, 4, Trained(other, other_optimizer))
    assert int(other_optimizer.iterations.numpy()) == 4
    for a, b in zip(optimizer.m + optimizer.v, other_optimizer.m + other_optimizer.v):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    third = sample_encoder(seed=6)
    restore_encoder(tmp_path, 4, third)
    for name, value in weights(encoder).items():
        np.testing.assert_array_equal(value, weights(other)[name])
        np.testing.assert_array_equal(value, weights(third)[name])


def test_the_same_weights_give_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        save(tmp_path / name, 4, trained())
    files = hashes(tmp_path / "a")
    assert set(files) == {"step-00000004/checkpoint.index", "step-00000004/checkpoint.data-00000-of-00001"}
    assert files == hashes(tmp_path / "b")


def test_a_list_of_checkpoints_ignores_what_is_no_checkpoint(tmp_path):
    assert list_checkpoints(tmp_path / "absent") == []
    for step in (12, 4, 100000000):
        save(tmp_path, step, trained(step))
    for name in (".writing-step-00000005", "step-00000006", "step-abc"):
        (tmp_path / name).mkdir()
    assert list_checkpoints(tmp_path) == [4, 12, 100000000]
    remove_checkpoints(tmp_path, keep=lambda step: step != 12)
    assert list_checkpoints(tmp_path) == [4, 100000000]
    assert not (tmp_path / ".writing-step-00000005").exists()


def test_a_checkpoint_that_is_there_is_kept(tmp_path):
    save(tmp_path, 4, trained())
    before = hashes(tmp_path)
    save(tmp_path, 4, trained(seed=3))
    assert hashes(tmp_path) == before


def test_missing(tmp_path):
    save(tmp_path, 4, trained())
    with pytest.raises(CheckpointError, match=r"step-00000005: no such checkpoint; there are \[4\]"):
        restore_encoder(tmp_path, 5, sample_encoder())
    with pytest.raises(CheckpointError, match="no such checkpoint; there are none"):
        restore_encoder(tmp_path / "absent", 5, sample_encoder())


@pytest.mark.parametrize("channels", [(4, 6), (4, 4, 4)])
def test_another_model(tmp_path, channels):
    save(tmp_path, 4, trained())
    other = sample_encoder(channels=channels)
    with pytest.raises(
        CheckpointError, match=r"is damaged or belongs to another model .* use the settings it was trained"
    ):
        restore(tmp_path, 4, Trained(other, Adam(other.trained_variables())))
    with pytest.raises(CheckpointError, match="is damaged or belongs to another model"):
        restore_encoder(tmp_path, 4, other)


def test_a_checkpoint_with_more_in_it(tmp_path):
    save(tmp_path, 4, trained(channels=(4, 4, 4)))
    other = sample_encoder()
    with pytest.raises(CheckpointError, match="belongs to another model"):
        restore(tmp_path, 4, Trained(other, Adam(other.trained_variables())))
    smaller = sample_encoder(channels=(4, 4, 4))
    smaller.embedder.standardization = None
    with pytest.raises(CheckpointError, match=r"it holds \d+ variables, the model has \d+"):
        restore_encoder(tmp_path, 4, smaller)


def test_damage(tmp_path):
    save(tmp_path, 4, trained())
    data = tmp_path / "step-00000004" / "checkpoint.data-00000-of-00001"
    content = bytearray(data.read_bytes())
    content[len(content) // 2] ^= 1
    data.write_bytes(content)
    with pytest.raises(CheckpointError, match="is damaged or belongs to another model"):
        restore_encoder(tmp_path, 4, sample_encoder())
    data.write_bytes(content[: len(content) // 2])
    with pytest.raises(CheckpointError, match="is damaged or belongs to another model"):
        restore(tmp_path, 4, trained())


def test_a_renamed_folder(tmp_path):
    (save(tmp_path, 4, trained())).rename(tmp_path / "step-00000009")
    with pytest.raises(CheckpointError, match="holds step 4; the folder was renamed, delete it and run again"):
        restore(tmp_path, 9, trained())


EXCHANGE = """
import sys
from tcc.device import open_device
from tests.tcc.training_samples import evaluate_here, train_here
open_device("cpu")
{function}(sys.argv[1], int(sys.argv[2]), *sys.argv[3:])
"""


def train_elsewhere(directory, num_steps, kind="conv"):
    elsewhere("train_here", directory, num_steps, kind)


def evaluate_elsewhere(directory, step):
    elsewhere("evaluate_here", directory, step)
    return json.loads((directory / "metrics.json").read_text())


def elsewhere(function, *arguments):
    other = os.environ.get("TCC_OTHER_PYTHON")
    if not other:
        pytest.skip("no second TensorFlow: set TCC_OTHER_PYTHON to the Python interpreter that has it")
    command = [other, "-c", EXCHANGE.format(function=function), *map(str, arguments)]
    # What suits this TensorFlow, such as oneDNN, may be the end of the other.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
    result = subprocess.run(command, cwd=str(ROOT), env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_checkpoints_go_from_one_tensorflow_to_the_other_and_back(tmp_path):
    """Three steps there, four here, and the reverse: each equals seven steps here, everything consumed."""
    train_elsewhere(tmp_path / "there first", 3)
    expected = weights(train_here(tmp_path / "here only", 7))
    from_there = weights(train_here(tmp_path / "there first", 7))
    train_here(tmp_path / "here first", 3)
    train_elsewhere(tmp_path / "here first", 7)
    encoder = sample_encoder()
    restore_encoder(tmp_path / "here first", 7, encoder)
    for name, value in expected.items():
        if name.startswith("emb_conv") and name.endswith("/bias"):
            continue  # right before a batch norm: its gradient is rounding noise, which Adam blows up to full steps
        np.testing.assert_allclose(from_there[name], value, atol=1e-4, err_msg=name)
        np.testing.assert_allclose(weights(encoder)[name], value, atol=1e-4, err_msg=name)
    for line, other in zip(read_history(tmp_path / "here only"), read_history(tmp_path / "here first")):
        assert line["loss"] == pytest.approx(other["loss"], rel=1e-4)


@pytest.mark.parametrize("kind", EMBEDDERS)
def test_a_checkpoint_gives_the_same_embeddings_in_both_tensorflows(tmp_path, kind):
    train_elsewhere(tmp_path, 3, kind)
    encoder = sample_encoder(kind=kind, seed=1)
    restore(tmp_path, 3, Trained(encoder, Adam(encoder.trained_variables())))
    expected = np.load(tmp_path / "embeddings.npy")
    assert expected.std(axis=0).min() > 1e-3
    np.testing.assert_allclose(embeddings_of(encoder, kind), expected, atol=1e-5)
    # And back: what goes on here is embedded there, once no step is left to do.
    here = embeddings_of(train_here(tmp_path, 5, kind), kind)
    train_elsewhere(tmp_path, 5, kind)
    np.testing.assert_allclose(here, np.load(tmp_path / "embeddings.npy"), atol=1e-5)
    assert np.abs(here - expected).max() > 1e-3


def test_a_checkpoint_is_evaluated_in_the_other_tensorflow_as_in_its_own(tmp_path):
    train_elsewhere(tmp_path / "there", 7)
    train_here(tmp_path / "here", 7)
    for directory in (tmp_path / "there", tmp_path / "here"):
        mine, other = evaluate_here(directory, 7), evaluate_elsewhere(directory, 7)
        assert list(mine) == list(other)
        assert np.isfinite(list(mine.values())).all() and len(set(mine.values())) == 3
        assert mine == pytest.approx(other, abs=1e-6)
        assert evaluate_here(directory, 3) != pytest.approx(mine, abs=1e-3)  # so the checkpoint was read


def test_a_longer_training_goes_on_where_a_shorter_one_ended_with_the_same_bytes(tmp_path):
    """The checkpoint of the shorter one's end, which the longer one would not have made, is not taken over."""
    train_here(tmp_path / "short", 7)
    train_here(tmp_path / "long", 11)
    (tmp_path / "continued").mkdir()
    take_over(tmp_path / "short", tmp_path / "continued", keep=lambda step: step % 3 == 0)
    assert list_checkpoints(tmp_path / "continued") == [3, 6]
    train_here(tmp_path / "continued", 11)
    assert hashes(tmp_path / "continued") == hashes(tmp_path / "long")
    assert list_checkpoints(tmp_path / "short") == [3, 6, 7]


def test_nothing_is_taken_over_from_a_training_without_a_checkpoint_to_keep(tmp_path):
    train_here(tmp_path / "short", 2)
    (tmp_path / "continued").mkdir()
    take_over(tmp_path / "short", tmp_path / "continued", keep=lambda step: step % 3 == 0)
    assert not list((tmp_path / "continued").iterdir())
