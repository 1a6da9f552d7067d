"""Clips whose frames stay in the shard."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tcc.errors import ShardError
from tcc.video import ClipRecord, read_records, stored_records, write_records
from tests.golden import golden_path


def clip(name, length, **about):
    frames = [bytes([index % 256]) * (1 + 40 * index) for index in range(length)]
    times = np.round(np.arange(length) / 7, 9)
    return ClipRecord(name, frames, times, np.arange(length) % 4 - 1, **about)


def shard(tmp_path, clips):
    write_records(tmp_path / "a.tfrecord", clips)
    return tmp_path / "a.tfrecord"


def assert_same(one, other):
    for field in dataclasses.fields(ClipRecord):
        a, b = getattr(one, field.name), getattr(other, field.name)
        if field.name == "frames":
            assert list(a) == list(b)
        elif isinstance(a, np.ndarray):
            np.testing.assert_array_equal(a, b)
            assert a.dtype == b.dtype
        else:
            assert a == b, field.name


def test_records_are_those_that_are_held_in_memory(tmp_path):
    clips = [
        clip(
            "a.mp4", 300, source_fps=29.97, sha256="ab", decoder="pyav", source_frames=np.arange(300), brightest=200.5
        ),
        clip("b/ü.mp4", 1, label=3, missing_frames=2),
    ]
    path = shard(tmp_path, clips)
    read, stored = list(read_records(path, expected=2)), list(stored_records(path, expected=2))
    assert len(stored) == 2
    for one, other in zip(read, stored):
        assert_same(one, other)


def test_shards_of_the_reference_are_read_too():
    path = golden_path("tiny_train-0-of-1.tfrecord")
    for one, other in zip(read_records(path, expected=3), stored_records(path, expected=3)):
        assert_same(one, other)


def test_frames_are_a_sequence_that_any_thread_may_read(tmp_path):
    path = shard(tmp_path, [clip("a", 120)])
    (record,) = stored_records(path)
    frames = clip("a", 120).frames
    assert len(record.frames) == 120 and record.frames[-1] == frames[-1] and record.frames[np.int64(3)] == frames[3]
    assert record.frames[5:9] == frames[5:9] and record.frames[118:400] == frames[118:]
    with pytest.raises(IndexError):
        record.frames[120]
    path.unlink()  # the file stays open as long as it is needed
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(record.frames.__getitem__, list(range(120)) * 5)) == frames * 5


def test_no_frame_is_read_before_it_is_asked_for(tmp_path, monkeypatch):
    (record,) = stored_records(shard(tmp_path, [clip("a", 50)]))
    reads = []
    monkeypatch.setattr("os.pread", lambda descriptor, length, start: reads.append(length) or b"x" * length)
    assert record.frames[2] == b"x" * 81 and reads == [81]


def test_damage_is_found_before_anything_is_read(tmp_path):
    path = shard(tmp_path, [clip("a", 5), clip("b", 50)])
    whole = path.read_bytes()
    for place, problem in (
        (len(whole) - 9, "record 1 has a wrong checksum of its content"),
        (30, "record 0 has a wrong"),
    ):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(ShardError, match=problem):
            list(stored_records(path))
    path.write_bytes(whole[:-20])
    with pytest.raises(ShardError, match="record 1 is cut off"):
        list(stored_records(path))
    path.write_bytes(whole)
    with pytest.raises(ShardError, match="holds 2 records, expected 3"):
        list(stored_records(path, expected=3))
    with pytest.raises(ShardError, match="cannot be read"):
        list(stored_records(tmp_path / "gone"))


def test_records_of_another_schema_are_refused(tmp_path):
    from tcc.video.tfrecord import write_record

    for payload in (b"\x0a\x00", b"\xff\xff\xff", b"\x0a\x7f\x00"):
        with open(tmp_path / "other", "wb") as file:
            write_record(file, len(payload), [payload])
        with pytest.raises(ShardError, match="record 0 is not a clip in the reference's schema"):
            list(stored_records(tmp_path / "other"))


def test_a_file_that_becomes_shorter_is_told(tmp_path):
    path = shard(tmp_path, [clip("a", 50)])
    (record,) = stored_records(path)
    with open(path, "r+b") as file:
        file.truncate(100)
    with pytest.raises(ShardError, match="has become shorter while it was read"):
        record.frames[49]
