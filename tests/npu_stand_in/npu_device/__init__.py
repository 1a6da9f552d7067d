"""Stand-in for the plugin's package; see ../README.md."""

import os

import tensorflow as tf

if not tf.__version__.startswith("2.6") and "NPU_STAND_IN_ANY_TENSORFLOW" not in os.environ:
    raise ImportError(f"npu_device is built against TensorFlow 2.6, this is {tf.__version__}")

from npu_device import compat, configs, distribute, ops, train
from npu_device import npu_device as npu_device
from npu_device.configs import global_options
from npu_device.npu_device import npu_compat_function, npu_run_context, open, set_npu_loop_size
from npu_device.record import record

if configs.PROFILE == "2026":
    from npu_device.npu_device import is_inf_nan_enabled, set_device_sat_mode  # noqa: F401

__all__ = [
    "compat",
    "configs",
    "distribute",
    "global_options",
    "npu_compat_function",
    "npu_device",
    "npu_run_context",
    "open",
    "ops",
    "set_npu_loop_size",
    "train",
]
record("import", tensorflow=tf.__version__)
