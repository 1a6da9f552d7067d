"""Opening the device. Each case that opens one runs in a process of its own: a device is opened once per process."""

from __future__ import annotations

import json
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


STAND_IN = ROOT / "tests" / "npu_stand_in"
ON_STAND_IN = """
import json
from tcc.config import DeviceConfig
from tcc.device import open_device
from tcc.errors import DeviceError, SettingsError
def attempt(*arguments, **options):
    try:
        print("opened", open_device(*arguments, dev={dev!r}, **options))
    except (DeviceError, SettingsError) as error:
        print(error)
"""


def on_stand_in(folder: Path, code: str, **environment: str) -> str:
    """What code prints in a process with the stand-in; its record is left in folder / "record"."""
    (folder / "dev").mkdir(exist_ok=True)
    (folder / "dev" / "davinci0").touch()
    own = {
        "PYTHONPATH": f"{STAND_IN}{os.pathsep}{ROOT}",
        "NPU_STAND_IN_RECORD": str(folder / "record"),
        "NPU_STAND_IN_ANY_TENSORFLOW": "1",
        "ASCEND_WORK_PATH": str(folder / "work"),
        "ASCEND_CACHE_PATH": str(folder / "cache"),
    }
    before = ON_STAND_IN.format(dev=str(folder / "dev"))
    if not tf_is_old():
        before += "from tcc import device; device._tensorflow_version = lambda: '2.6.5'\n"
    return run_python(before + textwrap.dedent(code), **{**own, **environment})


def tf_is_old() -> bool:
    return sys.version_info < (3, 10)


def recorded(folder: Path):
    return [json.loads(line) for line in (folder / "record").read_text().splitlines()]


needs_old = pytest.mark.skipif(not tf_is_old(), reason="the plugin's only TensorFlow is 2.6")


@needs_old
def test_npu_opens_through_the_plugin_and_only_before_variables(tmp_path):
    output = on_stand_in(
        tmp_path,
        """
        import tensorflow as tf
        early = tf.Variable(1.0)
        attempt("npu")
        del early
        attempt("auto")
        late = tf.Variable(2.0)
        print("value", float(tf.function(lambda: late * 2)()))
        """,
    )
    assert "npu: variables already exist" in output and "device:NPU:0" in output and "value 4.0" in output
    events = [line["event"] for line in recorded(tmp_path)]
    assert events == ["import", "set_npu_loop_size", "open", "as_default", "close"]
    assert recorded(tmp_path)[-1]["changed_after_open"] == []


@needs_old
@pytest.mark.parametrize("profile", ["2026", "2022"])
def test_every_option_of_ours_is_taken_by_both_release_lines(tmp_path, profile):
    for name in ("mix", "fusion"):
        content = (
            {"black-list": {"to-add": ["MatMul"]}} if name == "mix" else {"Switch": {"GraphFusion": {"ALL": "off"}}}
        )
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    code = f"""
        attempt(DeviceConfig("npu", precision_mode="allow_mix_precision", mixlist_file={str(tmp_path / "mix.json")!r},
                fusion_switch_file={str(tmp_path / "fusion.json")!r}, data_dump=True, data_dump_step="0|3-5", profiling=True,
                device_id=0), folder={str(tmp_path)!r})
        """
    assert "opened" in on_stand_in(tmp_path, code, NPU_STAND_IN_PROFILE=profile)
    (opened,) = [line for line in recorded(tmp_path) if line["event"] == "open"]
    options = opened["options"]
    assert options["precision_mode"] == "allow_mix_precision" and options["deterministic"] == "1"
    assert options["modify_mixlist"] == str(tmp_path / "mix.json")
    assert options["fusion_switch_file"] == str(tmp_path / "fusion.json")
    assert (options["enable_dump"], options["dump_path"]) == ("1", str(tmp_path / "dumps"))
    assert (options["dump_mode"], options["dump_step"], options["enable_dump_debug"]) == ("all", "0|3-5", "0")
    assert json.loads(options["profiling_options"])["output"] == str(tmp_path / "profiles")
    assert (tmp_path / "dumps").is_dir() and (tmp_path / "profiles").is_dir()


@needs_old
def test_overflow_dump_is_taken_and_an_older_release_says_what_it_lacks(tmp_path):
    code = f"attempt(DeviceConfig('npu', overflow_dump=True), folder={str(tmp_path)!r})"
    assert "opened" in on_stand_in(tmp_path, code, NPU_STAND_IN_PROFILE="2022")
    code = "attempt(DeviceConfig('npu', precision_mode='mixed_bfloat16'))"
    told = on_stand_in(tmp_path, code, NPU_STAND_IN_PROFILE="2022")
    assert (
        "npu: this release of the plugin does not take precision_mode_v2 = 'mixed_bfloat16': NpuConfig has no option"
        in told
    )
    assert "opened" in on_stand_in(tmp_path, code, NPU_STAND_IN_PROFILE="2026")


@needs_old
def test_the_engines_refusal_is_told(tmp_path):
    told = on_stand_in(tmp_path, "attempt('npu')", NPU_STAND_IN_ENGINE_ERROR="EZ9999: inner error")
    assert "npu: the Ascend engine refused to open the device: Failed open npu device 0 : EZ9999: inner error" in told


def test_the_adapter_of_tensorflow_1_is_answered_with_what_to_install(tmp_path):
    (tmp_path / "npu_bridge").mkdir()
    (tmp_path / "npu_bridge" / "__init__.py").write_text("raise ImportError('must not be imported')")
    (tmp_path / "davinci0").touch()
    code = f"""
        from tcc.device import open_device
        from tcc.errors import DeviceError
        try:
            open_device("npu", dev={str(tmp_path)!r})
        except DeviceError as error:
            print(error)
        """
    told = run_python(code, PYTHONPATH=f"{tmp_path}{os.pathsep}{ROOT}")
    assert "npu_bridge is there, the adapter for TensorFlow 1, which does not do; Python package npu_device" in told


@pytest.mark.parametrize(("shows", "expected"), [("910A", 1), ("910B", 8), ("A3", 8), ("none", 0), ("sick", 1)])
def test_npu_smi_is_read_in_its_real_shape(tmp_path, monkeypatch, shows, expected):
    monkeypatch.setenv("PATH", f"{STAND_IN / 'bin'}{os.pathsep}/bin{os.pathsep}/usr/bin")
    monkeypatch.setenv("NPU_SMI_SHOWS", shows)
    assert device.count_npus(dev=tmp_path) == expected


@pytest.mark.parametrize("shows", ["garbage", "hang", "fails"])
def test_an_npu_smi_that_tells_nothing_leaves_it_to_the_device_nodes(tmp_path, monkeypatch, shows):
    monkeypatch.setattr(device, "_NPU_SMI_SECONDS", 0.5)
    monkeypatch.setenv("PATH", f"{STAND_IN / 'bin'}{os.pathsep}/bin{os.pathsep}/usr/bin")
    monkeypatch.setenv("NPU_SMI_SHOWS", shows)
    assert device.count_npus(dev=tmp_path) is None
    (tmp_path / "davinci0").touch()
    assert device.count_npus(dev=tmp_path) == 1
