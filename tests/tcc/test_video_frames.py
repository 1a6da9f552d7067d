"""Folders of videos to files of frames to shards: resumption, failures that cost one clip, exact copies."""

from __future__ import annotations

import dataclasses
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import simplejpeg

from tcc.config import FramesConfig
from tcc.errors import LabelError, ShardError, VideoError
from tcc.isolation import HUNG_ADVICE
from tcc.video import (
    ClipInfo,
    DecodeJob,
    Labels,
    Segment,
    decode_clip,
    decode_jpegs,
    hash_file,
    list_videos,
    probe_clip,
    probe_image_folder,
    read_records,
    write_frames,
    write_records,
    write_shard,
)
from tcc.video.clip_labels import FramePhases
from tcc.video.merge import FramesFile, check_frames_file
from tcc.video.pictures import BgrPicture
from tcc.video.readers import OpenCVReader, PyAVReader
from tests.tcc.video_samples import number_of, picture, times_at, wipe_packets, write_video
from tests.tcc.video_workers import decode_badly

ROOT = Path(__file__).resolve().parents[2]
CONFIG = FramesConfig(fps=10.0, image_pixels=64, jpeg_quality=90)


def clips_of(folder):
    return [
        dataclasses.replace(probe_clip(folder / name), name=name, sha256=hash_file(folder / name))
        for name in list_videos(folder)
    ]


def make(folder, names, seconds=1.0):
    for name in names:
        write_video(folder / name, times_at(30, int(30 * seconds)))
    return clips_of(folder)


def write(clips, source, directory, **more):
    options = {"min_frames": 2, "workers": 2, "timeout_seconds": 60.0, **more}
    return write_frames(clips, source, directory, CONFIG, **options)


def test_every_clip_becomes_one_file_of_frames(tmp_path):
    names = ["a b/'c'.mp4", "a_b/_c_.mp4", "caf\udce9.mp4", "über\nalles.mp4"]
    clips = make(tmp_path / "in", names)
    reports = []
    result = write(clips, tmp_path / "in", tmp_path / "out", progress=lambda f, s: reports.append((f, s)))
    assert (result.counts, result.skipped) == ({"in": 4, "out": 4, "skipped": 0}, [])
    assert [row["clip"] for row in result.clips] == names
    for row, clip in zip(result.clips, clips):
        (record,) = read_records(tmp_path / "out" / row["file"])
        assert (record.name, record.sha256, record.decoder, record.source_fps) == (
            clip.name,
            clip.sha256,
            "opencv",
            30.0,
        )
        assert (row["num_frames"], row["last_seconds"], row["sha256"]) == (10, 0.9, clip.sha256)
        assert row["bytes"] == (tmp_path / "out" / row["file"]).stat().st_size
        images = decode_jpegs(record.frames)
        assert images.shape == (10, 64, 64, 3)
        assert [number_of(image) for image in images] == list(range(0, 30, 3))
        red, _, blue = images[0][5, -5].astype(int)
        assert red > blue + 100
    assert reports[0] == (0.0, "0 of 4 clips decoded") and reports[-1] == (1.0, "4 of 4 clips decoded")


def test_every_file_is_on_disk_when_its_stage_ends_also_one_of_an_earlier_run(tmp_path, monkeypatch):
    """What counts on a file, such as a manifest, is written after that."""
    synced = []
    monkeypatch.setattr("tcc.video.frames.sync_file", synced.append)
    clips = make(tmp_path / "in", ["a.mp4", "b.mp4"])
    for _ in range(2):
        result = write(clips, tmp_path / "in", tmp_path / "out")
        assert {path.name for path in synced} == {Path(row["file"]).name for row in result.clips}
        assert all(path.exists() for path in synced) and len(synced) == 2
        synced.clear()


def test_a_clip_that_cannot_be_used_is_skipped_with_its_reason(tmp_path):
    make(tmp_path / "in", ["a.mp4"])
    write_video(tmp_path / "in/short.mp4", times_at(30, 3))
    (tmp_path / "in/text.mp4").write_text("text")
    clips = clips_of(tmp_path / "in")
    lying = dataclasses.replace(clips[-1], name="text.mp4", problem="")
    result = write([*clips, dataclasses.replace(lying, name="gone.mp4")], tmp_path / "in", tmp_path / "out")
    assert result.counts == {"in": 4, "out": 1, "skipped": 3}
    assert result.skipped == [
        {"clip": "short.mp4", "reason": "too short: 1 frames at 10 fps, needs 2"},
        {"clip": "text.mp4", "reason": "cannot be read as a video (Invalid data found when processing input)"},
        {"clip": "gone.mp4", "reason": "cannot be read as a video (No such file or directory)"},
    ]
    assert write([], tmp_path / "in", tmp_path / "none").counts == {"in": 0, "out": 0, "skipped": 0}


def test_a_crash_and_a_hang_cost_their_clip_and_the_hang_is_tried_again_by_the_next_run(tmp_path):
    clips = make(tmp_path / "in", ["a.mp4", "crash.mp4", "hang.mp4", "z.mp4"])
    result = write(clips, tmp_path / "in", tmp_path / "out", decode=decode_badly, timeout_seconds=3.0)
    assert [row["clip"] for row in result.clips] == ["a.mp4", "z.mp4"]
    assert result.skipped == [
        {"clip": "crash.mp4", "reason": "decoder_crashed: signal SIGSEGV"},
        {"clip": "hang.mp4", "reason": "decoder_hung: no progress for 3 s" + HUNG_ADVICE},
    ]
    again = write(clips, tmp_path / "in", tmp_path / "out", decode=decode_badly, timeout_seconds=3.0)
    assert again == result
    attempts = {path.name.split(".")[0]: path.read_text() for path in (tmp_path / "in").glob("*.attempts")}
    assert attempts == {"a": "x", "crash": "x", "hang": "xx", "z": "x"}
    healed = write(clips, tmp_path / "in", tmp_path / "out")
    assert [row["clip"] for row in healed.clips] == ["a.mp4", "hang.mp4", "z.mp4"]
    assert [one["clip"] for one in healed.skipped] == ["crash.mp4"]
    assert not list((tmp_path / "out").rglob("hang*.failed.json"))


def test_frames_that_cannot_be_decoded_are_counted_also_when_the_file_is_there_already(tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("a.avi", "b.avi"):
        write_video(tmp_path / "in" / name, times_at(30, 240), codec="mjpeg", constant_rate=True)
    wipe_packets(tmp_path / "in/b.avi", (100, 101))
    clips = clips_of(tmp_path / "in")
    result = write(clips, tmp_path / "in", tmp_path / "out")
    assert [(row["missing_frames"], row["decoder"]) for row in result.clips] == [(0, "pyav"), (2, "pyav")]
    assert write(clips, tmp_path / "in", tmp_path / "out") == result
    by_opencv = [dataclasses.replace(clip, decoder="opencv") for clip in clips]
    other = write(by_opencv, tmp_path / "in", tmp_path / "other")
    assert [(row["missing_frames"], row["decoder"]) for row in other.clips] == [(0, "opencv"), (2, "pyav")]


@pytest.mark.parametrize("name", ["away.mp4", "replaced.mp4"])
def test_a_video_that_goes_away_or_changes_meanwhile_is_not_taken_for_a_bad_one(tmp_path, name):
    """Its folder may have been unmounted for a moment: nothing is remembered, and the next run goes on."""
    clips = make(tmp_path / "in", ["a.mp4", name])
    with pytest.raises(VideoError, match=rf"{name}: went away or changed while it was decoded; run again when it is"):
        write(clips, tmp_path / "in", tmp_path / "out", decode=decode_badly)
    assert not list((tmp_path / "out").rglob("*.failed.json"))
    assert not list((tmp_path / "out").rglob(f"{name}-*"))
    for moved in (tmp_path / "in").glob("*.elsewhere"):
        moved.rename(moved.with_suffix(""))
    assert [row["clip"] for row in write(clips, tmp_path / "in", tmp_path / "out").clips] == ["a.mp4", name]


def test_a_resumed_run_keeps_what_is_whole_and_redoes_what_is_not(tmp_path):
    clips = make(tmp_path / "in", ["a.mp4", "b.mp4", "c.mp4", "d.mp4"])
    result = write(clips, tmp_path / "in", tmp_path / "out", decode=decode_badly)
    files = {row["clip"]: tmp_path / "out" / row["file"] for row in result.clips}
    content = {name: path.read_bytes() for name, path in files.items()}
    files["a.mp4"].unlink()
    damaged = bytearray(content["b.mp4"])
    damaged[500] ^= 1
    files["b.mp4"].write_bytes(bytes(damaged))
    (files["c.mp4"].parent / "left.tfrecord.123.part").write_bytes(b"half")
    replaced = dataclasses.replace(clips[3], sha256="0" * 64)
    again = write([*clips[:3], replaced], tmp_path / "in", tmp_path / "out", decode=decode_badly)
    attempts = {path.name[0]: path.read_text() for path in (tmp_path / "in").glob("*.attempts")}
    assert attempts == {"a": "xx", "b": "xx", "c": "x", "d": "xx"}
    assert again.clips[:3] == result.clips[:3] and again.clips[3]["sha256"] == "0" * 64
    assert [files[name].read_bytes() == content[name] for name in ("a.mp4", "b.mp4", "c.mp4")] == [True] * 3
    assert not list((tmp_path / "out").rglob("*.part"))


def test_a_failure_of_an_older_version_of_the_clip_is_forgotten(tmp_path):
    (clip,) = make(tmp_path / "in", ["crash.mp4"])
    write([clip], tmp_path / "in", tmp_path / "out", decode=decode_badly)
    replaced = dataclasses.replace(clip, sha256="0" * 64)
    assert write([replaced], tmp_path / "in", tmp_path / "out").counts["out"] == 1


def test_a_run_killed_anywhere_ends_with_the_same_files(tmp_path):
    clips = make(tmp_path / "in", [f"{i}.mp4" for i in range(6)], seconds=4)
    expected = write(clips, tmp_path / "in", tmp_path / "undisturbed")
    code = (
        "import sys; from tests.tcc.test_video_frames import clips_of, write; from pathlib import Path; "
        f"write(clips_of(Path({str(tmp_path / 'in')!r})), {str(tmp_path / 'in')!r}, {str(tmp_path / 'out')!r})"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    end = time.monotonic() + 60
    while not list((tmp_path / "out").glob("clips/*.tfrecord")) and process.poll() is None and time.monotonic() < end:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert list((tmp_path / "out").glob("clips/*.tfrecord"))
    assert write(clips, tmp_path / "in", tmp_path / "out") == expected
    for row in expected.clips:
        assert (tmp_path / "out" / row["file"]).read_bytes() == (tmp_path / "undisturbed" / row["file"]).read_bytes()


def test_a_full_disk_stops_the_stage_and_blames_no_clip(tmp_path):
    clips = make(tmp_path / "in", ["full.mp4"])
    with pytest.raises(OSError, match="No space left on device"):
        write(clips, tmp_path / "in", tmp_path / "out", decode=decode_badly)
    assert not list((tmp_path / "out").rglob("*.json"))


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path):
    (clip,) = make(tmp_path / "in", ["a.mp4"])
    job = DecodeJob(clip, str(tmp_path / "in/a.mp4"), str(tmp_path / "a.tfrecord"), CONFIG, 2)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    old = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, hard))
        with pytest.raises(OSError, match="File too large"):
            decode_clip(job)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, old)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_a_decoder_whose_times_are_wrong_is_replaced(tmp_path, monkeypatch):
    (clip,) = make(tmp_path / "in", ["a.mp4"])
    times = OpenCVReader.times
    monkeypatch.setattr(OpenCVReader, "times", lambda self: (seconds * 1.1 for seconds in times(self)))
    decode_clip(DecodeJob(clip, str(tmp_path / "in/a.mp4"), str(tmp_path / "a"), CONFIG, 2))
    (record,) = read_records(tmp_path / "a")
    assert (record.decoder, len(record)) == ("pyav", 10)


def test_a_file_that_pyav_shows_at_wrong_times_is_given_to_opencv(tmp_path, monkeypatch):
    (clip,) = make(tmp_path / "in", ["a.mp4"])
    times = PyAVReader.times
    monkeypatch.setattr(PyAVReader, "times", lambda self: (seconds * 1.1 for seconds in times(self)))
    clip = dataclasses.replace(clip, decoder="pyav")
    decode_clip(DecodeJob(clip, str(tmp_path / "in/a.mp4"), str(tmp_path / "a"), CONFIG, 2))
    (record,) = read_records(tmp_path / "a")
    assert (record.decoder, len(record)) == ("opencv", 10)


@pytest.mark.parametrize("decoder", ["opencv", "pyav"])
@pytest.mark.parametrize("chroma", ["420", "422", "444"])
def test_color_resolution_and_part_are_as_configured(tmp_path, decoder, chroma):
    write_video(tmp_path / "a.mp4", times_at(30, 60))
    config = FramesConfig(
        fps=10.0, image_pixels=96, resize="letterbox", chroma=chroma, start_seconds=0.5, end_seconds=1.5, max_frames=7
    )
    clip = ClipInfo(name="a.mp4", decoder=decoder)
    decode_clip(DecodeJob(clip, str(tmp_path / "a.mp4"), str(tmp_path / "a"), config, 2))
    (record,) = read_records(tmp_path / "a")
    assert record.source_frames.tolist() == list(range(15, 36, 3))
    np.testing.assert_allclose(record.timestamps, np.arange(5, 12) / 10)
    assert {simplejpeg.decode_jpeg_header(frame) for frame in record.frames} == {(96, 96, "YCbCr", chroma)}
    images = decode_jpegs(record.frames)
    assert [number_of(image[16:-16]) for image in images] == record.source_frames.tolist()
    assert images[:, :14].max() < 10


def test_a_folder_of_images_is_a_clip(tmp_path):
    for number in range(30):
        path = tmp_path / "in/clip" / f"{number:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), picture(number)[..., ::-1])
    clip = dataclasses.replace(probe_image_folder(tmp_path / "in/clip", 20.0), name="clip", sha256="0" * 64)
    result = write([clip], tmp_path / "in", tmp_path / "out")
    (record,) = read_records(tmp_path / "out" / result.clips[0]["file"])
    assert (record.decoder, record.source_fps, len(record)) == ("images", 20.0, 15)
    assert record.source_frames.tolist() == list(range(0, 30, 2))
    assert [number_of(image) for image in decode_jpegs(record.frames)] == record.source_frames.tolist()


def test_a_clip_without_the_wanted_part_is_skipped_with_its_reason(tmp_path):
    make(tmp_path / "in", ["a.mp4"])
    make(tmp_path / "in", ["long.mp4"], seconds=2)
    config = dataclasses.replace(CONFIG, start_seconds=1.2)
    options = {"min_frames": 2, "workers": 2, "timeout_seconds": 60.0}
    result = write_frames(clips_of(tmp_path / "in"), tmp_path / "in", tmp_path / "out", config, **options)
    assert [row["num_frames"] for row in result.clips] == [8]
    reason = "start_seconds = 1.2 leaves nothing of 1.0 s at 10 fps; choose a part that every clip has"
    assert result.skipped == [{"clip": "a.mp4", "reason": reason}]


def test_a_black_clip_is_marked(tmp_path):
    for name, level in (("black.mp4", 0), ("dim.mp4", 30), ("flash.mp4", 0)):
        with av.open(str(tmp_path / name), "w") as container:
            stream = container.add_stream("libx264", rate=10)
            stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
            for index in range(12):
                image = np.full((240, 320, 3), 200 if (name, index) == ("flash.mp4", 7) else level, np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
            container.mux(stream.encode(None))
    result = write(clips_of(tmp_path), tmp_path, tmp_path / "out")
    assert {row["clip"]: row["black"] for row in result.clips} == {
        "black.mp4": True,
        "dim.mp4": False,
        "flash.mp4": False,
    }
    (record,) = read_records(tmp_path / "out" / result.clips[1]["file"])
    assert record.brightest == pytest.approx(30, abs=2)


def test_a_disk_that_is_really_full_leaves_no_half_file(tmp_path):
    clips = make(tmp_path / "in", ["a.mp4"], seconds=4)
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    if not shutil.which("mount") or subprocess.run(mount, check=False, stderr=subprocess.DEVNULL).returncode:
        pytest.skip("no small file system can be mounted here")
    try:
        config = dataclasses.replace(CONFIG, image_pixels=224, fps=30.0)
        with pytest.raises(OSError, match="No space left on device"):
            write_frames(clips, tmp_path / "in", disk, config, min_frames=2, workers=1, timeout_seconds=60.0)
        assert not [path for path in disk.rglob("*") if path.is_file()]
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_frame_needed_again_is_encoded_once(tmp_path, monkeypatch):
    write_video(tmp_path / "a.mp4", times_at(5, 4))
    calls = []
    encode = BgrPicture.jpeg
    monkeypatch.setattr(BgrPicture, "jpeg", lambda *a: calls.append(1) or encode(*a))
    decode_clip(DecodeJob(ClipInfo(name="a.mp4"), str(tmp_path / "a.mp4"), str(tmp_path / "a"), CONFIG, 2))
    (record,) = read_records(tmp_path / "a")
    assert (len(record), len(calls)) == (8, 4)
    assert record.frames[0] == record.frames[1]


def shard_inputs(tmp_path, names=("b.mp4", "a.mp4")):
    clips = make(tmp_path / "in", names)
    result = write(clips, tmp_path / "in", tmp_path / "out")
    return {row["clip"]: tmp_path / "out" / row["file"] for row in result.clips}


def test_a_shard_is_an_exact_copy_with_labels(tmp_path, monkeypatch):
    files = shard_inputs(tmp_path)
    monkeypatch.setattr("tcc.video.tfrecord.BLOCK_BYTES", 1000)
    segments = [Segment(0.2, 0.5, "reach"), Segment(0.5, 0.9, "pour")]
    reports = []
    index = write_shard(
        tmp_path / "s.tfrecord",
        files,
        labels=Labels("labels.csv", {"a.mp4": segments}, {}, ("reach", "pour"), {}),
        label=3,
        progress=lambda f, s: reports.append((f, s)),
    )
    a, b = read_records(tmp_path / "s.tfrecord", expected=2)
    assert a.frame_labels.tolist() == [-1, -1, 0, 0, 0, 1, 1, 1, 1, -1]
    assert b.frame_labels.tolist() == [-1] * 10
    for record in (a, b):
        (source,) = read_records(files[record.name])
        assert record.frames == source.frames and record.label == 3
        np.testing.assert_array_equal(record.timestamps, source.timestamps)
        assert (record.sha256, record.decoder, record.source_fps) == (source.sha256, "opencv", 30.0)
        assert record.source_frames.tolist() == list(range(0, 30, 3))
        assert record.brightest == source.brightest and 100 < record.brightest < 160
    assert [(row["clip"], row["num_frames"], row["labelled_frames"]) for row in index] == [
        ("a.mp4", 10, 7),
        ("b.mp4", 10, 0),
    ]
    assert write_records(tmp_path / "same.tfrecord", [a, b]) == index
    assert (tmp_path / "same.tfrecord").read_bytes() == (tmp_path / "s.tfrecord").read_bytes()
    assert reports == [(0.0, "0 of 2 clips written"), (0.5, "1 of 2 clips written"), (1.0, "2 clips written")]


def test_labels_by_frame_are_those_of_the_frames_that_the_samples_show(tmp_path):
    """Every third frame is sampled: 0, 3, 6, 9 and so on; frames 4, 5 and 7 are in no sample."""
    files = shard_inputs(tmp_path, ["a.mp4"])
    by_frame = FramePhases((3, 4, 5, 6, 7, 27), ("x", "x", "x", "y", "y", "x"), (2, 3, 4, 5, 6, 7))
    labels = Labels("labels.csv", {}, {}, ("x", "y"), {}, frames={"a.mp4": by_frame})
    write_shard(tmp_path / "s", files, labels=labels)
    (record,) = read_records(tmp_path / "s")
    assert record.frame_labels.tolist() == [-1, 0, 1, -1, -1, -1, -1, -1, -1, 0]


def test_a_shard_may_be_empty(tmp_path):
    assert write_shard(tmp_path / "s", {}) == []
    assert list(read_records(tmp_path / "s", expected=0)) == []


def test_damaged_and_foreign_files_of_frames_are_refused(tmp_path):
    files = shard_inputs(tmp_path, ["a.mp4"])
    path, whole = files["a.mp4"], files["a.mp4"].read_bytes()

    def refused(content, message, name="a.mp4", error=ShardError, phases=("x",)):
        path.write_bytes(content)
        with pytest.raises(error, match=message):
            labels = Labels("labels.csv", {name: [Segment(0, 1, "x")]}, {}, phases, {})
            write_shard(tmp_path / "s", {name: path}, labels=labels)
        assert not (tmp_path / "s").exists()

    refused(b"", "record 0 is missing")
    refused(whole[:-5], "record 0 is cut off")
    refused(whole[:15], r"is not one clip's frames \(the record ends too early\)")
    refused(whole[:12] + b"\x12" + whole[13:], r"is not one clip's frames \(field 2 where 1 belongs\)")
    refused(whole[:12] + b"\x08" + whole[13:], r"is not one clip's frames \(unexpected wire type 0\)")
    refused(whole[:2000] + bytes([whole[2000] ^ 1]) + whole[2001:], "record 0 has a wrong checksum of its content")
    refused(whole, r"holds clip 'a.mp4', not 'b.mp4'; run the stage that decodes it again", name="b.mp4")
    refused(whole, "clip 'a.mp4': phase 'x' is not among the phases", error=LabelError, phases=())
    (record,) = read_records(path)
    write_records(path, [record])
    refused(path.read_bytes(), r"is not one clip's frames \(it holds other lists\)")


def test_what_a_file_of_frames_says_is_read_without_its_frames(tmp_path):
    files = shard_inputs(tmp_path, ["a.mp4"])
    with FramesFile(files["a.mp4"]) as frames:
        assert (frames.record.name, len(frames.record.timestamps)) == ("a.mp4", 10)
    assert check_frames_file(files["a.mp4"]).name == "a.mp4"


def test_nothing_here_imports_tensorflow():
    code = (
        "import sys, tcc.video\n"
        "assert 'cv2' not in sys.modules and 'av' not in sys.modules, 'importing tcc.video must be cheap'\n"
        "for name in tcc.video.__all__: getattr(tcc.video, name)\n"
        "assert 'tensorflow' not in sys.modules\n"
        "try: tcc.video.absent\n"
        "except AttributeError as error: assert 'absent' in str(error)\n"
        "else: raise SystemExit('absent')\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
