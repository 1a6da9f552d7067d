"""The requirements of an Ascend host: the versions that the lock file has, and nothing that is missing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def requirements(name):
    """Package -> the rest of its line, as "==1.2; markers"."""
    lines = [line for line in (ROOT / name).read_text().splitlines() if line.strip() and not line.startswith("#")]
    return {re.match(r"[A-Za-z0-9_.-]+", line).group(): re.sub(r"^[A-Za-z0-9_.-]+", "", line) for line in lines}


def test_an_ascend_host_gets_the_versions_of_the_lock_file():
    locked = requirements("requirements-py39.lock")
    for name, version in requirements("requirements-ascend.txt").items():
        assert version.split(";")[0] == locked[name], name


def test_an_ascend_host_gets_all_that_the_project_needs():
    lines = requirements("requirements.txt")
    needed = {name for name, rest in lines.items() if 'python_version >= "3.10"' not in rest}
    assert needed <= set(requirements("requirements-ascend.txt"))


def test_the_versions_that_the_plugin_supports():
    locked = requirements("requirements-ascend.txt")
    assert locked["tensorflow-cpu"] == '==2.6.5; platform_machine == "x86_64"'
    assert locked["luigi"].startswith("==3.6")


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-ascend.txt", "requirements-py39.lock"])
def test_no_file_names_the_plugin(name):
    assert not {"npu-device", "npu_device", "npu-bridge", "npu_bridge"} & set(requirements(name))
