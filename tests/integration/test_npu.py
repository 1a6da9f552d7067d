"""The pipeline on the stand-in of an NPU: the bits of the CPU, options, several NPUs, loss scaling."""

from __future__ import annotations

import json
import os
import sys
import time

import pytest

from tests.integration.conftest import ROOT, Project
from tests.tcc.replica_samples import free_ports

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.version_info >= (3, 10), reason="the plugin's only TensorFlow is 2.6"),
]
STAND_IN = ROOT / "tests" / "npu_stand_in"


def on_npu(folder, **variables):
    """Environment of a run on stand-in NPUs."""
    own = {
        "PYTHONPATH": f"{STAND_IN}{os.pathsep}{ROOT}",
        "PATH": f"{STAND_IN / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "NPU_SMI_SHOWS": "910B",
        "NPU_STAND_IN_RECORD": str(folder / "record"),
        "NPU_STAND_IN_PORT": str(free_ports(1)[0]),
        "TCC_DEVICE_KIND": "npu",
    }
    return {**own, **variables}


def recorded(folder):
    return [json.loads(line) for line in (folder / "record").read_text().splitlines()]


def test_run_all_on_an_npu_gives_the_bits_of_the_cpu(finished, project, tmp_path):
    code, told = project.run("RunAll", **on_npu(tmp_path))
    assert code == 0, told
    assert project.results() == finished.results()
    opened = [line for line in recorded(tmp_path) if line["event"] == "open"]
    assert len(opened) >= 6 and all(line["options"]["deterministic"] == "1" for line in opened)
    assert all(line["changed_after_open"] == [] for line in recorded(tmp_path) if line["event"] == "close")
    devices = {name.split("/")[0]: manifest["run"]["device"] for name, manifest in project.manifests().items()}
    assert devices["checkpoints"].endswith("device:NPU:0")


@pytest.fixture(scope="module")
def prepared(finished, tmp_path_factory):
    """Copies of all that training reads."""

    def make():
        import shutil

        data = tmp_path_factory.mktemp("npu") / "data"
        keep = ("sources", "clips", "frames", "checks", "shards", "weights", "features", "videos")
        for stage in keep:
            if (finished.data / stage).exists():
                shutil.copytree(finished.data / stage, data / stage)
        shutil.copytree(finished.data / ".work", data / ".work", ignore=shutil.ignore_patterns("results"))
        return Project(data)

    return make


def losses(project):
    (path,) = [path for path in project.data.glob("checkpoints/*/history.jsonl") if "supervised" not in str(path)]
    return [json.loads(line)["loss"] for line in path.read_text().splitlines()]


def test_dumps_land_under_the_target_and_not_in_its_result(prepared, tmp_path):
    project = prepared()
    options = {"TCC_DEVICE_DATA_DUMP": "true", "TCC_DEVICE_DATA_DUMP_STEP": "0|3-5"}
    code, told = project.run("TrainTask", **on_npu(tmp_path, **options))
    assert code == 0, told
    ((name, manifest),) = [item for item in project.manifests().items() if item[0].startswith("checkpoints/")]
    assert (project.data / name / "dumps").is_dir()
    assert not [file for file in manifest["result"]["files"] if "dumps" in file]


def test_two_npus_train_as_one(prepared, tmp_path):
    alone, together = prepared(), prepared()
    assert alone.run("TrainTask")[0] == 0
    code, told = together.run("TrainTask", **on_npu(tmp_path, TCC_DEVICE_REPLICAS="2"))
    assert code == 0, told
    assert losses(together) == pytest.approx(losses(alone), rel=1e-4)
    events = recorded(tmp_path)
    opened = [line for line in events if line["event"] == "open"]
    assert sorted(line["device_id"] for line in opened) == [0, 1]
    assert {line["environment"]["RANK_ID"] for line in opened} == {"0", "1"}
    assert any(line["event"] == "all_reduce" for line in events)


def test_a_dynamic_loss_scale_trains_and_resumes_and_skips_an_overflow(prepared, tmp_path):
    whole, killed = prepared(), prepared()
    options = {
        "TCC_DEVICE_LOSS_SCALE": "dynamic",
        "TCC_TRAINING_CHECKPOINT_EVERY": "5",
        "NPU_STAND_IN_OVERFLOW_AT": "7",
    }
    code, told = whole.run("TrainTask", **on_npu(tmp_path, **options))
    assert code == 0, told
    (history,) = whole.data.glob("checkpoints/*/history.jsonl")
    scales = [json.loads(line)["loss_scale"] for line in history.read_text().splitlines()]
    assert scales[0] == scales[7] == 2 * scales[8]
    run = killed.start("TrainTask", **on_npu(tmp_path, **options))
    wait_for(lambda: list(killed.data.glob(".work/checkpoints-*/step-00000010")))
    run.kill()
    run.wait()
    assert killed.run("TrainTask", **on_npu(tmp_path, **options))[0] == 0
    assert losses(killed) == losses(whole)
    # Another kind of optimizer does not go on with it.
    (target,) = whole.data.glob("checkpoints/*")
    assert "npu" in json.loads((target / "manifest.json").read_text())["result"]["settings"]


def wait_for(condition, seconds=120):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_network_of_depthwise_convolutions_is_not_trained_on_an_npu(prepared, tmp_path):
    options = {"TCC_BACKBONE_NAME": "efficientnet_lite0", "TCC_BACKBONE_TRAINED": "all"}
    code, told = prepared().run("TrainTask", **on_npu(tmp_path, **options))
    assert code == 30
    assert "[backbone] trained = all: an NPU has no depthwise convolution" in told
