"""The device that everything runs on, opened once per process before any variable exists.

The only module that knows the Ascend plugin `npu_device`. Ascend's order (environment, import, options, open,
as_default, the first variable) holds by construction: `open_device` refuses to open an NPU once a variable exists, and
training and embedding refuse to start before a device is open. TensorFlow is imported inside the functions.
"""

from __future__ import annotations

import contextlib
import gc
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ContextManager, Dict, List, Optional, Tuple, Union

from tcc.config import DeviceConfig
from tcc.errors import DeviceError, SettingsError
from tcc.npu_options import Folder, plugin_options

_NPU_SMI_SECONDS = 10
_CPU_INFO = Path("/proc/cpuinfo")
_opened: Dict[str, Device] = {}


@dataclass(frozen=True)
class Device:
    """An open device: its kind (npu, gpu, cpu), its name for TensorFlow or the plugin, and what it is."""

    kind: str
    name: str
    description: str


def open_device(
    kind: Union[str, DeviceConfig] = "auto",
    *,
    folder: Folder = None,
    dev: Union[str, Path] = "/dev",
) -> Device:
    """Open the device that this process works on; call it before the first variable or model is made.

    Also makes TensorFlow's operations repeatable. A second call returns the device that is already open.

    Args:
      kind: npu, gpu, cpu, or auto: an NPU where plugin and device are there, else a GPU that TensorFlow sees, else cpu. Or all
        settings of [device], for the options of an NPU.
      folder: where an NPU's dumps, profiles and compiler files go; the first two may be named by themselves, see
        `tcc.npu_options.plugin_options`. None: no dumps, and compiler files where the engine's defaults say.
      dev: folder of device nodes.
    Raises: SettingsError for an unknown kind, or options at odds; DeviceError if the device is missing (with what is
      missing), another one is already open, or variables were made before an NPU was opened.
    """
    config = DeviceConfig(kind) if isinstance(kind, str) else kind
    device = _opened.get("device")
    if device is None:
        found = choose_kind(dev=dev) if config.kind == "auto" else config.kind
        device = _open(found, config, folder, Path(dev))
        _opened["device"] = device
    if config.kind not in ("auto", device.kind):
        raise DeviceError(f"{config.kind}: this process already works on {device.kind}; use one device per process")
    return device


def tensorflow_environment(python: Tuple[int, ...] = sys.version_info[:2]) -> Dict[str, str]:
    """Variables that TensorFlow reads when it is imported.

    oneDNN doubles a training step on a CPU; TensorFlow 2.6 (Python 3.9) leaves it off, newer ones decide by processor. The
    oneDNN of 2.6 is used on Intel's processors only: on an AMD EPYC it divides by zero in the first convolution (SIGFPE).
    """
    variables = {"TF_ENABLE_ONEDNN_OPTS": "1", "TF_CPP_MIN_LOG_LEVEL": "2"}
    if python < (3, 10) and "GenuineIntel" not in _processor():
        del variables["TF_ENABLE_ONEDNN_OPTS"]
    return variables


def _processor() -> str:
    try:
        return _CPU_INFO.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def require_device() -> Device:
    """The open device.

    Raises: DeviceError if `open_device` was not called.
    """
    if "device" not in _opened:
        raise DeviceError("no device is open: call tcc.device.open_device(...) before the model is built")
    return _opened["device"]


def choose_kind(*, dev: Union[str, Path] = "/dev") -> str:
    """What auto means here: npu, gpu or cpu. The plugin is looked for, never imported."""
    if _has_plugin() and _has_npu(Path(dev)):
        return "npu"
    import tensorflow as tf

    return "gpu" if tf.config.list_physical_devices("GPU") else "cpu"


def count_npus(*, dev: Union[str, Path] = "/dev") -> Optional[int]:
    """NPUs of this machine as npu-smi counts them, else as device nodes; None where neither is there."""
    counted = _count_by_npu_smi()
    if counted is not None:
        return counted
    nodes = [path for path in Path(dev).glob("davinci*") if re.fullmatch(r"davinci\d+", path.name)]
    return len(nodes) or None


def is_npu(kind: str, *, dev: Union[str, Path] = "/dev") -> bool:
    """Whether a kind means an NPU here; nothing is imported."""
    return kind == "npu" or (kind == "auto" and _has_plugin() and _has_npu(Path(dev)))


def host_scope() -> ContextManager[Any]:
    """Within, variables and operations are the host's, also where the device is an NPU (which ignores tf.device)."""
    if require_device().kind != "npu":
        return contextlib.nullcontext()
    from tensorflow.python.eager import context

    return context.device("CPU:0")  # type: ignore[no-any-return]


def all_reduce(tensors: List[Any]) -> List[Any]:
    """Each tensor summed over the processes of all NPUs, by HCCL."""
    import npu_device

    return list(npu_device.distribute.all_reduce(tensors, "sum"))


def loss_scale_optimizer(optimizer: Any, **arguments: Any) -> Any:
    """A Keras optimizer in the plugin's own, which scales the loss and reads the engine's flag of overflows.

    Args: arguments: dynamic, initial_scale.
    """
    import npu_device

    return npu_device.train.optimizer.NpuLossScaleOptimizer(optimizer, **arguments)


def _open(kind: str, config: DeviceConfig, folder: Folder, dev: Path) -> Device:
    if kind == "npu":
        return _open_npu(config, folder, dev)
    _make_deterministic()
    return _open_gpu() if kind == "gpu" else _open_cpu()


def _open_cpu() -> Device:
    import tensorflow as tf

    _hide_gpus(tf)
    return Device("cpu", "/device:CPU:0", f"CPU with {os.cpu_count()} cores")


def _hide_gpus(tf: Any) -> None:
    try:
        tf.config.set_visible_devices([], "GPU")
    except RuntimeError as error:
        raise DeviceError(f"cpu: TensorFlow has already taken a GPU ({error}); open the device first") from error


def _open_gpu() -> Device:
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        raise DeviceError(
            "gpu: TensorFlow sees no GPU; install a TensorFlow with GPU support and a driver, or ask for cpu"
        )
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)
    return Device("gpu", "/device:GPU:0", _gpu_name(tf, gpus[0]))


def _gpu_name(tf: Any, gpu: Any) -> str:
    return str(tf.config.experimental.get_device_details(gpu).get("device_name", "GPU"))


def _make_deterministic() -> None:
    # TensorFlow 2.6 knows only the variable; later ones read it when the first kernel is made, or take the call.
    os.environ["TF_DETERMINISTIC_OPS"] = "1"
    import tensorflow as tf

    enable = getattr(tf.config.experimental, "enable_op_determinism", None)
    if enable is not None:
        enable()


def _open_npu(config: DeviceConfig, folder: Folder, dev: Path) -> Device:
    missing = _missing_for_npu(dev)
    if missing:
        raise DeviceError(f"npu: missing {'; '.join(missing)}")
    if _variables_exist():
        raise DeviceError("npu: variables already exist, and opening an NPU would lose them; open the device first")
    if config.profiling and os.environ.get("ASCEND_RT_VISIBLE_DEVICES"):
        raise SettingsError(
            "profiling: does not work with ASCEND_RT_VISIBLE_DEVICES; unset it, and choose by device_id"
        )
    options = plugin_options(config, folder)
    if isinstance(folder, (str, Path)):
        _keep_files_in(Path(folder))
    import npu_device

    _set_options(npu_device, options)
    npu_device.set_npu_loop_size(1)  # a step takes arrays, whatever NPU_LOOP_SIZE says
    try:
        handle = npu_device.open(None if config.device_id < 0 else config.device_id).as_default()
    except (RuntimeError, ValueError, ImportError) as error:
        raise DeviceError(f"npu: the Ascend engine refused to open the device: {error}") from error
    return Device("npu", str(handle.name()), "Ascend NPU")


def _keep_files_in(folder: Path) -> None:
    """Where the engine puts what it compiles, which otherwise litters the working directory."""
    for variable, name in (("ASCEND_WORK_PATH", "ascend_work"), ("ASCEND_CACHE_PATH", "ascend_cache")):
        path = Path(os.environ.setdefault(variable, str(folder.resolve() / name)))
        path.mkdir(parents=True, exist_ok=True)


def _set_options(npu_device: Any, options: Dict[str, Any]) -> None:
    """Before the device is opened: the engine reads them once."""
    for name, value in options.items():
        target = npu_device.global_options()
        *groups, option = name.split(".")
        try:
            for group in groups:
                target = getattr(target, group)
            setattr(target, option, value)
        except (ValueError, TypeError) as error:
            raise DeviceError(f"npu: this release of the plugin does not take {name} = {value!r}: {error}") from error


def _missing_for_npu(dev: Path) -> list:
    missing = []
    if not _has_plugin():
        found = "npu_bridge is there, the adapter for TensorFlow 1, which does not do; " if _has_bridge() else ""
        missing.append(
            f"the plugin ({found}Python package npu_device, of the Ascend TF Adapter for TensorFlow 2.6.5; install its wheel, "
            "or put it on PYTHONPATH)"
        )
    if not _has_npu(dev):
        missing.append(f"the driver or device node ({dev}/davinci0; npu-smi info -l counts no NPU)")
    version = _tensorflow_version()
    if not version.startswith("2.6"):
        missing.append(f"TensorFlow 2.6 (the plugin's only version; this is {version})")
    return missing


def _tensorflow_version() -> str:
    import tensorflow as tf

    return str(tf.__version__)


def _has_plugin() -> bool:
    return importlib.util.find_spec("npu_device") is not None


def _has_bridge() -> bool:
    return importlib.util.find_spec("npu_bridge") is not None


def _has_npu(dev: Path) -> bool:
    return bool(count_npus(dev=dev))


def _count_by_npu_smi() -> Optional[int]:
    command = shutil.which("npu-smi")
    if command is None:
        return None
    try:
        run = subprocess.run(
            [command, "info", "-l"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=_NPU_SMI_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(rb"Total Count\s*:\s*(\d+)", run.stdout)
    return int(found.group(1)) if run.returncode == 0 and found else None


def _variables_exist() -> bool:
    import tensorflow as tf

    gc.collect()
    return any(issubclass(type(item), tf.Variable) for item in gc.get_objects())
