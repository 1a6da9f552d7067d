"""The Ascend port's commands: flags, log lines, scripts."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tcc.errors import SettingsError, TargetError
from tcc.train import _AbslFormatter, _Lines, _parser, _refuse_to_overwrite, device_config, main, training_config

ROOT = Path(__file__).resolve().parents[2]
H5 = "resnet50v2_weights_tf_dim_ordering_tf_kernels_notop.h5"


def flags(*arguments):
    return _parser().parse_args(arguments)


def test_the_ports_flags_become_settings_of_the_device():
    config = device_config(
        flags("--device=npu", "--precision_mode=allow_mix_precision", "--data_dump_flag=True", "--data_dump_step=0|5")
    )
    assert (config.kind, config.precision_mode) == ("npu", "allow_mix_precision")
    assert (config.data_dump, config.data_dump_step, config.overflow_dump) == (True, "0|5", False)
    config = device_config(flags("--over_dump", "--profiling=1", "--data_dump_step=10"))
    assert (config.overflow_dump, config.profiling, config.data_dump, config.data_dump_step) == (True, True, False, "")


def test_a_missing_mixlist_is_not_asked_for_by_default():
    assert device_config(flags("--precision_mode=allow_mix_precision")).mixlist_file == ""
    given = ("--precision_mode=allow_mix_precision", "--mixlist_file=a.json")
    assert device_config(flags(*given)).mixlist_file == "a.json"
    assert device_config(flags(*given, "--nouse_mixlist")).mixlist_file == ""
    assert device_config(flags("--mixlist_file=a.json", "--precision_mode=force_fp16")).mixlist_file == ""


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--autotune=True"], "--autotune: the plugin has no such option any more"),
        (["--over_dump=True", "--data_dump_flag=True"], "data_dump, overflow_dump: the engine writes one of the two"),
    ],
)
def test_what_the_plugin_does_not_do_is_refused(arguments, reason):
    with pytest.raises(SettingsError, match=reason):
        device_config(flags(*arguments))


def test_a_path_is_not_taken_for_the_switch_that_begins_alike():
    given = flags("--over_dump_path=here", "--profiling_dump_path=there")
    assert (given.over_dump, given.profiling) == (False, False)
    assert (given.over_dump_path, given.profiling_dump_path) == ("here", "there")


def test_an_unknown_flag_is_refused(capsys):
    with pytest.raises(SystemExit):
        flags("--over_dum=True")
    assert "unrecognized arguments: --over_dum=True" in capsys.readouterr().err


def test_the_defaults_are_the_published_training():
    training = training_config(flags())
    assert (training.num_steps, training.batch_size, training.method) == (150000, 2, "tcc_regression_variance")
    assert (training.learning_rate, training.weight_decay, training.checkpoint_every) == (1e-4, 1e-5, 1000)


def test_a_line_is_as_the_ports_scripts_read_it(caplog):
    lines = _Lines(training_config(flags("--max_iters=4")), ends=[0.0])
    with caplog.at_level(logging.INFO, logger="tcc.train"):
        for step in range(1, 5):
            lines(step, {"loss": 1.5})
    formatter = _AbslFormatter()
    texts = [formatter.format(record) for record in caplog.records if "Iter[" in record.getMessage()]
    assert len(texts) == 4
    for step, text in enumerate(texts, start=1):
        assert re.fullmatch(r"I\d{4} \d\d:\d\d:\d\d\.\d{6} \d+ train\.py:\d+\] Iter\[\d/4\], .*", text)
        fields = text.split()
        assert fields[4] == f"Iter[{step}/4],"
        assert float(fields[5].split("s")[0]) > 0 and fields[5].endswith("s/iter,")
        assert (fields[6], float(fields[7])) == ("Loss:", 1.5)
    assert "Checkpoint saved at iter 4." in [record.getMessage() for record in caplog.records]


def test_a_training_is_not_overwritten_unasked(tmp_path):
    _refuse_to_overwrite(tmp_path, force=False)
    (tmp_path / "history.jsonl").touch()
    _refuse_to_overwrite(tmp_path, force=True)
    with pytest.raises(TargetError, match="holds a training already; give --force_train"):
        _refuse_to_overwrite(tmp_path, force=False)


def test_missing_data_are_one_line_and_no_final_words(tmp_path, capfd):
    command = [sys.executable, str(ROOT / "tcc" / "train.py"), f"--data_path={tmp_path}", "--device=cpu"]
    done = subprocess.run(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True)
    assert done.returncode == 1
    assert "error: " in done.stderr and "pouring_tfrecords: no such folder of TFRecords" in done.stderr
    assert "OKKKKKKKK" not in done.stderr and "Traceback" not in done.stderr
    assert main([f"--data_path={tmp_path}", "--autotune"]) == 1


@pytest.mark.parametrize("script", ["train_performance_1p.sh", "train_full_1p.sh"])
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], '[Error] para "data_path" must be confing'),
        (["--data_path=x", "--over_dump_pat=y"], "[Error] unknown argument --over_dump_pat=y"),
        (["--data_path=x", "--autotune=True"], "[Error] --autotune: the plugin has no such option any more"),
        (["--help"], "--data_path=DIR"),
    ],
)
def test_a_script_refuses_what_it_does_not_know(tmp_path, script, arguments, told):
    done = subprocess.run(
        ["bash", str(ROOT / "scripts" / script), *arguments], cwd=tmp_path, stdout=subprocess.PIPE, universal_newlines=True
    )
    assert done.returncode == 1 and told in done.stdout
    assert not list(tmp_path.iterdir())


def write_pouring(folder):
    """Shards named as the port's, of small frames, and a file of random weights in Keras' layout."""
    import simplejpeg

    from tcc.video.shards import ClipRecord, write_records
    from tests.tcc.keras_weights import resnet_layers, write_h5

    rng = np.random.default_rng(0)
    shards = folder / "tmp" / "pouring_tfrecords"
    shards.mkdir(parents=True)
    for name in ("train-0-of-2", "train-1-of-2", "val-0-of-1"):
        records = []
        for index in range(2):
            pictures = rng.integers(0, 256, (30, 32, 32, 3)).astype(np.uint8)
            jpegs = [simplejpeg.encode_jpeg(picture) for picture in pictures]
            records.append(ClipRecord(f"{name}-{index}", jpegs, np.arange(30) / 30, np.full(30, -1)))
        write_records(shards / f"pouring_{name}.tfrecords", records)
    write_h5(folder / "tmp" / H5, resnet_layers())


@pytest.mark.slow
def test_the_scripts_train_and_write_what_the_ports_write(tmp_path):
    write_pouring(tmp_path / "data")
    before = sorted((path, path.stat().st_mtime_ns) for path in (tmp_path / "data").rglob("*"))
    environment = {**os.environ, "PYTHON": sys.executable, "ASCEND_DEVICE_ID": "3"}

    def run(script, *arguments):
        command = ["bash", str(ROOT / "scripts" / script), f"--data_path={tmp_path / 'data'}", "--device=cpu", *arguments]
        return subprocess.run(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, universal_newlines=True)

    done = run("train_performance_1p.sh", "--max_steps=20", "--ci_cp=1")
    output = tmp_path / "output" / "3"
    log = (output / "train_3.log").read_text()
    assert done.returncode == 0, log
    lines = done.stdout.splitlines()
    assert lines[0] == "------------------ Final result ------------------"
    assert re.fullmatch(r"Final Performance images/sec : \d+\.\d\d", lines[1]) and float(lines[1].split()[-1]) > 0
    assert re.fullmatch(r"E2E Training Duration sec : \d+", lines[2])
    case = "TCC_ID0714_for_TensorFlow2.X_bs2_1p_perf"
    pairs = [line.split(" = ") for line in (output / f"{case}.log").read_text().splitlines()]
    assert [name for name, _ in pairs] == [
        *("Network", "RankSize", "BatchSize", "DeviceType", "CaseName", "ActualFPS", "TrainAccuracy", "TrainingTime"),
        *("ActualLoss", "E2ETrainingTime"),
    ]
    values = dict(pairs)
    losses = [float(line) for line in (output / f"train_{case}_loss.txt").read_text().splitlines()]
    assert len(losses) == 20 and np.isfinite(losses).all()
    assert float(values["ActualLoss"]) == float(values["TrainAccuracy"]) == losses[-1]
    assert log.count("Iter[") == 20 and "Iter[20/20]" in log
    assert log.rstrip().endswith("finally OKKKKKKKK") and "Checkpoint saved at iter 20\n" in log
    assert (output / "ckpt" / "step-00000020").is_dir()
    assert sorted((path, path.stat().st_mtime_ns) for path in (tmp_path / "data").rglob("*")) == before

    done = run("train_full_1p.sh", "--max_steps=2")
    assert done.returncode == 0
    assert (tmp_path / "output" / "3.1" / "ckpt" / "step-00000020").is_dir()
    assert (output / "TCC_ID0714_for_TensorFlow2.X_bs2_1p_acc.log").exists()
