"""The device of a stage: opened with the settings of [device], its dumps under the stage's target."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Dict

from pipeline.base import Job
from pipeline.provenance import sha256_file
from tcc.config import Settings

_CHANGES_NUMBERS = ("precision_mode", "loss_scale")


def open_device_of(job: Job) -> Any:
    """Open the device that the settings ask for; what an NPU's engine writes lands under the target, its caches beside all."""
    from tcc.device import open_device

    work = Path(job.settings.execution.data).resolve() / ".work"
    for variable, name in (("ASCEND_WORK_PATH", "ascend_work"), ("ASCEND_CACHE_PATH", "ascend_cache")):
        os.environ.setdefault(variable, str(work / name))
    return open_device(job.settings.device, folder=job.directory)


def npu_settings(settings: Settings) -> Dict[str, Any]:
    """What of [device] changes an NPU's numbers, for a fingerprint; empty on other devices and with the defaults."""
    from tcc.device import is_npu
    from tcc.npu_options import changed_options

    changed = changed_options(settings.device)
    if not changed or not is_npu(settings.device.kind):
        return {}
    own = {name: changed[name] for name in _CHANGES_NUMBERS if name in changed}
    for name in ("mixlist_file", "fusion_switch_file"):
        if name in changed:
            own[name] = sha256_file(Path(changed[name]))
    return {"npu": own} if own else {}
