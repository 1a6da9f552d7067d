"""The Ascend port's command: its flags, its refusals, its log, its settings. Training itself: test_ascend_port_scripts.py"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tcc.ascend_port.log_lines import iteration_line
from tcc.ascend_port.options import PRECISION_MODES, ineffective, parse
from tcc.ascend_port.run_folder import RUN, claim
from tcc.ascend_port.settings import PUBLISHED, npu_options, training_settings
from tcc.config import DeviceConfig
from tcc.errors import SettingsError
from tcc.train import main

ROOT = Path(__file__).resolve().parents[2]
# What the port's scripts pass.
OF_THE_SCRIPTS = [
    *("--precision_mode=allow_fp32_to_fp16", "--over_dump=False", "--over_dump_path=", "--data_dump_flag=False"),
    *("--data_dump_step=10", "--data_dump_path=", "--profiling=False", "--profiling_dump_path=", "--alsologtostderr"),
    "--force_train",
]


def test_the_flags_of_the_ports_scripts_are_understood():
    options = parse(OF_THE_SCRIPTS)
    assert (options.force_train, options.over_dump, options.over_dump_path) == (True, False, "")
    assert npu_options(options).device == DeviceConfig("npu", precision_mode="allow_fp32_to_fp16")


def test_the_published_settings_are_the_defaults():
    assert training_settings(parse([])) == PUBLISHED
    assert (PUBLISHED.training.batch_size, PUBLISHED.training.num_steps, PUBLISHED.sampling.num_frames) == (
        2,
        150000,
        20,
    )


def test_flags_change_the_settings():
    settings = training_settings(parse(["--batch_size", "4", "--max_iters=20", "--num_frames=5", "--seed=3"]))
    assert (settings.training.batch_size, settings.training.num_steps, settings.training.seed) == (4, 20, 3)
    assert settings.sampling.num_frames == 5


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], False),
        (["--over_dump"], True),
        (["--over_dump=True"], True),
        (["--over_dump=false"], False),
        (["--over_dump=1"], True),
        (["--nooverdump_is_unknown"], None),
        (["--noover_dump"], False),
        (["--over_dump=perhaps"], None),
        (["--over_dum=True"], None),
    ],
)
def test_switches_are_written_as_absl_reads_them(arguments, expected, capsys):
    if expected is None:
        with pytest.raises(SystemExit) as stopped:
            parse(arguments)
        assert stopped.value.code == 2
        assert re.search("unrecognized arguments|must be True or False, got 'perhaps'", capsys.readouterr().err)
    else:
        assert parse(arguments).over_dump is expected


def test_a_path_is_not_taken_for_its_switch():
    """The port's scripts matched by the beginning of a name."""
    options = parse(["--over_dump_path=there", "--profiling_dump_path=elsewhere"])
    assert (options.over_dump, options.profiling) == (False, False)
    default = Path("tmp/alignment_logs/data_dump")
    assert npu_options(options).folders == {"dumps": default, "profiles": Path("elsewhere")}
    options = parse(["--over_dump", "--over_dump_path=there"])
    assert npu_options(options).folders["dumps"] == Path("there")


def test_data_dir_and_data_path_are_one():
    assert parse(["--data_dir=a"]).data_path == parse(["--data_path", "a"]).data_path == Path("a")


@pytest.mark.parametrize("mode", ["allow_fp32_to_fp16", "force_fp16", "must_keep_origin_dtype", "allow_mix_precision"])
def test_the_ports_precision_modes(mode):
    assert mode in PRECISION_MODES
    assert npu_options(parse([f"--precision_mode={mode}"])).device.precision_mode == mode


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--over_dump", "--data_dump_flag"], "data_dump, overflow_dump: the engine writes one of the two at a time"),
        (["--autotune=True"], "autotune: the Ascend plugin has no automatic tuning .* leave it out"),
        (["--use_mixlist"], "use_mixlist: needs mixlist_file; give the file"),
        (["--fusion_off_flag=True"], "fusion_off_flag: needs fusion_off_file; give the file"),
        (["--mixlist_file=gone.json"], "mixlist_file: gone.json is no readable JSON file .* give another"),
        (["--batch_size=1"], "batch_size: must be at least 2, got 1"),
        (["--max_iters=0"], "num_steps: must be at least 1, got 0"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_read(arguments, message, capsys):
    assert main(["--data_path=nowhere", *arguments]) == 2
    assert re.search(f"^error: {message}", capsys.readouterr().err)


def test_a_mix_list_needs_a_mixed_mode(tmp_path):
    (tmp_path / "ops_info.json").write_text('{"black-list": {"to-add": ["MatMul"]}}')
    mixlist = f"--mixlist_file={tmp_path / 'ops_info.json'}"
    with pytest.raises(
        SettingsError, match=r"mixlist_file: changes the lists of a mixed precision_mode, and .* 'allow_fp32_to_fp16'"
    ):
        npu_options(parse([mixlist, "--precision_mode=allow_fp32_to_fp16"]))
    assert npu_options(parse([mixlist])).device.mixlist_file == str(tmp_path / "ops_info.json")
    assert npu_options(parse([mixlist, "--use_mixlist=False"])).device.mixlist_file == ""


def test_flags_without_effect_say_why():
    assert ineffective(parse(["--alsologtostderr", "--defun"])) == []
    assert ineffective(parse(["--nodefun", "--debug"])) == [
        "defun has no effect: the training step is always compiled",
        "debug has no effect: the losses of every step are in LOGDIR/history.jsonl",
    ]


def test_missing_data_and_weights_are_named(tmp_path, capsys):
    assert main([f"--data_path={tmp_path}"]) == 2
    assert f"{tmp_path}/tmp/pouring_tfrecords: no such folder of TFRecords" in capsys.readouterr().err
    shards = tmp_path / "tmp" / "pouring_tfrecords"
    shards.mkdir(parents=True)
    (shards / "pouring_train-0-of-1.tfrecords").write_bytes(b"")
    assert main([f"--data_path={tmp_path}"]) == 2
    assert "/tmp: holds no resnet50v2_weights_tf_dim_ordering_tf_kernels_notop.h5 or " in capsys.readouterr().err


@pytest.mark.parametrize("seconds", [13.2, 0.04, 0.0])
def test_fast_steps_take_more_than_no_time_in_the_log(seconds):
    prefix = "I1124 22:23:11.956568 140495288101760 train.py:193]"
    fields = f"{prefix} {iteration_line(1, 1000, seconds=seconds, loss=1.23456)}".split()
    assert float(fields[5].split("s")[0]) == pytest.approx(max(seconds, 1e-6))
    assert fields[6:] == ["Loss:", "1.234560"]


RUN_OF = {"training": {"num_steps": 10, "batch_size": 2}, "weights": {"sha256": "a"}}


def test_a_folder_without_a_checkpoint_is_free(tmp_path):
    claim(tmp_path / "new", RUN_OF, go_on=False)
    claim(tmp_path / "new", {**RUN_OF, "weights": {"sha256": "b"}}, go_on=False)
    assert json.loads((tmp_path / "new" / RUN).read_text())["weights"] == {"sha256": "b"}


def test_a_training_is_gone_on_with_on_request_and_under_the_same_settings_alone(tmp_path):
    claim(tmp_path, RUN_OF, go_on=False)
    (tmp_path / "step-00000010").mkdir()
    with pytest.raises(
        SettingsError, match=r"holds a training; give --force_train to go on with it, or another --logdir"
    ):
        claim(tmp_path, RUN_OF, go_on=False)
    claim(tmp_path, {**RUN_OF, "training": {"num_steps": 20, "batch_size": 2}}, go_on=True)
    with pytest.raises(SettingsError, match=r"another training \(training.batch_size was 2, is 4\); give another"):
        claim(tmp_path, {**RUN_OF, "training": {"num_steps": 20, "batch_size": 4}}, go_on=True)
    (tmp_path / RUN).write_text("{")
    with pytest.raises(SettingsError, match=r"run\.json is missing or damaged"):
        claim(tmp_path, RUN_OF, go_on=True)


@pytest.mark.parametrize("command", [["-m", "tcc.train"], [str(ROOT / "tcc" / "train.py")]], ids=["module", "file"])
def test_as_a_module_and_as_a_file(command, tmp_path):
    """As a file from anywhere, without PYTHONPATH; refused before TensorFlow is imported."""
    where = ROOT if command[0] == "-m" else tmp_path
    answer = subprocess.run(
        [sys.executable, *command, "--data_path=nowhere"], cwd=where, capture_output=True, text=True
    )
    assert answer.returncode == 2
    assert answer.stderr.startswith("error: nowhere/tmp/pouring_tfrecords: no such folder of TFRecords")
