"""The Ascend port's scripts on data laid out as the port's, with a few steps on the CPU."""

from __future__ import annotations

import os
import platform
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.tcc.port_samples import write_port_data

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "train_performance_1p.sh"
KEYS = (
    *("Network", "RankSize", "BatchSize", "DeviceType", "CaseName", "ActualFPS", "TrainAccuracy", "TrainingTime"),
    *("ActualLoss", "E2ETrainingTime"),
)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_port_data(tmp_path_factory.mktemp("port"))


def environment(**variables):
    # PYTHON is what `python3` is to the scripts; nothing else helps them to find the library.
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return {**kept, "PYTHON": sys.executable, "ASCEND_DEVICE_ID": "3", **variables}


def run(script, where, *arguments, **variables):
    answer = subprocess.run(
        ["bash", str(script), *arguments], cwd=where, env=environment(**variables), capture_output=True, text=True
    )
    return answer.returncode, answer.stdout + answer.stderr


def of_shell(command, where):
    return subprocess.run(command, shell=True, cwd=where, capture_output=True, text=True, check=True).stdout.strip()


def steps_in(log):
    return [int(step) for step in re.findall(r"Iter\[(\d+)/", log.read_text())]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], 'para "data_path" must be confing'),
        (["--data_path=d", "--over_dumps=True"], "unknown argument --over_dumps=True; --help tells all"),
        (["--data_path=d", "--precision=x"], "unknown argument --precision=x"),
        (["--data_path=d", "stray"], "unknown argument stray"),
        (["--data_path=d", "--max_steps=many"], "--max_steps: must be a number above 0, got many"),
        (["--help"], "--data_path=DIR "),
        (["-h"], "--data_path=DIR "),
    ],
)
@pytest.mark.parametrize("script", ["train_performance_1p.sh", "train_full_1p.sh"])
def test_what_the_scripts_refuse(script, arguments, message, tmp_path):
    code, told = run(ROOT / "scripts" / script, tmp_path, *arguments)
    assert code == 1 and message in told
    assert not list(tmp_path.iterdir())


def test_a_failed_training_fails_the_script_and_says_why(tmp_path):
    code, told = run(SCRIPT, tmp_path, "--data_path=nowhere", "--over_dump_path=x")
    assert code == 1
    assert "error: nowhere/tmp/pouring_tfrecords: no such folder" in told and "exit code 2; log: " in told
    assert not list((tmp_path / "output" / "3").glob("TCC*"))


@pytest.mark.parametrize("arguments", [["--autotune=True"], ["--over_dump=True", "--data_dump_flag=True"]])
def test_what_the_engine_would_refuse(arguments, data, tmp_path):
    code, told = run(SCRIPT, tmp_path, f"--data_path={data}", "--max_steps=1", *arguments)
    assert code == 1 and re.search("error: (autotune|data_dump, overflow_dump): ", told)


@pytest.mark.slow
def test_twenty_steps_leave_what_the_port_leaves(data, tmp_path):
    code, told = run(SCRIPT, tmp_path, f"--data_path={data}", "--max_steps=20", "--ci_cp=1", "--over_dump=True")
    assert code == 0, told
    output = tmp_path / "output" / "3"
    log = output / "train_3.log"
    case = "TCC_ID0714_for_TensorFlow2.X_bs2_1p_perf"
    assert sorted(path.name for path in output.iterdir()) == sorted(
        ["ckpt", "train_3.log", f"{case}.log", f"train_{case}_loss.txt"]
    )
    assert steps_in(log) == list(range(1, 21))
    assert (output / "ckpt" / "step-00000020").is_dir()
    lines = log.read_text().splitlines()
    assert [line.split("] ", 1)[1] for line in lines[-2:]] == ["Checkpoint saved at iter 20", "finally OKKKKKKKK"]
    assert re.fullmatch(
        r"I\d{4} \d\d:\d\d:\d\d\.\d{6} \d+ train\.py:\d+\] Iter\[20/20\], \d+\.\d{6}s/iter, Loss: -?\d+\.\d{6}",
        lines[-3],
    )
    assert re.search(
        "without effect on it: .*precision_mode = allow_fp32_to_fp16, overflow_dump = True", log.read_text()
    )
    # The port's own ways of reading its log.
    step_seconds = float(of_shell("grep 's/iter' train_3.log | awk 'END {print $6}' | awk -F s '{print $1}'", output))
    losses = of_shell("grep 'Loss:' train_3.log | awk '{print $8}'", output).splitlines()
    assert (output / f"train_{case}_loss.txt").read_text().splitlines() == losses and len(losses) == 20
    results = dict(line.split(" = ") for line in (output / f"{case}.log").read_text().splitlines())
    assert tuple(results) == KEYS
    assert {name: results[name] for name in KEYS[:5]} == {
        **{"Network": "TCC_ID0714_for_TensorFlow2.X", "RankSize": "1", "BatchSize": "2"},
        **{"DeviceType": platform.machine(), "CaseName": case},
    }
    assert results["ActualLoss"] == results["TrainAccuracy"] == losses[-1]
    assert float(results["ActualFPS"]) == pytest.approx(2 / step_seconds, abs=0.006)
    assert float(results["TrainingTime"]) == pytest.approx(step_seconds, abs=0.006)
    assert told.splitlines()[-3:] == [
        "------------------ Final result ------------------",
        f"Final Performance images/sec : {results['ActualFPS']}",
        f"E2E Training Duration sec : {results['E2ETrainingTime']}",
    ]


@pytest.mark.slow
def test_a_stopped_training_is_gone_on_with_and_an_earlier_output_is_put_aside(data, tmp_path):
    """Interrupted and resumed, the losses are those of a training in one go."""
    command = ["bash", str(ROOT / "scripts" / "train_full_1p.sh"), f"--data_path={data}", "--max_steps=6"]
    log = tmp_path / "output" / "3" / "train_3.log"
    with subprocess.Popen(command, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, text=True) as script:
        while script.poll() is None and not (log.exists() and 2 in steps_in(log)):
            time.sleep(0.05)
        script.send_signal(signal.SIGTERM)
    assert script.returncode == 1
    first = log.read_text()
    assert "stopped at step " in first and "finally OKKKKKKKK" not in first
    log.write_text(first + "\n".join(line for line in first.splitlines() if "Loss:" in line) + "\n")  # as if done twice
    code, told = run(command[1], tmp_path, *command[2:], "--resume")
    assert code == 0, told
    done = len(steps_in(log)) - 6
    assert done >= 2 and steps_in(log) == [*range(1, done + 1), *range(1, 7)]
    resumed = (log.parent / "train_TCC_ID0714_for_TensorFlow2.X_bs2_1p_acc_loss.txt").read_text()
    code, told = run(command[1], tmp_path, *command[2:])
    assert code == 0 and f"earlier output: {tmp_path}/output/3.1" in told
    assert (tmp_path / "output" / "3.1" / "ckpt" / "step-00000006").is_dir()
    assert (log.parent / "train_TCC_ID0714_for_TensorFlow2.X_bs2_1p_acc_loss.txt").read_text() == resumed
