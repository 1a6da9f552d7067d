"""Which precision of training works on which device."""

from __future__ import annotations

from typing import Optional

import tensorflow as tf

from tcc.errors import SettingsError
from tcc.training.loss_scale import LossScale


def check_precision(precision: str, device_kind: str) -> None:
    """Raise SettingsError where a precision is of no use on a kind of device, or TensorFlow cannot compute in it."""
    if precision == "float16" and device_kind != "gpu":
        reason = {
            "cpu": "a CPU is slower in it; use bfloat16",
            "npu": "an NPU may hide overflow from the scaling of the loss; use float32",
        }[device_kind]
        raise SettingsError(f"precision: float16 is for a GPU, {reason}")
    if precision == "bfloat16" and device_kind == "cpu" and tf.__version__.startswith("2.6."):
        raise SettingsError(
            f"precision: TensorFlow {tf.__version__} has no convolution in bfloat16 on a CPU; use float32, or a newer one"
        )
    if precision == "bfloat16" and device_kind == "npu":
        raise SettingsError("precision: bfloat16 is not known to run on an NPU of TensorFlow 2.6; use float32")


def build_loss_scale(precision: str) -> Optional[LossScale]:
    """What float16 needs besides; the others have float32's range."""
    return LossScale() if precision == "float16" else None
