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
"""

from __future__ import annotations


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


_OPENCV_LIBRARIES = ("libGL.so", "libgthread", "libglib")


def explain(error: BaseException) -> str:
    """An error as one message for a person; what to install where OpenCV misses a library of the system."""
    if isinstance(error, TccError):
        return str(error)
    if isinstance(error, ImportError) and any(library in str(error) for library in _OPENCV_LIBRARIES):
        return f"OpenCV cannot be loaded ({error}); on Debian or Ubuntu: apt-get install libgl1 libglib2.0-0"
    return f"{type(error).__name__}: {error}"
