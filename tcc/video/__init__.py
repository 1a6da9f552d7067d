"""Video files to TFRecord shards, once. No TensorFlow. A name loads its module when first used: importing is cheap."""

from __future__ import annotations

import importlib
from typing import Any

_HOME = {
    "HashCache": "inventory",
    "hash_file": "inventory",
    "hash_videos": "inventory",
    "list_videos": "inventory",
    "split_of": "inventory",
    "stable_bucket": "inventory",
    "FramePhases": "clip_labels",
    "Labels": "clip_labels",
    "Segment": "clip_labels",
    "frame_labels": "clip_labels",
    "check_durations": "label_checks",
    "label_warnings": "label_checks",
    "Splits": "labels",
    "check_groups": "labels",
    "read_labels": "labels",
    "read_splits": "labels",
    "label_timestamps": "annotations",
    "merge_annotations": "annotations",
    "ClipInfo": "probe",
    "probe_clip": "probe",
    "probe_clips": "probe",
    "sample_frames": "decode",
    "sampling_plan": "decode",
    "Outcome": "isolation",
    "heartbeat": "isolation",
    "run_isolated": "isolation",
    "ClipRecord": "shards",
    "decode_jpegs": "shards",
    "read_records": "shards",
    "write_records": "shards",
    "DecodeJob": "frames",
    "FramesResult": "frames",
    "decode_clip": "frames",
    "write_frames": "frames",
    "write_shard": "merge",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
