"""Settings of an NPU: what is refused, and what the plugin is given."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tcc.config import DeviceConfig
from tcc.errors import SettingsError
from tcc.npu_options import changed_options, check_steps, loss_scale_of, plugin_options


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"data_dump": True, "overflow_dump": True}, "data_dump, overflow_dump: the engine writes one of the two"),
        ({"data_dump_step": "0"}, "data_dump_step: chooses the steps of data_dump, which is off"),
        ({"data_dump": True, "data_dump_step": "5-3"}, "data_dump_step: must be steps and ranges"),
        ({"mixlist_file": "a.json"}, "mixlist_file: changes the lists of a mixed precision_mode"),
        ({"mixlist_file": "a.json", "precision_mode": "force_fp32"}, "mixlist_file: changes the lists of a mixed"),
        ({"precision_mode": "allow_mix"}, "precision_mode: must be one of force_fp32, "),
        ({"loss_scale": "static"}, "loss_scale: must be none, dynamic or a number; got 'static'"),
        ({"loss_scale": "0.5"}, "loss_scale: must be at least 1.0"),
        ({"loop_size": 10}, "loop_size: 10 steps in one call of the device need an input pipeline on the device"),
        ({"kind": "cpu", "profiling": True}, "profiling: for an NPU only, and kind = cpu"),
        ({"device_id": -2}, "device_id: must be at least -1"),
        ({"hosts": ("a",)}, "hosts: must be host:port"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_imported(options, reason):
    with pytest.raises(SettingsError, match=reason):
        DeviceConfig(**options)


def test_nothing_of_tensorflow_or_ascend_is_imported_for_a_check():
    code = "import sys, tcc.npu_options; print(sorted(set(sys.modules) & {'tensorflow', 'npu_device', 'numpy'}))"
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("text", ["", "0", "0|5|10", "0|3-5|10", "|".join(str(i) for i in range(100))])
def test_steps_the_engine_reads(text):
    check_steps(text)


@pytest.mark.parametrize("text", ["a", "1|", "1-1", "-1", "1,2", "|".join(str(i) for i in range(101))])
def test_steps_the_engine_refuses(text):
    with pytest.raises(SettingsError, match="data_dump_step"):
        check_steps(text)


def test_nothing_set_is_left_to_the_engine():
    assert plugin_options(DeviceConfig("npu"), None) == {"deterministic": 1}
    assert changed_options(DeviceConfig("npu")) == {}


@pytest.mark.parametrize(
    ("mode", "option"), [("allow_mix_precision", "precision_mode"), ("mixed_bfloat16", "precision_mode_v2")]
)
def test_a_precision_mode_goes_where_its_name_belongs(mode, option):
    assert plugin_options(DeviceConfig("npu", precision_mode=mode), None)[option] == mode


def test_dumps_and_profiles_get_folders_of_their_own(tmp_path):
    options = plugin_options(DeviceConfig("npu", overflow_dump=True, profiling=True), tmp_path)
    assert options["dump_config.enable_dump_debug"] is True
    assert options["dump_config.dump_path"] == str(tmp_path / "dumps")
    profiling = json.loads(options["profiling_config.profiling_options"])
    assert profiling["output"] == str(tmp_path / "profiles") and profiling["fp_point"] == ""
    assert (tmp_path / "dumps").is_dir() and (tmp_path / "profiles").is_dir()
    with pytest.raises(SettingsError, match="dumps: need a folder"):
        plugin_options(DeviceConfig("npu", data_dump=True), None)


def test_files_are_looked_into(tmp_path):
    path = tmp_path / "mix.json"
    config = DeviceConfig("npu", precision_mode="allow_mix_precision", mixlist_file=str(path))
    with pytest.raises(SettingsError, match=r"mixlist_file: .* is no readable JSON file"):
        plugin_options(config, None)
    path.write_text("{}")
    with pytest.raises(SettingsError, match=r"mixlist_file: .* has none of the keys black-list, white-list"):
        plugin_options(config, None)
    path.write_text('{"white-list": {"to-add": ["Conv2D"]}}')
    assert plugin_options(config, None)["modify_mixlist"] == str(path)


@pytest.mark.parametrize(
    ("text", "arguments"),
    [("none", {}), ("dynamic", {"dynamic": True}), ("1024", {"dynamic": False, "initial_scale": 1024.0})],
)
def test_arguments_of_the_loss_scale_optimizer(text, arguments):
    assert loss_scale_of(DeviceConfig("npu", loss_scale=text)) == arguments
