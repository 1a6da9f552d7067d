"""Weights of resnet50v2 as a user gets them: by a download that is killed, and from a folder as the Ascend port has it."""

from __future__ import annotations

import hashlib
import json
import signal
import time

import pytest

from tcc import weights
from tests.integration.test_killed import child_of
from tests.tcc.download_server import FileServer, Plan
from tests.tcc.keras_weights import resnet_layers, write_h5

pytestmark = pytest.mark.slow
NAME, ASCEND_NAME = weights.published("resnet50v2").file_names
# The real file is not at hand, so another SHA-256 takes the place of its MD5.
RESNET = {"TCC_BACKBONE_NAME": "resnet50v2"}


@pytest.fixture(scope="module")
def h5(tmp_path_factory):
    return write_h5(tmp_path_factory.mktemp("h5") / "made.h5", resnet_layers())


def kill_once_begun(project, luigi):
    """Kill the child that downloads; returns the bytes it leaves."""
    while luigi.poll() is None:
        parts = list(project.data.glob(f".work/weights-*/{NAME}.part"))
        if parts and parts[0].stat().st_size >= 1_000_000 and child_of(luigi):
            child_of(luigi).send_signal(signal.SIGKILL)
            luigi.wait()
            return parts[0].stat().st_size
        time.sleep(0.01)
    raise AssertionError("the task ended before its download had begun")


def test_a_download_that_is_killed_goes_on(project, h5):
    content = h5.read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    with FileServer(content, Plan(stall_after=5_000_000)) as server:
        variables = {"TCC_BACKBONE_WEIGHTS_URLS": f"{server.url}.h5", "TCC_BACKBONE_WEIGHTS_SHA256": sha256, **RESNET}
        left = kill_once_begun(project, project.start("WeightsTask", **variables))
        assert not list(project.data.glob("weights/*"))
        code, told = project.run("WeightsTask", **variables)
    assert code == 0, told
    assert server.asked_ranges == ["", f"bytes={left}-"]
    (folder,) = project.data.glob("weights/resnet50v2-*")
    result = json.loads((folder / "manifest.json").read_text())["result"]
    assert result["source"]["sha256"] == result["files"][NAME] == sha256
    assert set(result["files"]) == {NAME, "weights.npz"}
    assert (folder / NAME).read_bytes() == content


def test_a_wrong_file_ends_the_run_with_one_clear_error(project, h5, tmp_path):
    (tmp_path / NAME).write_bytes(h5.read_bytes()[:-1000])
    code, told = project.run("WeightsTask", TCC_BACKBONE_WEIGHTS=str(tmp_path), **RESNET)
    assert code != 0
    assert f"{tmp_path / NAME}: damaged (" in told and "fetch it again" in told
    assert not list(project.data.glob("weights/*"))


def test_everything_runs_on_resnet50v2_from_a_folder(project, h5, tmp_path):
    (tmp_path / ASCEND_NAME).write_bytes(h5.read_bytes())
    code, told = project.run("RunAll", TCC_BACKBONE_WEIGHTS=str(tmp_path), **RESNET)
    assert code == 0, told
    (report,) = project.data.glob("reports/*/*.html")
    assert f"{ASCEND_NAME}: MD5 is" in report.read_text()
