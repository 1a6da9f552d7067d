"""N replicas compute what one would: logical devices in one process, and processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tcc.config import METHODS
from tcc.errors import SettingsError
from tcc.training.replicas import check_share
from tests.tcc import replica_samples

ROOT = Path(__file__).resolve().parents[2]
# With Adam weights are not compared: a bias right before a batch norm has no gradient but rounding errors, which Adam enlarges.
TOLERANCE = {"momentum": 1e-6, "adam": 1e-4}
QUICK = ("tcc_regression_variance",)
OTHERS = tuple(method for method in METHODS if method not in QUICK)
EACH = pytest.mark.parametrize(
    "methods", [QUICK, pytest.param(OTHERS, marks=pytest.mark.slow)], ids=["one method", "all others"]
)


def start(folder, how, *arguments, **variables):
    """A process that trains; see `tests.tcc.replica_samples`."""
    command = [sys.executable, "-m", "tests.tcc.replica_samples", str(folder), how, *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def finish(*processes):
    told = [process.communicate()[0] for process in processes]
    assert all(process.returncode == 0 for process in processes), "\n".join(told)


def compare(folder, one, several):
    for path in sorted((folder / one).glob("*.npz")):
        method, optimizer = path.stem.split("-")
        with np.load(path) as expected, np.load(folder / several / path.name) as found:
            assert set(expected) == set(found)
            for name in expected:
                error = np.abs(found[name] - expected[name]).max() / max(np.abs(expected[name]).max(), 1.0)
                assert error <= (1e-5 if name == "gradient_norm" else TOLERANCE[optimizer]), (
                    method,
                    optimizer,
                    name,
                    error,
                )


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """(folder, methods): what one replica makes of them, in folder / "one"; made once."""
    made = {}

    def make(methods):
        if methods not in made:
            made[methods] = tmp_path_factory.mktemp("replicas")
            finish(start(made[methods] / "one", "one", *methods))
            assert len(list((made[methods] / "one").glob("*.npz"))) == 2 * len(methods)
        return made[methods]

    return make


@pytest.mark.slow
@EACH
def test_two_logical_devices_compute_what_one_does(alone, methods):
    folder = alone(methods)
    finish(start(folder / "mirrored", "mirrored", *methods))
    compare(folder, "one", "mirrored")


@EACH
def test_two_processes_compute_what_one_does(alone, methods):
    folder = alone(methods)
    finish(*start_workers(folder / "processes", methods))
    compare(folder, "one", "processes")


def start_workers(folder, methods):
    workers = [f"127.0.0.1:{port}" for port in replica_samples.free_ports(2)]
    configs = [{"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}} for index in range(2)]
    return [start(folder, "processes", *methods, TF_CONFIG=json.dumps(config)) for config in configs]


def test_a_batch_that_cannot_be_shared_evenly_is_refused():
    check_share(4, 2)
    with pytest.raises(SettingsError, match="3 of them cannot share a batch of batch_size = 4 clips evenly"):
        check_share(4, 3)
