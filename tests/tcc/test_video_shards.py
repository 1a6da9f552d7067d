"""TFRecords of clips: the reference's schema, exact round trips, damage that is noticed."""

from __future__ import annotations

import dataclasses
import json
import struct

import google_crc32c
import numpy as np
import pytest
import simplejpeg

from tcc.errors import ShapeError, ShardError, VideoError
from tcc.video import ClipRecord, decode_jpegs, read_records, write_records
from tcc.video import sequence_example as proto
from tcc.video import shards as shards_module
from tcc.video.shards import ClipWriter
from tcc.video.tfrecord import masked, read_payloads, write_record
from tests.golden import golden_path


def jpeg(seed, height=8, width=12):
    image = np.random.default_rng([seed, height]).integers(0, 256, (height, width, 3)).astype(np.uint8)
    return simplejpeg.encode_jpeg(image, quality=90)


def record(name="sub/ä 'x'\n.mp4", count=3, **more):
    return ClipRecord(
        name,
        [jpeg(seed) for seed in range(count)],
        np.round(np.arange(count) * 1001 / 30000, 9),
        np.array([-1, 0, 4000][:count]),
        **{
            "label": 7,
            "source_fps": 29.97,
            "sha256": "ab" * 32,
            "decoder": "opencv",
            "source_frames": np.array([0, 3, 100000][:count]),
            "brightest": 231.07,
            **more,
        },
    )


def same(a, b):
    for field in dataclasses.fields(ClipRecord):
        left, right = getattr(a, field.name), getattr(b, field.name)
        assert np.array_equal(left, right) if isinstance(left, np.ndarray) else left == right, field.name
    return True


def test_what_is_written_is_read_back_exactly(tmp_path):
    records = [
        record(),
        record("b.mp4", 1, label=-1, source_fps=0.0, sha256="", decoder="", source_frames=None, brightest=None),
        record("\udcff.mp4", 2),
    ]
    index = write_records(tmp_path / "a.tfrecord", records)
    read = list(read_records(tmp_path / "a.tfrecord", expected=3))
    assert all(same(a, b) for a, b in zip(records, read)) and len(read) == 3
    assert read[0].timestamps.dtype == np.float64 and read[0].frame_labels.dtype == np.int64
    assert [(row["clip"], row["num_frames"], row["labelled_frames"]) for row in index] == [
        (records[0].name, 3, 2),
        ("b.mp4", 1, 0),
        ("\udcff.mp4", 2, 1),
    ]
    size = (tmp_path / "a.tfrecord").stat().st_size
    assert [row["offset"] for row in index[1:]] + [size] == [row["offset"] + row["bytes"] for row in index]


def test_the_same_clips_give_the_same_bytes_and_no_half_file(tmp_path):
    write_records(tmp_path / "a", [record()])
    write_records(tmp_path / "b", [record()])
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()

    def broken():
        yield record()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_records(tmp_path / "c", broken())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_any_time_survives_to_the_nanosecond():
    times = np.round(np.random.default_rng([0, 6]).uniform(0, 36000, 2000), 9)
    stored = np.round(times * 1e9).astype(np.int64)
    features, _ = proto.parse(proto.context({"t": proto.int64_feature(stored)}))
    assert np.array_equal(np.array(features["t"]) / 1e9, times)


def test_the_references_shard_is_reproduced():
    expected = json.loads(golden_path("tiny_train.json").read_text())
    arrays = np.load(golden_path("tiny_train.npz"))
    records = list(read_records(golden_path("tiny_train-0-of-1.tfrecord"), expected=3))
    for number, (read, about) in enumerate(zip(records, expected)):
        assert (read.name, len(read), read.label) == (about["name"], about["len"], about["label"])
        assert [len(frame) for frame in read.frames] == about["jpeg_sizes"]
        assert read.frames[0] == arrays[f"{number}_jpeg_first"].tobytes()
        np.testing.assert_array_equal(read.frame_labels, arrays[f"{number}_frame_labels"])
        np.testing.assert_array_equal(read.timestamps, np.arange(len(read)))
        assert (read.source_fps, read.sha256, read.decoder) == (0.0, "", "")
        assert (read.source_frames, read.brightest, read.black) == (None, None, False)
        np.testing.assert_array_equal(decode_jpegs(read.frames), arrays[f"{number}_frames"])


def test_times_of_the_references_shards_come_from_the_reader():
    first = next(read_records(golden_path("tiny_train-0-of-1.tfrecord"), fps_if_unknown=30.0))
    np.testing.assert_allclose(first.timestamps, np.arange(9) / 30)


def test_tensorflow_reads_what_we_write(tmp_path):
    tf = pytest.importorskip("tensorflow")
    ours = [record(), record("b.mp4", 1)]
    write_records(tmp_path / "a.tfrecord", ours)
    context = {
        "name": tf.io.FixedLenFeature([], tf.string),
        "len": tf.io.FixedLenFeature([], tf.int64),
        "label": tf.io.FixedLenFeature([], tf.int64),
        "timestamps_ns": tf.io.VarLenFeature(tf.int64),
        "source_fps": tf.io.FixedLenFeature([], tf.float32),
        "source_frames": tf.io.VarLenFeature(tf.int64),
        "brightest": tf.io.FixedLenFeature([], tf.float32),
    }
    lists = {
        "video": tf.io.FixedLenSequenceFeature([], tf.string),
        "frame_labels": tf.io.FixedLenSequenceFeature([], tf.int64),
    }
    serialized = list(tf.data.TFRecordDataset(str(tmp_path / "a.tfrecord")))
    assert len(serialized) == 2
    for payload, written in zip(serialized, ours):
        about, series = tf.io.parse_single_sequence_example(payload, context, lists)
        assert about["name"].numpy() == written.name.encode()
        assert (int(about["len"]), int(about["label"])) == (len(written), 7)
        assert float(about["source_fps"]) == np.float32(29.97)
        assert about["source_frames"].values.numpy().tolist() == written.source_frames.tolist()
        assert float(about["brightest"]) == np.float32(231.07)
        np.testing.assert_array_equal(about["timestamps_ns"].values.numpy() / 1e9, written.timestamps)
        assert list(series["video"].numpy()) == written.frames
        np.testing.assert_array_equal(series["frame_labels"].numpy(), written.frame_labels)


def test_our_bytes_are_protobufs_own(tmp_path):
    tf = pytest.importorskip("tensorflow")
    write_records(tmp_path / "a.tfrecord", [record()])
    ours = next(read_payloads(tmp_path / "a.tfrecord"))
    message = tf.train.SequenceExample.FromString(ours)
    assert message.SerializeToString(deterministic=True) == ours


def test_we_read_what_tensorflow_writes(tmp_path):
    """Without label, frame labels or our features; numbers unpacked; fields we do not know."""
    tf = pytest.importorskip("tensorflow")
    message = tf.train.SequenceExample()
    message.context.feature["name"].bytes_list.value.append(b"x")
    message.context.feature["len"].int64_list.value.append(2)
    message.context.feature["extra"].float_list.value.extend([1.5, -2.0])
    message.context.feature["empty"].SetInParent()
    message.feature_lists.feature_list["other"].feature.add().int64_list.value.append(-5)
    for seed in (1, 2):
        message.feature_lists.feature_list["video"].feature.add().bytes_list.value.append(jpeg(seed))
    unknown = b"\x18\x05\x21" + bytes(8) + b"\x2d" + bytes(4)
    with tf.io.TFRecordWriter(str(tmp_path / "a")) as writer:
        writer.write(message.SerializeToString() + unknown)
    read = next(read_records(tmp_path / "a"))
    assert (read.name, read.frames, read.label) == ("x", [jpeg(1), jpeg(2)], -1)
    np.testing.assert_array_equal(read.frame_labels, [-1, -1])
    features, lists = proto.parse(message.SerializeToString())
    assert features["extra"] == [1.5, -2.0] and lists["other"] == [[-5]]
    unpacked = proto.field(3, b"\x08\x05\x08" + proto.varint(-1 & (1 << 64) - 1))
    assert proto.parse_context(proto.map_entry("k", unpacked)) == {"k": [5, -1]}
    single = proto.field(2, b"\x0d" + struct.pack("<f", 0.5))
    assert proto.parse_context(proto.map_entry("k", single)) == {"k": [0.5]}


def test_damage_is_noticed_with_file_and_record(tmp_path):
    path = tmp_path / "a.tfrecord"
    index = write_records(path, [record(), record("b.mp4", 2)])
    whole, second = path.read_bytes(), index[1]["offset"]
    for position, message in (
        (second + 3, "record 1 has a wrong checksum of its length"),
        (second + 9, "record 1 has a wrong checksum of its length"),
        (second + 200, "record 1 has a wrong checksum of its content"),
        (len(whole) - 1, "record 1 has a wrong checksum of its content"),
        (40, "record 0 has a wrong checksum of its content"),
    ):
        damaged = bytearray(whole)
        damaged[position] ^= 1
        path.write_bytes(bytes(damaged))
        with pytest.raises(ShardError, match=rf"a\.tfrecord: {message}; get the file again; if it is a target's"):
            list(read_records(path))
    for length in (second + 5, second + 100, len(whole) - 2):
        path.write_bytes(whole[:length])
        with pytest.raises(ShardError, match=r"a\.tfrecord: record 1 is cut off"):
            list(read_records(path))


def test_a_file_cut_between_records_is_noticed_by_its_count(tmp_path):
    path = tmp_path / "a.tfrecord"
    index = write_records(path, [record(), record("b.mp4", 2)])
    path.write_bytes(path.read_bytes()[: index[1]["offset"]])
    assert len(list(read_records(path))) == 1
    with pytest.raises(ShardError, match="holds 1 records, expected 2; delete it and run its stage again"):
        list(read_records(path, expected=2))
    with pytest.raises(
        ShardError, match=r"gone: cannot be read \(No such file or directory\); correct the path, or run"
    ):
        list(read_records(tmp_path / "gone"))


@pytest.mark.parametrize(
    ("payload", "problem"),
    [
        (b"\x0b", "unknown wire type 3"),
        (b"\x0a\x05a", "a field is longer than its message"),
        (b"\x0a" + b"\xff" * 11, "a varint is too long"),
        (b"", "video"),
        (proto.field(2, proto.map_entry("video", proto.field(1, proto.bytes_feature([b"x"])))), "no feature name"),
        (
            proto.context({"name": proto.bytes_feature([b"x"]), "len": proto.int64_feature([2])})
            + proto.field(2, proto.map_entry("video", proto.field(1, proto.bytes_feature([b"x"])))),
            "len is 2, but there are 1 frames",
        ),
    ],
)
def test_another_schema_is_refused(tmp_path, payload, problem):
    with open(tmp_path / "a", "wb") as file:
        write_record(file, len(payload), [payload])
    with pytest.raises(ShardError, match=rf"a: record 0 is not a clip in the reference's schema \(.*{problem}"):
        list(read_records(tmp_path / "a"))


def test_a_record_that_is_not_as_long_as_announced_is_refused(tmp_path):
    with (
        open(tmp_path / "a", "wb") as file,
        pytest.raises(ShardError, match="a record of 5 bytes was given 4; nothing"),
    ):
        write_record(file, 5, [b"ab", b"cd"])


def test_lengths_must_agree_and_a_clip_must_fit_into_a_record(tmp_path, monkeypatch):
    with pytest.raises(ShapeError, match=r"clip a: frames, timestamps and frame_labels differ in length: \(1, 2, 1\)"):
        ClipRecord("a", [b""], np.zeros(2), np.zeros(1))
    with pytest.raises(ShapeError, match="clip a: source_frames has 2 entries for 1 frames"):
        ClipRecord("a", [b""], np.zeros(1), np.zeros(1), source_frames=np.zeros(2))
    monkeypatch.setattr(shards_module, "MAX_RECORD_BYTES", 1000)
    with pytest.raises(VideoError, match=r"3 frames take \d+ bytes, a record holds 1000; lower fps, image_pixels or"):
        write_records(tmp_path / "a", [record()])


def test_checksums_are_those_of_the_format():
    """CRC-32C of "123456789" is 0xE3069283 (RFC 3720, and any table of CRCs)."""
    assert google_crc32c.value(b"123456789") == 0xE3069283
    assert masked(0xE3069283) == ((0xE3069283 >> 15) | (0xE3069283 << 17) & 0xFFFFFFFF) + 0xA282EAD8 & 0xFFFFFFFF
    assert masked(0) == 0xA282EAD8


def test_images_are_decoded_as_rgb():
    image = np.zeros((16, 16, 3), np.uint8)
    image[..., 0] = 200
    frames = decode_jpegs([simplejpeg.encode_jpeg(image, quality=95)] * 2)
    assert frames.shape == (2, 16, 16, 3) and frames.dtype == np.uint8
    assert np.abs(frames.astype(int) - image).max() <= 3
    gray = simplejpeg.encode_jpeg(image[..., :1].copy(), quality=95, colorspace="GRAY")
    assert decode_jpegs([gray]).shape == (1, 16, 16, 3)


def test_images_that_cannot_be_decoded_are_named():
    with pytest.raises(ShardError, match="no frames to decode; a clip has at least one"):
        decode_jpegs([])
    with pytest.raises(ShardError, match="frame 1 has 12x9 pixels, expected 12x8 as the first; write the shard again"):
        decode_jpegs([jpeg(0), jpeg(0, height=9)])
    with pytest.raises(ShardError, match=r"frame 1 is no JPEG \(.*\); write the shard again"):
        decode_jpegs([jpeg(0), b"not a jpeg"])
    good = jpeg(0)
    with pytest.raises(ShardError, match=r"frame 0 is no JPEG \(.*\); write the shard again"):
        decode_jpegs([good[: good.index(b"\xff\xda")]])


@pytest.mark.parametrize("spool", [1, 1 << 20])
def test_a_clip_written_frame_by_frame_is_the_same_record(tmp_path, monkeypatch, spool):
    monkeypatch.setattr(shards_module, "_SPOOL_BYTES", spool)
    monkeypatch.setattr("tcc.video.tfrecord.BLOCK_BYTES", 100)
    whole = dataclasses.replace(record(), frame_labels=np.full(3, -1), label=-1)
    about = {"name": whole.name, "source_fps": whole.source_fps, "sha256": whole.sha256, "decoder": whole.decoder}
    with ClipWriter(tmp_path / "a", **about) as writer:
        for seconds, frame, number, level in zip(whole.timestamps, whole.frames, whole.source_frames, (3, 231.0712, 9)):
            writer.add(float(seconds), frame, source_frame=int(number), brightness=level)
    (read,) = read_records(tmp_path / "a")
    assert same(read, whole)
    with pytest.raises(KeyboardInterrupt), ClipWriter(tmp_path / "b", **about) as writer:
        writer.add(0.0, whole.frames[0])
        raise KeyboardInterrupt
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    with ClipWriter(tmp_path / "a", **about) as writer:
        writer.add(0.0, whole.frames[0])
    (read,) = read_records(tmp_path / "a")
    assert (read.source_frames, read.brightest) == (None, None)


@pytest.mark.parametrize(("brightest", "black"), [(0.0, True), (7.99, True), (8.0, False), (None, False)])
def test_a_clip_whose_brightest_frame_is_dark_is_black(brightest, black):
    assert record(brightest=brightest).black is black
