"""Opening a device and making it the default."""

import atexit
import contextlib
import os
import re
import sys
import threading

import tensorflow as tf
from tensorflow.python.eager import context, def_function
from tensorflow.python.framework import ops

from npu_device import configs
from npu_device.record import record

_opened = {}
_in_call = threading.local()
_loop_size = [int(os.environ.get("NPU_LOOP_SIZE", "1"))]


class Handle:
    """An open device."""

    def __init__(self, device_id, workers_num, worker_id):
        self.device_id, self.workers_num, self.worker_id = device_id, workers_num, worker_id

    def name(self):
        return f"/job:localhost/replica:0/task:0/device:NPU:{self.device_id}"

    def is_cluster_worker(self):
        return self.workers_num > 1 and 0 <= self.worker_id < self.workers_num

    @contextlib.contextmanager
    def scope(self):
        yield self

    def as_default(self):
        record("as_default")
        _opened["default"] = self
        _patch_tensorflow()
        return self


class _NpuContext(context.Context):
    """Another context than TensorFlow's first: what that one held is out of reach."""


def open(device_id=None):
    if device_id is None:
        device_id = int(os.environ.get("ASCEND_DEVICE_ID", "0"))
    device_id = int(device_id)
    if "handle" in _opened:
        if _opened["handle"].device_id != device_id:
            raise RuntimeError(
                f"Failed create npu instance on device {device_id} as existed instance on [{_opened['handle'].device_id}]"
            )
        return _opened["handle"]
    world, rank = _cluster()
    options = configs.global_options().as_dict()
    record("open", device_id=device_id, options=options, environment=_environment())
    _engine(device_id, options)
    context._set_context(_NpuContext())
    context.context().ensure_initialized()
    configs.is_open.append(True)
    handle = _opened["handle"] = Handle(device_id, world, rank)
    print(f"Npu device instance {handle.name()} created", file=sys.stderr)
    atexit.register(close)
    return handle


def _cluster():
    size = os.environ.get("RANK_SIZE")
    if configs.PROFILE == "2026" and size and os.environ.get("CM_WORKER_SIZE"):
        raise ValueError("RANK_SIZE and CM_WORKER_SIZE can not both be set")
    world = int(size or os.environ.get("CM_WORKER_SIZE", "1"))
    if world <= 1:
        return 1, 0
    table, chief = os.environ.get("RANK_TABLE_FILE"), os.environ.get("CM_CHIEF_IP")
    if bool(table) == bool(chief):
        raise RuntimeError("exactly one of CM_CHIEF_IP and RANK_TABLE_FILE must be set")
    if table and not os.environ.get("RANK_ID"):
        raise RuntimeError("RANK_ID must be set with RANK_TABLE_FILE")
    from hccl.manage.api import get_rank_id

    return world, get_rank_id()


def _engine(device_id, options):
    """What the graph engine checks."""
    text = os.environ.get("NPU_STAND_IN_ENGINE_ERROR")
    on = [name for name in ("enable_dump", "enable_dump_debug") if options[name] == "1"]
    path, step = options.get("dump_path"), options.get("dump_step", "")
    if len(on) == 2:
        text = "E10001: enable_dump and enable_dump_debug cannot be set to 1 at the same time"
    elif on and not path:
        text = "E10058: dump_path"
    elif on and not os.path.isdir(path):
        text = f"E10001: {path} is no directory"
    elif any(not _is_step(part) for part in step.split("|") if step) or step.count("|") > 99:
        text = f"E10001: dump_step {step}"
    if text:
        raise RuntimeError(f"Failed open npu device {device_id} : {text}")


def _is_step(part):
    match = re.fullmatch(r"(\d+)(?:-(\d+))?", part)
    return match is not None and (match[2] is None or int(match[1]) < int(match[2]))


def close():
    record("close", changed_after_open=configs.changed_after_open)


def global_npu_ctx():
    return _opened.get("default")


def set_npu_loop_size(loop_size):
    if loop_size <= 0:
        print(f"loop size {loop_size} is not valid", file=sys.stderr)
        return
    _loop_size[0] = loop_size
    record("set_npu_loop_size", size=loop_size)


def npu_compat_function(func=None, *args, **kwargs):
    for name in ("jit_compile", "experimental_compile"):
        if kwargs.get(name):
            print(f"{name} is not supported on the NPU, set to False", file=sys.stderr)
            kwargs[name] = False
    return _tensorflow_function(func, *args, **kwargs)


@contextlib.contextmanager
def npu_run_context(options=None):
    if options is not None and not isinstance(options, configs.Group):
        raise ValueError("options must be of npu_device.configs.run_context_options")
    yield


def set_device_sat_mode(mode):
    _opened["sat_mode"] = mode


def is_inf_nan_enabled():
    return _opened.get("sat_mode", 0) == 1


_tensorflow_function = def_function.function
_tensorflow_call = def_function.Function.__call__


def _call(self, *args, **kwargs):
    """A function that is called while another one is being traced or run is inlined."""
    if getattr(_in_call, "depth", 0):
        try:
            return self._python_function(*args, **kwargs)
        except Exception:
            return _tensorflow_call(self, *args, **kwargs)
    _in_call.depth = 1
    try:
        return _tensorflow_call(self, *args, **kwargs)
    finally:
        _in_call.depth = 0


def _patch_tensorflow():
    tf.function = npu_compat_function
    def_function.function = npu_compat_function
    def_function.Function.__call__ = _call
    ops.device = lambda name: contextlib.nullcontext()


def _environment():
    wanted = ("RANK", "ASCEND", "CM_", "JOB_ID", "NPU_LOOP")
    return {name: value for name, value in os.environ.items() if name.startswith(wanted)}
