"""Shards that somebody else wrote: found by name, checked, split, and written again without touching a frame."""

from __future__ import annotations

import numpy as np
import pytest
import simplejpeg

from tcc.errors import LabelError, ShardError
from tcc.video.ready_made import ShardFile, find_shards, list_clips, phase_names, shards_by_name, splits_of, write_again
from tcc.video.shards import ClipRecord, read_records, write_records
from tests.golden import golden_path

FRAMES = tuple(simplejpeg.encode_jpeg(np.full((8, 8, 3), level, np.uint8)) for level in (0, 100, 200))


def record(name, labels=(0, 0, 1), frames=FRAMES):
    return ClipRecord(name, list(frames), np.arange(len(frames)) / 1.0, np.array(labels, np.int64))


def write_set(folder, suffix="tfrecord"):
    folder.mkdir(exist_ok=True)
    write_records(folder / f"pouring_train-0-of-2.{suffix}", [record(f"t{i}") for i in range(10)])
    write_records(folder / f"pouring_train-1-of-2.{suffix}", [record(f"u{i}") for i in range(10)])
    write_records(folder / f"pouring_val-0-of-1.{suffix}", [record("v0", labels=(-1, 4, 2)), record("v1")])
    return folder


@pytest.mark.parametrize("suffix", ["tfrecord", "tfrecords"])
def test_shards_are_found_in_the_names_of_the_reference_and_of_the_ascend_port(tmp_path, suffix):
    folder = write_set(tmp_path / "pouring_tfrecords", suffix)
    (folder / "resnet50v2_weights_tf_dim_ordering_tf_kernels_notop.h5").write_bytes(b"weights lie beside")
    assert find_shards(folder) == [
        ShardFile(f"pouring_train-0-of-2.{suffix}", "train"),
        ShardFile(f"pouring_train-1-of-2.{suffix}", "train"),
        ShardFile(f"pouring_val-0-of-1.{suffix}", "val"),
    ]


def test_our_own_shards_are_found_in_the_right_order():
    names = [f"train-{index:05d}-of-00012.tfrecord" for index in range(12)]
    assert [shard.name for shard in shards_by_name(sorted(names, reverse=True), "here")] == names


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "here: holds no shard; expected names such as pouring_train-0-of-2.tfrecord"),
        (["a_train-0-of-1.tfrecord", "b_val-0-of-1.tfrecord"], r"shards of several sets \(a, b\); keep one set"),
        (["a_train-0-of-3.tfrecord", "a_train-2-of-3.tfrecord"], r"of 3 train shards number \[1\] is missing"),
        (["a_train-0-of-1.tfrecord", "a_train-0-of-2.tfrecord"], "train shards disagree on how many there are"),
        (["a_val-0-of-1.tfrecord"], "holds no training shard"),
        (["a_train-0-of-1.tfrecord", "a_train-00000-of-00001.tfrecords"], "are the same shard; remove one of them"),
        (["a_train-0-of-1.tfrecord", "a_train-1-of-1.tfrecord"], "a_train-1-of-1.tfrecord is beyond the 1 shards"),
    ],
)
def test_a_folder_that_is_no_whole_set_is_refused(names, message):
    with pytest.raises(ShardError, match=message):
        shards_by_name(names, "here")


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(ShardError, match=r"gone: no such folder of TFRecords; set \[videos\] path"):
        find_shards(tmp_path / "gone")


def test_clips_are_listed_with_what_their_labels_tell(tmp_path):
    folder = write_set(tmp_path / "set")
    clips = {clip["clip"]: clip for clip in list_clips(folder, find_shards(folder))}
    assert len(clips) == 22
    assert clips["v0"] == {
        "clip": "v0",
        "split": "val",
        "shard": "pouring_val-0-of-1.tfrecord",
        "num_frames": 3,
        "labelled_frames": 2,
        "labels": [2, 4],
    }
    assert phase_names(list(clips.values()), ()) == ["0", "1", "2", "3", "4"]
    assert phase_names(list(clips.values()), ["a", "b", "c", "d", "e"]) == ["a", "b", "c", "d", "e"]
    with pytest.raises(LabelError, match=r"\[videos\] phases names 2 phases, the shards have 5; name them all or none"):
        phase_names(list(clips.values()), ["a", "b"])


def test_a_damaged_record_or_a_repeated_name_is_refused(tmp_path):
    folder = write_set(tmp_path / "set")
    write_records(folder / "pouring_val-0-of-1.tfrecord", [record("t3")])
    with pytest.raises(ShardError, match=r"pouring_val-0-of-1.tfrecord: clip 't3' is also in pouring_train-0-of-2"):
        list_clips(folder, find_shards(folder))
    shard = folder / "pouring_train-1-of-2.tfrecord"
    data = bytearray(shard.read_bytes())
    data[-30] ^= 1
    shard.write_bytes(bytes(data))
    with pytest.raises(ShardError, match=r"pouring_train-1-of-2.tfrecord: record 9 has a wrong checksum"):
        list_clips(folder, find_shards(folder))


def test_without_a_test_split_val_is_for_testing_and_training_clips_are_held_out(tmp_path):
    folder = write_set(tmp_path / "set")
    clips = list_clips(folder, find_shards(folder))
    splits = splits_of(clips, seed=0, train_fraction=0.6, val_fraction=0.2)
    assert {name for name, split in splits.items() if split == "test"} == {"v0", "v1"}
    held_out = [name for name, split in splits.items() if split == "val"]
    assert 1 <= len(held_out) <= 10 and not set(held_out) & {"v0", "v1"}
    assert splits == splits_of(clips, seed=0, train_fraction=0.6, val_fraction=0.2)
    assert splits != splits_of(clips, seed=1, train_fraction=0.6, val_fraction=0.2)


def test_three_splits_are_kept_and_two_are_completed():
    rows = [{"clip": f"{split}{i}", "split": split} for split in ("train", "val", "test") for i in range(10)]
    kept = splits_of(rows, seed=0, train_fraction=0.6, val_fraction=0.2)
    assert all(name.startswith(split) for name, split in kept.items())
    completed = splits_of([row for row in rows if row["split"] != "val"], seed=0, train_fraction=0.5, val_fraction=0.5)
    assert {split for name, split in completed.items() if name.startswith("train")} == {"train", "val"}
    assert {split for name, split in completed.items() if name.startswith("test")} == {"test"}


def test_frames_are_copied_and_times_are_completed(tmp_path):
    folder = write_set(tmp_path / "set")
    clips = [clip for clip in list_clips(folder, find_shards(folder)) if clip["clip"] in ("u3", "t1", "v0")]
    index = write_again(tmp_path / "again.tfrecord", folder, clips, fps_if_unknown=30.0)
    assert [row["clip"] for row in index] == ["t1", "u3", "v0"]
    again = list(read_records(tmp_path / "again.tfrecord"))
    assert [clip.name for clip in again] == ["t1", "u3", "v0"]
    assert all(clip.frames == list(FRAMES) for clip in again)
    np.testing.assert_array_equal(again[2].frame_labels, [-1, 4, 2])


def test_the_references_own_shard_goes_in(tmp_path):
    golden = golden_path("tiny_train-0-of-1.tfrecord")
    (tmp_path / golden.name).write_bytes(golden.read_bytes())
    clips = list_clips(tmp_path, find_shards(tmp_path))
    write_again(tmp_path / "again.tfrecord", tmp_path, clips, fps_if_unknown=15.0)
    expected = np.load(golden_path("tiny_train.npz"))
    written = list(read_records(tmp_path / "again.tfrecord"))
    assert len(written) == 3
    for number, clip in enumerate(written):
        np.testing.assert_array_equal(clip.frame_labels, expected[f"{number}_frame_labels"])
        assert clip.frames[0] == expected[f"{number}_jpeg_first"].tobytes()
        np.testing.assert_allclose(clip.timestamps, np.arange(len(clip)) / 15.0, atol=1e-9)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (record("x", labels=(), frames=()), "clip 'x' has no frames"),
        (record("x", labels=(0, -5, 0)), "clip 'x' has the label -5; phases count from 0, -1 is none"),
        (record("x", frames=(b"no jpeg", *FRAMES[1:])), "clip 'x': frame 0 is no JPEG"),
    ],
)
def test_a_clip_that_no_later_stage_could_use_is_refused(tmp_path, broken, message):
    write_records(tmp_path / "p_train-0-of-1.tfrecord", [broken])
    with pytest.raises(ShardError, match=message):
        list_clips(tmp_path, find_shards(tmp_path))
