"""Opening the device. Each case that opens one runs in a process of its own: a device is opened once per process."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tcc import device
from tcc.errors import DeviceError, SettingsError

ROOT = Path(__file__).resolve().parents[2]


def run_python(code: str, **environment: str) -> str:
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=str(ROOT),
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **environment},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def fake_npu_smi(folder: Path, script: str) -> None:
    command = folder / "npu-smi"
    command.write_text(f"#!/bin/sh\n{script}\n")
    command.chmod(0o755)


def test_importing_imports_no_tensorflow():
    assert run_python("import tcc.device, sys; print('tensorflow' in sys.modules)").strip() == "False"


def test_cpu_opens_is_deterministic_and_stays_the_only_one():
    output = run_python(
        """
        import os
        from tcc.device import open_device, require_device
        from tcc.errors import DeviceError
        try:
            require_device()
        except DeviceError as error:
            print(error)
        first = open_device("cpu")
        assert first.kind == "cpu" and first.name == "/device:CPU:0", first
        assert open_device("auto") is first and require_device() is first
        assert os.environ["TF_DETERMINISTIC_OPS"] == "1"
        try:
            open_device("gpu")
        except DeviceError as error:
            print(error)
        """
    )
    assert "no device is open: call tcc.device.open_device(...) before the model is built" in output
    assert "gpu: this process already works on cpu; use one device per process" in output


def test_auto_takes_the_cpu_where_nothing_else_is(tmp_path):
    output = run_python(
        f"""
        from tcc.device import open_device
        print(open_device("auto", dev={str(tmp_path)!r}).kind)
        """,
        CUDA_VISIBLE_DEVICES="",
    )
    assert output.strip() == "cpu"


def test_gpu_that_is_not_there():
    output = run_python(
        """
        from tcc.device import open_device
        from tcc.errors import DeviceError
        try:
            open_device("gpu")
        except DeviceError as error:
            print(error)
        """,
        CUDA_VISIBLE_DEVICES="",
    )
    assert "gpu: TensorFlow sees no GPU; install a TensorFlow with GPU support and a driver" in output


def test_cpu_after_tensorflow_took_a_gpu(monkeypatch):
    class TakenConfig:
        @staticmethod
        def set_visible_devices(devices, kind):
            raise RuntimeError("cannot be modified after being initialized")

    class Taken:
        config = TakenConfig

    with pytest.raises(DeviceError, match=r"cpu: TensorFlow has already taken a GPU .*open the device first"):
        device._hide_gpus(Taken)


def test_unknown_kind():
    with pytest.raises(SettingsError, match="kind: must be one of auto, npu, gpu, cpu; got 'tpu'"):
        device.open_device("tpu")


@pytest.mark.parametrize("plugin", [False, True])
@pytest.mark.parametrize("node", [False, True])
@pytest.mark.parametrize("version", ["2.6.5", "2.21.0"])
def test_npu_says_which_part_is_missing(tmp_path, monkeypatch, plugin, node, version):
    if node:
        (tmp_path / "davinci0").touch()
    (tmp_path / "davinci_manager").touch()
    monkeypatch.setattr(device, "_has_plugin", lambda: plugin)
    monkeypatch.setattr(device, "_tensorflow_version", lambda: version)
    monkeypatch.setattr(device, "_opened", {})
    monkeypatch.setattr(device, "_variables_exist", lambda: True)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DeviceError) as caught:
        device.open_device("npu", dev=tmp_path)
    text = str(caught.value)
    if plugin and node and version == "2.6.5":
        assert text == "npu: variables already exist, and opening an NPU would lose them; open the device first"
        return
    assert text.startswith("npu: missing ")
    assert ("npu_device" in text) != plugin
    assert (f"{tmp_path}/davinci0" in text) != node
    assert ("TensorFlow 2.6 (the plugin's only version; this is 2.21.0)" in text) == (version == "2.21.0")


@pytest.mark.parametrize(
    ("script", "node", "expected"),
    [
        ("echo 'Total Count                    : 8'; echo 'NPU ID : 0'", False, 8),
        ("echo 'Total Count : 0'", True, 0),
        ("echo 'dcmi module initialize failed'; exit 1", True, 1),
        ("echo garbage", True, 1),
        ("echo garbage", False, None),
        ("exec sleep 60", True, 1),
        (None, True, 1),
        (None, False, None),
    ],
)
def test_npus_are_counted_whatever_npu_smi_answers(tmp_path, monkeypatch, script, node, expected):
    monkeypatch.setattr(device, "_NPU_SMI_SECONDS", 0.5)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/bin{os.pathsep}/usr/bin")
    if script:
        fake_npu_smi(tmp_path, script)
    if node:
        (tmp_path / "davinci3").touch()
    assert device.count_npus(dev=tmp_path) == expected


def test_auto_wants_plugin_and_device(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "davinci0").touch()
    monkeypatch.setattr(device, "_has_plugin", lambda: True)
    assert device.choose_kind(dev=tmp_path) == "npu"
    monkeypatch.setattr(device, "_has_plugin", lambda: False)
    assert device.choose_kind(dev=tmp_path) in ("gpu", "cpu")


STAND_IN = """
class Handle:
    def as_default(self):
        return self
    def name(self):
        return "/job:localhost/replica:0/task:0/device:NPU:0"

def open(device_id=None):
    return Handle()
"""


def test_npu_opens_through_the_plugin_and_only_before_variables(tmp_path):
    (tmp_path / "npu_device.py").write_text(STAND_IN)
    (tmp_path / "davinci0").touch()
    code = f"""
        import tensorflow as tf
        from tcc import device
        from tcc.errors import DeviceError
        device._tensorflow_version = lambda: "2.6.5"
        early = tf.Variable(1.0)
        try:
            device.open_device("npu", dev={str(tmp_path)!r})
        except DeviceError as error:
            print(error)
        del early
        print(device.open_device("auto", dev={str(tmp_path)!r}).name)
        """
    output = run_python(code, PYTHONPATH=str(tmp_path))
    assert "npu: variables already exist" in output and "device:NPU:0" in output


def test_the_engines_refusal_is_told(tmp_path):
    (tmp_path / "npu_device.py").write_text(
        "def open(device_id=None):\n    raise RuntimeError('Failed open npu device 0 : E10001')\n"
    )
    (tmp_path / "davinci0").touch()
    code = f"""
        from tcc import device
        from tcc.errors import DeviceError
        device._tensorflow_version = lambda: "2.6.5"
        try:
            device.open_device("npu", dev={str(tmp_path)!r})
        except DeviceError as error:
            print(error)
        """
    output = run_python(code, PYTHONPATH=str(tmp_path))
    assert "npu: the Ascend engine refused to open the device: Failed open npu device 0 : E10001" in output
