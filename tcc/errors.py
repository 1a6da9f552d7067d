"""The errors of this library; each message says what was wrong, where, and what to do.

TccError
+-- SettingsError         a setting is unknown, illegal, or contradicts another
+-- ShapeError            an array of the wrong rank or size at a public door
+-- VideoError            a video that cannot be used: unreadable, empty, too short
+-- LabelError            a label file that cannot be understood
+-- ShardError            a TFRecord that is damaged or follows another schema
+-- DownloadError         a file that no address gives, or another file in its place
+-- WeightsError          pretrained weights that are missing, damaged, or of another network
+-- CheckpointError       a checkpoint that is missing or belongs to another model
+-- ModelError            a folder of a trained model that is missing, damaged or of another version
+-- MetricUndefined       a metric that has no value for these inputs
+-- DeviceError           a device that was asked for and is not there
+-- ReplicaLost           one of several devices that trained together is gone
+-- TrainingDiverged      a loss or gradient that is not finite
+-- TargetError           a stage's target is damaged, incomplete, or in use
+-- DiskError             a disk that is full, read-only, or closed to this user
"""

from __future__ import annotations

import errno
import os
import re
from typing import Optional


class TccError(Exception):
    """Base of every error that this project raises on purpose."""


class SettingsError(TccError, ValueError):
    """A setting is unknown, illegal, or contradicts another."""


class ShapeError(TccError, ValueError):
    """An array of the wrong rank or size at a public door."""


class VideoError(TccError):
    """A video that cannot be used: unreadable, empty, too short."""


class LabelError(TccError, ValueError):
    """A label file that cannot be understood."""


class ShardError(TccError):
    """A TFRecord that is damaged or follows another schema."""


class DownloadError(TccError):
    """A file that no address gives, or another file in its place."""


class WeightsError(TccError):
    """Pretrained weights that are missing, damaged, or of another network."""


class CheckpointError(TccError):
    """A checkpoint that is missing or belongs to another model."""


class ModelError(TccError):
    """A folder of a trained model that is missing, damaged or of another version."""


class MetricUndefined(TccError):
    """A metric that has no value for these inputs; the message is the reason."""


class DeviceError(TccError):
    """A device that was asked for and is not there."""


class ReplicaLost(TccError):
    """One of several devices that trained together is gone."""


class TrainingDiverged(TccError):
    """A loss or gradient that is not finite."""


class TargetError(TccError):
    """A stage's target is damaged, incomplete, or in use."""


class DiskError(TccError):
    """A disk that is full, read-only, or closed to this user."""


_DISK = {
    errno.ENOSPC: "the disk is full; make room, or move the data folder ([execution] data) to a larger one",
    errno.EDQUOT: "this user's quota of the disk is used up; make room, or move the data folder ([execution] data)",
    errno.EROFS: "the disk is read-only; mount it for writing, or name another data folder ([execution] data)",
    errno.EACCES: "this user may not read or write it; change its owner or rights, or name another folder",
    errno.EPERM: "this user may not do that; change its owner or rights, or name another folder",
}
_OPENCV_LIBRARIES = ("libGL.so", "libgthread", "libglib")


def disk_error(error: BaseException, where: str = "") -> Optional[DiskError]:
    """What the disk refused, where that is what an error means: of Python, or of TensorFlow, which has errors of its own.

    Args: where: the folder of the work, for errors that do not name a file.
    """
    told, number = str(error), getattr(error, "errno", None)
    if type(error).__module__.startswith("tensorflow."):
        number = next((one for one in _DISK if os.strerror(one) in told), None)
        found = re.search(r"(?:^|\s)(/[^;]+);", told)
        where = found[1] if found else where
    elif not isinstance(error, OSError) or number not in _DISK:
        return None
    else:
        where = str(error.filename or where)
    return None if number is None else DiskError(f"{where}: {_DISK[number]}" if where else _DISK[number])


def config_file_error(error: Exception) -> SettingsError:
    """What is wrong with a luigi.cfg that is no configuration file, in one line."""
    told = " ".join(str(error).split())
    return SettingsError(f"luigi.cfg: cannot be read ({told}); correct it, or name another file by LUIGI_CONFIG_PATH")


def explain(error: BaseException) -> str:
    """An error as one message for a person; what to install where OpenCV misses a library of the system."""
    if isinstance(error, TccError):
        return str(error)
    of_disk = disk_error(error)
    if of_disk is not None:
        return str(of_disk)
    if isinstance(error, ImportError) and any(library in str(error) for library in _OPENCV_LIBRARIES):
        return f"OpenCV cannot be loaded ({error}); on Debian or Ubuntu: apt-get install libgl1 libglib2.0-0"
    return f"{type(error).__name__}: {error}"
