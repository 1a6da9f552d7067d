"""Video files to TFRecord shards, once. No TensorFlow. A name loads its module when first used: importing is cheap."""

from __future__ import annotations

from tcc.lazy import names_of

_HOME = {
    "HashCache": "inventory",
    "hash_file": "inventory",
    "hash_image_folders": "inventory",
    "hash_videos": "inventory",
    "image_names": "inventory",
    "list_image_folders": "inventory",
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
    "read_clip_list": "clip_lists",
    "splits_from_lists": "clip_lists",
    "label_timestamps": "annotations",
    "merge_annotations": "annotations",
    "ClipInfo": "probe",
    "probe_clip": "probe",
    "probe_clips": "probe",
    "ImageReader": "image_sequences",
    "probe_image_folder": "image_sequences",
    "read_image_index": "image_sequences",
    "PENN_ACTIONS": "penn_action",
    "PennAction": "penn_action",
    "PennClip": "penn_action",
    "PennClips": "penn_action",
    "read_penn_action": "penn_action",
    "sample_frames": "decode",
    "sampling_plan": "decode",
    "ClipRecord": "shards",
    "decode_jpegs": "shards",
    "read_records": "shards",
    "write_records": "shards",
    "stored_records": "stored_frames",
    "DecodeJob": "frames",
    "FramesResult": "frames",
    "decode_clip": "frames",
    "write_frames": "frames",
    "write_shard": "merge",
}

__all__ = sorted(_HOME)
__getattr__ = names_of(__name__, _HOME)
