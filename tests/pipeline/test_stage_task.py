"""StageTask: fingerprints, whole targets, --rerun, faults. Every run is a `luigi` command, as a user's."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline import child
from pipeline import settings as settings_module
from tcc import device
from tcc.config import FramesConfig, Settings, TrainingConfig
from tests.pipeline.toy import ToyFirst, ToySecond

ROOT = Path(__file__).resolve().parents[2]


def command(task, *arguments):
    luigi = [sys.executable, "-m", "luigi", "--module", "tests.pipeline.toy", task, "--local-scheduler"]
    return [*luigi, *arguments]


def environment(data, **variables):
    quick = {"TCC_EXECUTION_DATA": str(data), "TCC_TRAINING_NUM_STEPS": "4", "PYTHONPATH": str(ROOT)}
    return {**os.environ, **quick, **variables}


def run(data, task, *arguments, **variables):
    answer = subprocess.run(
        command(task, *arguments), cwd=ROOT, env=environment(data, **variables), capture_output=True, text=True
    )
    answer.stdout += answer.stderr
    return answer


def manifests(data):
    return {path.parent.name: json.loads(path.read_text()) for path in sorted(data.glob("toy_*/*/manifest.json"))}


def test_a_run_leaves_whole_targets_and_a_second_run_does_nothing(tmp_path):
    assert run(tmp_path, "ToySecond").returncode == 0
    first = manifests(tmp_path)
    assert len(first) == 2
    assert run(tmp_path, "ToySecond").returncode == 0
    assert manifests(tmp_path) == first


@pytest.mark.parametrize("workers", [pytest.param("1", marks=pytest.mark.slow), "2"])
def test_the_result_part_repeats_byte_for_byte(tmp_path, workers):
    for data in ("a", "b"):
        assert run(tmp_path / data, "ToySecond", "--workers", workers).returncode == 0
    results = [{k: v["result"] for k, v in manifests(tmp_path / data).items()} for data in ("a", "b")]
    assert results[0] == results[1]
    assert all("log.txt" not in result["files"] for result in results[0].values())


def test_rerun_redoes_that_task_alone(tmp_path):
    run(tmp_path, "ToySecond")
    before = manifests(tmp_path)
    for _ in range(2):
        assert run(tmp_path, "ToySecond", "--rerun").returncode == 0
    after = manifests(tmp_path)
    changed = [name for name in before if before[name]["run"] != after[name]["run"]]
    assert [name.split("-")[0] for name in changed] == ["toy_second"]


def test_a_setting_of_one_stage_leaves_the_other_alone(tmp_path):
    run(tmp_path, "ToySecond")
    run(tmp_path, "ToySecond", TCC_EVALUATION_DISTANCE="cosine")
    stages = [name.split("-")[0] for name in manifests(tmp_path)]
    assert sorted(stages) == ["toy_first", "toy_second", "toy_second"]


def test_a_killed_stage_goes_on_where_it_was(tmp_path):
    killed = run(tmp_path, "ToyFirst", TOY_FAULT="kill:1", TCC_EXECUTION_RETRIES="0")
    assert killed.returncode == 30
    assert "killed by SIGKILL" in killed.stdout and "run again to continue" in killed.stdout
    assert manifests(tmp_path) == {}
    assert run(tmp_path, "ToyFirst", TOY_FAULT="kill:1").returncode == 0
    (steps,) = tmp_path.glob("toy_first/*/steps")
    assert steps.read_text() == "0\n1\n2\n3\n"


def test_an_error_of_the_work_is_told_with_its_log(tmp_path):
    broken = run(tmp_path, "ToyFirst", TOY_FAULT="raise:1")
    assert broken.returncode == 30
    assert "ToyFirst: ValueError: the toy broke" in broken.stdout
    (log,) = (tmp_path / ".work").glob("toy_first-*/log.txt")
    assert "the toy broke" in log.read_text()


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("level", ["INFO", "ERROR"])
def test_an_error_of_ours_is_the_last_line_and_has_no_traceback(tmp_path, workers, level):
    refused = run(tmp_path, "ToySecond", "--workers", workers, "--log-level", level, TOY_FAULT="refuse:1")
    assert refused.returncode == 30
    assert refused.stdout.splitlines()[-1] == "error: ToyFirst: labels.csv, line 7: the toy refuses it; correct it"
    assert refused.stdout.count("the toy refuses it") == 2  # where it failed, and at the end
    assert "Traceback" not in refused.stdout and "(log: " in refused.stdout


def test_an_unexpected_error_keeps_its_traceback_and_is_in_the_last_lines_too(tmp_path):
    broken = run(tmp_path, "ToyFirst", TOY_FAULT="raise:1")
    assert 'raise ValueError("the toy broke")' in broken.stdout  # the line of code: from the child's traceback
    error, log = broken.stdout.splitlines()[-2:]
    assert error == "error: ToyFirst: ValueError: the toy broke"
    assert log.startswith("(log: ")


@pytest.mark.parametrize("workers", ["1", "2"])
def test_an_error_that_a_later_attempt_mended_is_not_told_at_the_end(tmp_path, workers):
    config = tmp_path / "retry.cfg"
    config.write_text("[scheduler]\nretry_count = 2\nretry_delay = 0\n[worker]\nkeep_alive = true\n")
    mended = run(tmp_path, "ToyFirst", "--workers", workers, TOY_FAULT="refuse:1", LUIGI_CONFIG_PATH=str(config))
    assert mended.stdout.count("the toy refuses it") == 1 and "error: ToyFirst" not in mended.stdout
    assert len(manifests(tmp_path)) == 1


@pytest.mark.parametrize("workers", [pytest.param("1", marks=pytest.mark.slow), "2"])
def test_a_killed_luigi_takes_the_stage_with_it(tmp_path, workers):
    variables = environment(tmp_path, TOY_FAULT="wait:1", TOY_WAIT="2")
    luigi = subprocess.Popen(
        command("ToyFirst", "--workers", workers), cwd=ROOT, env=variables, stderr=subprocess.DEVNULL
    )
    (fault,) = wait_for(lambda: list((tmp_path / ".work").glob("*.fault-done")))
    luigi.send_signal(signal.SIGKILL)
    luigi.wait()
    time.sleep(4)
    (steps,) = fault.parent.glob("toy_first-*/steps")
    assert len(steps.read_text().splitlines()) < 4
    assert manifests(tmp_path) == {}


@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_work_is_done_in_a_process_of_its_own(tmp_path, workers):
    luigi = subprocess.Popen(
        command("ToySecond", "--workers", workers), cwd=ROOT, env=environment(tmp_path), stderr=subprocess.DEVNULL
    )
    assert luigi.wait() == 0
    workers_of = [int(path.read_text().split()[-1]) for path in tmp_path.glob("toy_*/*/log.txt")]
    assert len(set(workers_of)) == 2  # one for each stage: what a stage held is given back when it ends
    assert luigi.pid not in workers_of


def test_two_runs_at_once_do_the_work_once(tmp_path):
    variables = environment(tmp_path, TOY_FAULT="wait:1", TOY_WAIT="2")
    both = [subprocess.Popen(command("ToyFirst"), cwd=ROOT, env=variables, stderr=subprocess.DEVNULL) for _ in range(2)]
    assert [one.wait() for one in both] == [0, 0]
    (steps,) = tmp_path.glob("toy_first/*/steps")
    assert steps.read_text() == "0\n1\n2\n3\n"


def test_fingerprints_follow_what_changes_the_bytes_and_nothing_else(tmp_path):
    base = Settings()
    with settings_module.using(base):
        first, second = ToyFirst().fingerprint, ToySecond().fingerprint
        assert ToySecond(part=1).fingerprint != second
    with settings_module.using(Settings(training=TrainingConfig(num_steps=7))):
        assert (ToyFirst().fingerprint, ToySecond().fingerprint) == (first, second)
    with settings_module.using(Settings(frames=FramesConfig(fps=5))):
        assert ToyFirst().fingerprint != first
        assert ToySecond().fingerprint != second


def wait_for(look, seconds=30):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = look()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError("it did not happen in time")


@pytest.mark.parametrize(
    ("vendor", "python", "on"),
    [
        ("GenuineIntel", (3, 9), True),
        ("AuthenticAMD", (3, 9), False),
        ("AuthenticAMD", (3, 11), True),
        (None, (3, 9), False),
    ],
)
def test_onednn_is_on_where_it_works(tmp_path, monkeypatch, vendor, python, on):
    monkeypatch.setattr(device, "_CPU_INFO", tmp_path / "cpuinfo")
    if vendor:
        (tmp_path / "cpuinfo").write_text(f"processor : 0\nvendor_id : {vendor}\n")
    assert ("TF_ENABLE_ONEDNN_OPTS" in device.tensorflow_environment(python)) == on


def test_what_a_killed_run_left_half_written_is_removed_and_a_download_is_not(tmp_path):
    work = tmp_path / "work"
    (work / "clips").mkdir(parents=True)
    gone = ["train.tfrecord.21472.part", "manifest.json.tmp", "clips/.labels.csv.17.tmp", "features.npz.tmp"]
    kept = [
        "pouring_train-0-of-2.tfrecord.part",
        "pouring_train-0-of-2.tfrecord.part.json",
        "clips/a.tfrecord",
        "log.txt",
    ]
    for name in [*gone, *kept]:
        (work / name).write_bytes(b"x")
    child._remove_leftovers(work)
    assert sorted(str(path.relative_to(work)) for path in work.rglob("*") if path.is_file()) == sorted(kept)
