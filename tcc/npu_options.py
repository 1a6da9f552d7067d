"""[device] settings -> options of the Ascend plugin, as plain data: checked before anything of Ascend is imported.

Names and legal values: Ascend TF Adapter 2.x, release line of 2026; the engine's own checks are made here, in our words,
because it makes them late or not at all. Whatever is not set is left to the engine.
"""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, Mapping, Union

from tcc.errors import SettingsError

if TYPE_CHECKING:
    from tcc.config import DeviceConfig

PRECISION_MODES = (
    *("force_fp32", "allow_fp32_to_fp16", "force_fp16", "must_keep_origin_dtype", "allow_mix_precision"),
    *("cube_fp16in_fp32out", "allow_mix_precision_fp16", "allow_mix_precision_bf16", "allow_fp32_to_bf16"),
)
# The newer option, precision_mode_v2; cube_fp16in_fp32out is a name of both.
PRECISION_MODES_V2 = ("fp16", "origin", "mixed_float16", "mixed_bfloat16", "cube_hif8", "mixed_hif8")
_MIXED = (
    *("allow_mix_precision", "allow_mix_precision_fp16", "allow_mix_precision_bf16"),
    *("mixed_float16", "mixed_bfloat16", "mixed_hif8"),
)
_MOST_STEPS = 100
_NPU_ONLY = (
    *("device_id", "precision_mode", "mixlist_file", "fusion_switch_file", "data_dump", "data_dump_step"),
    *("overflow_dump", "profiling", "loss_scale", "loop_size"),
)
_KEYS = {"mixlist_file": ("black-list", "white-list", "gray-list"), "fusion_switch_file": ("Switch",)}
DUMPS, PROFILES = "dumps", "profiles"


def changed_options(config: DeviceConfig) -> Dict[str, Any]:
    """The settings for an NPU that are not the defaults: name -> value."""
    default = {field.name: field.default for field in dataclasses.fields(config)}
    return {name: getattr(config, name) for name in _NPU_ONLY if getattr(config, name) != default[name]}


def check_options(config: DeviceConfig) -> None:
    """Refuse what the engine would refuse, or not do.

    Raises: SettingsError, naming the options at odds and the reason.
    """
    if config.data_dump and config.overflow_dump:
        raise SettingsError("data_dump, overflow_dump: the engine writes one of the two at a time; set one to false")
    if config.data_dump_step and not config.data_dump:
        raise SettingsError("data_dump_step: chooses the steps of data_dump, which is off; set data_dump = true")
    check_steps(config.data_dump_step)
    if config.mixlist_file and config.precision_mode not in _MIXED:
        raise SettingsError(
            f"mixlist_file: changes the lists of a mixed precision_mode, and precision_mode is {config.precision_mode!r}; "
            f"set it to one of {', '.join(_MIXED)}"
        )
    if config.loop_size != 1:
        raise SettingsError(
            f"loop_size: {config.loop_size} steps in one call of the device need an input pipeline on the device; a step's "
            "frames are drawn on the host here, so it must be 1"
        )


def check_steps(text: str) -> None:
    """Raise SettingsError unless `text` selects steps as the engine reads it: 0|5|10, 0|3-5|10, at most 100 parts."""
    parts = text.split("|") if text else []
    if len(parts) > _MOST_STEPS:
        raise SettingsError(f"data_dump_step: at most {_MOST_STEPS} parts; got {len(parts)}")
    for part in parts:
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", part)
        if match is None or (match[2] is not None and int(match[1]) >= int(match[2])):
            raise SettingsError(f"data_dump_step: must be steps and ranges such as 0|3-5|10; got {part!r} in {text!r}")


Folder = Union[str, Path, Mapping[str, Union[str, Path]], None]


def plugin_options(config: DeviceConfig, folder: Folder) -> Dict[str, Any]:
    """Options of the plugin by their dotted names, in the order in which they are set.

    Args: folder: where "dumps" and "profiles" get folders of their own, which the engine wants to exist; or these two by name.
    Raises: SettingsError if a file is missing or not what the engine reads, or a dump is asked for without a folder.
    """
    options: Dict[str, Any] = {"deterministic": int(config.deterministic)}
    if config.precision_mode:
        name = "precision_mode_v2" if config.precision_mode in PRECISION_MODES_V2 else "precision_mode"
        options[name] = config.precision_mode
    if config.mixlist_file:
        options["modify_mixlist"] = json_file("mixlist_file", config.mixlist_file)
    if config.fusion_switch_file:
        options["fusion_switch_file"] = json_file("fusion_switch_file", config.fusion_switch_file)
    if config.data_dump:
        options.update(_dump("enable_dump", _folder(folder, DUMPS), dump_mode="all"))
        if config.data_dump_step:
            options["dump_config.dump_step"] = config.data_dump_step
    if config.overflow_dump:
        options.update(_dump("enable_dump_debug", _folder(folder, DUMPS), dump_debug_mode="all"))
    if config.profiling:
        options["profiling_config.enable_profiling"] = True
        options["profiling_config.profiling_options"] = _profiling(_folder(folder, PROFILES))
    return options


def loss_scale_of(config: DeviceConfig) -> Dict[str, Any]:
    """Arguments of the plugin's loss-scale optimizer; none where there is no loss scale."""
    if config.loss_scale == "none":
        return {}
    if config.loss_scale == "dynamic":
        return {"dynamic": True}
    return {"dynamic": False, "initial_scale": float(config.loss_scale)}


def _dump(switch: str, folder: str, **modes: str) -> Dict[str, Any]:
    options = {switch: True, "dump_path": folder, **modes}
    return {f"dump_config.{name}": value for name, value in options.items()}


def _profiling(folder: str) -> str:
    # Where a step begins and ends is left to the engine: the points depend on the network.
    return json.dumps(
        {
            "output": folder,
            "training_trace": "on",
            "task_trace": "on",
            "aicpu": "on",
            "fp_point": "",
            "bp_point": "",
            "aic_metrics": "PipeUtilization",
        }
    )


def _folder(folder: Folder, name: str) -> str:
    if folder is None:
        raise SettingsError(f"{name}: need a folder to be written to; give one to open_device")
    path = Path(folder[name] if isinstance(folder, Mapping) else Path(folder) / name).resolve()
    path.mkdir(parents=True, exist_ok=True)
    return str(path)


def json_file(option: str, path: str) -> str:
    """The absolute path of a file of a mixed precision's lists, or of fusion switches.

    Raises: SettingsError if it is missing or not what the engine reads.
    """
    keys = _KEYS[option]
    try:
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"{option}: {path} is no readable JSON file ({error}); give another, or leave it out"
        ) from error
    if not isinstance(content, dict) or not any(key in content for key in keys):
        raise SettingsError(f"{option}: {path} has none of the keys {', '.join(keys)}")
    return str(Path(path).resolve())
