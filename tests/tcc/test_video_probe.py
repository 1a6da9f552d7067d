"""What is found out about a file without decoding it, and which decoder is chosen."""

from __future__ import annotations

import os
import re
import signal
import tempfile
import wave
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tcc.isolation import HUNG_ADVICE
from tcc.video import ClipInfo, probe_clip, probe_clips
from tcc.video import probe as probe_module
from tcc.video.probe import _better_decoder, _Tried
from tests.tcc.video_samples import set_rotation, times_at, truncate, wipe, write_video
from tests.tcc.video_workers import probe_badly

VARIABLE = [0, 0.03, 0.5, 0.51, 0.9, 1.7, 1.73, 1.76]


def test_a_plain_file_is_described(tmp_path):
    info = probe_clip(write_video(tmp_path / "a.mp4", times_at(30, 20)))
    assert info == ClipInfo(
        num_frames=20,
        fps=30.0,
        width=96,
        height=64,
        duration_seconds=0.666667,
        codec="h264",
        decoder="opencv",
    )
    assert ClipInfo(**info.as_dict()) == info


@pytest.mark.parametrize(
    ("name", "codec", "decoder", "options"),
    [
        ("a.mp4", "mpeg4", "opencv", {"constant_rate": True}),
        ("a.avi", "mpeg4", "pyav", {"constant_rate": True, "options": {"bf": "2"}}),
        ("a.avi", "h264", "pyav", {"constant_rate": True}),
        ("a.avi", "mjpeg", "pyav", {"constant_rate": True}),
        ("a.mkv", "hevc", "opencv", {"pixel_format": "yuv420p10le"}),
        ("a.webm", "vp8", "opencv", {}),
        ("a.webm", "vp9", "opencv", {}),
        ("a.ts", "h264", "opencv", {}),
        ("a.mpg", "mpeg2video", "opencv", {"constant_rate": True}),
        ("a.mp4", "av1", "pyav", {}),
    ],
)
def test_every_codec_finds_its_decoder(tmp_path, name, codec, decoder, options):
    encoders = {"h264": "libx264", "hevc": "libx265", "vp8": "libvpx", "vp9": "libvpx-vp9", "av1": "libsvtav1"}
    info = probe_clip(write_video(tmp_path / name, times_at(30, 20), codec=encoders.get(codec, codec), **options))
    assert (info.codec, info.decoder, info.num_frames, info.fps, info.problem) == (codec, decoder, 20, 30.0, "")
    assert not info.variable_rate


@pytest.mark.parametrize(("name", "codec"), [("a.mkv", "libx264"), ("a.webm", "libvpx"), ("a.ts", "libx264")])
def test_packets_lost_in_the_middle_are_counted(tmp_path, name, codec):
    path = write_video(tmp_path / name, times_at(30, 240), codec=codec, size=(192, 128), options={"g": "10"})
    whole = probe_clip(path)
    assert (whole.num_frames, whole.missing_frames, whole.problem) == (240, 0, "")
    info = probe_clip(wipe(path, 0.4, 0.5))
    assert info.missing_frames > 2
    assert (info.num_frames + info.missing_frames, info.variable_rate, info.problem) == (240, False, "")
    assert info.fps == 30.0


def test_a_frame_that_is_shown_long_is_no_loss_where_the_container_knows_all_its_frames(tmp_path):
    times = [*times_at(30, 60), *(time + 5 for time in times_at(30, 60))]
    assert probe_clip(write_video(tmp_path / "a.mp4", times)).missing_frames == 0
    assert probe_clip(write_video(tmp_path / "a.mkv", times)).missing_frames == 90


def test_a_gif_and_odd_sizes_and_a_single_frame(tmp_path):
    gif = probe_clip(write_video(tmp_path / "a.gif", times_at(10, 12), codec="gif", rate=10, constant_rate=True))
    assert (gif.codec, gif.num_frames, gif.fps, gif.problem) == ("gif", 12, 10.0, "")
    odd = probe_clip(write_video(tmp_path / "o.mp4", times_at(25, 9), size=(97, 65), pixel_format="yuv444p", rate=25))
    assert (odd.width, odd.height, odd.num_frames, odd.fps, odd.problem) == (97, 65, 9, 25.0, "")
    one = probe_clip(write_video(tmp_path / "one.mp4", [0.0]))
    assert (one.num_frames, one.problem) == (1, "") and one.duration_seconds > 0


@pytest.mark.parametrize("name", ["v.mp4", "v.webm"])
def test_a_variable_rate_is_seen_and_counted_right(tmp_path, name):
    info = probe_clip(write_video(tmp_path / name, VARIABLE, codec="libvpx" if name == "v.webm" else "libx264"))
    assert (info.num_frames, info.variable_rate) == (8, True)
    assert info.fps == pytest.approx(7 / 1.76, rel=1e-3)


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_rotation_is_read_and_sizes_are_as_shown(tmp_path, degrees):
    info = probe_clip(set_rotation(write_video(tmp_path / "r.mp4", times_at(30, 8)), degrees))
    assert (info.rotation, info.decoder) == (degrees, "opencv")
    assert (info.width, info.height) == ((96, 64) if degrees == 180 else (64, 96))


def test_broken_files_are_described_not_raised(tmp_path):
    (tmp_path / "zero.mp4").write_bytes(b"")
    (tmp_path / "text.mp4").write_text("hello world\n" * 100)
    (tmp_path / "folder.mp4").mkdir()
    with wave.open(str(tmp_path / "sound.mp4"), "wb") as sound:
        sound.setnchannels(1), sound.setsampwidth(2), sound.setframerate(8000), sound.writeframes(bytes(16000))
    write_video(tmp_path / "head.mp4", times_at(30, 30), container_options={"movflags": "faststart"})
    data = (tmp_path / "head.mp4").read_bytes()
    (tmp_path / "head.mp4").write_bytes(data[: data.index(b"mdat") + 4])
    problems = {
        name: probe_clip(tmp_path / f"{name}.mp4").problem
        for name in ("zero", "text", "folder", "sound", "head", "gone")
    }
    assert problems == {
        "zero": "cannot be read as a video (Invalid data found when processing input)",
        "text": "cannot be read as a video (Invalid data found when processing input)",
        "folder": "cannot be read as a video (Is a directory)",
        "sound": "holds no video stream",
        "head": "holds no frame",
        "gone": "cannot be read as a video (No such file or directory)",
    }


def test_a_file_without_permission_is_described():
    """Root reads files of any mode, so it steps down for the moment."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        path = write_video(Path(folder, "a.mp4"), [0.0])
        path.chmod(0)
        user = os.geteuid()
        if user == 0:
            os.seteuid(65534)
        try:
            problem = probe_clip(path).problem
        finally:
            os.seteuid(user)
    assert problem == "cannot be read as a video (Permission denied)"


def test_an_unexpected_error_is_described(tmp_path, monkeypatch):
    def fail(path):
        raise RuntimeError("odd")

    monkeypatch.setattr(probe_module, "open_container", fail)
    assert probe_clip(tmp_path).problem == "cannot be read as a video (RuntimeError: odd)"


@pytest.mark.parametrize(
    ("name", "codec", "kept", "of"),
    [
        ("t.mp4", "libx264", 0.6, 90),
        ("t.mkv", "libx264", 0.6, 87),
        ("t.webm", "libvpx", 0.6, 90),
        ("t.avi", "mpeg4", 0.6, None),
    ],
)
def test_truncated_files_tell_how_much_is_missing(tmp_path, name, codec, kept, of):
    path = write_video(
        tmp_path / name,
        times_at(30, 90),
        codec=codec,
        options={} if codec == "libvpx" else {"g": "10"},
        constant_rate=name.endswith("avi"),
        container_options={"movflags": "faststart"} if name.endswith("mp4") else {},
    )
    assert probe_clip(path).problem == ""
    info = probe_clip(truncate(path, kept))
    assert info.problem.startswith(f"truncated: {info.num_frames} of ")
    assert 10 < info.num_frames < 60
    if of is not None:
        assert abs(int(info.problem.split()[3]) - of) <= 3


def test_a_file_whose_index_comes_last_and_is_cut_off_cannot_be_read(tmp_path):
    """Wherever it is cut; where exactly decides whether FFmpeg misses data or finds wrong ones."""
    whole = write_video(tmp_path / "t.mp4", times_at(30, 90)).read_bytes()
    for tenths in range(1, 10):
        (tmp_path / "t.mp4").write_bytes(whole[: len(whole) * tenths // 10])
        assert re.fullmatch(
            r"cannot be read as a video \((Invalid data found when processing input|End of file)\)|holds no frame",
            probe_clip(tmp_path / "t.mp4").problem,
        )


def test_a_container_that_ends_early_cannot_be_read(tmp_path, monkeypatch):
    """What FFmpeg calls the end of the file is no OSError."""

    def ends(*args, **keywords):
        raise av.error.EOFError(541478725, "End of file", "a.mp4")

    monkeypatch.setattr(av, "open", ends)
    assert probe_clip(tmp_path / "a.mp4").problem == "cannot be read as a video (End of file)"


def test_names_are_paths_and_nothing_else(tmp_path):
    source = write_video(tmp_path / "a.mp4", times_at(30, 5))
    for name in (
        "http:b.mp4",
        "a b 'c' \"d\".mp4",
        "über 日本.mp4",
        "new\nline.mp4",
        "%03d.mp4",
        "-i.mp4",
        "caf\udce9.mp4",
    ):
        (tmp_path / name).write_bytes(source.read_bytes())
        info = probe_clip(tmp_path / name)
        assert (info.decoder, info.num_frames, info.problem) == ("opencv", 5, ""), ascii(name)


ENCODERS = {"h264": "libx264", "hevc": "libx265", "vp8": "libvpx", "vp9": "libvpx-vp9", "av1": "libsvtav1"}


def needs_encoder(codec):
    encoder = ENCODERS.get(codec, codec)
    try:
        av.codec.Codec(encoder, "w")
    except av.codec.codec.UnknownCodecError:
        pytest.skip(f"this PyAV has no encoder {encoder}")
    return encoder


@pytest.mark.parametrize("count", [5, 20])
@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("a.mp4", "h264", {}),
        ("a.mov", "h264", {}),
        ("a.m4v", "h264", {}),
        ("a.mkv", "h264", {}),
        ("a.mov", "hevc", {}),
        ("a.mp4", "hevc", {"pixel_format": "yuv420p10le"}),
        ("a.mp4", "mpeg4", {"constant_rate": True}),
        ("a.avi", "mjpeg", {"constant_rate": True}),
        ("a.webm", "vp8", {}),
        ("a.webm", "vp9", {}),
        ("a.webm", "av1", {}),
        ("a.mkv", "av1", {}),
    ],
)
def test_pictures_of_usual_size_are_read_by_their_planes(tmp_path, name, codec, options, count):
    options = {"size": (320, 240), **options}
    info = probe_clip(write_video(tmp_path / name, times_at(30, count), codec=needs_encoder(codec), **options))
    assert (info.codec, info.decoder, info.num_frames, info.problem) == (codec, "pyav", count, "")
    assert (info.width, info.height) == (320, 240)


@pytest.mark.parametrize(("codec", "pixel_format"), [("png", "rgba"), ("ffv1", "gray"), ("ffv1", "yuva420p")])
def test_formats_without_planes_to_read_are_left_to_opencv(tmp_path, codec, pixel_format):
    path = tmp_path / ("a.mov" if codec == "png" else "a.mkv")
    write_video(path, times_at(30, 9), codec=codec, pixel_format=pixel_format, size=(320, 240))
    info = probe_clip(path)
    assert (info.decoder, info.num_frames, info.problem) == ("opencv", 9, "")


def test_a_matrix_that_opencv_may_not_know_is_read_by_its_planes(tmp_path):
    """A small picture, which OpenCV would be faster for."""
    plain = write_video(tmp_path / "a.mp4", times_at(30, 9))
    tagged = write_video(tmp_path / "b.mp4", times_at(30, 9), options={"x264-params": "colormatrix=bt709"})
    assert (probe_clip(plain).decoder, probe_clip(tagged).decoder) == ("opencv", "pyav")


def test_opencv_is_not_asked_where_planes_decide(tmp_path, monkeypatch):
    path = write_video(tmp_path / "a.mp4", times_at(30, 9), size=(320, 240))
    monkeypatch.setattr(probe_module, "_try_opencv", lambda path, index: pytest.fail("opened again"))
    assert probe_clip(path).decoder == "pyav"


def test_planes_with_wrong_times_do_not_decide(tmp_path, monkeypatch):
    path = write_video(tmp_path / "a.mp4", times_at(30, 9), size=(320, 240))
    monkeypatch.setattr(probe_module, "frame_seconds", lambda frame: 0.01)
    assert probe_clip(path).decoder == "opencv"


def test_a_codec_that_ffmpeg_does_not_know_is_named_as_the_problem(tmp_path):
    path = write_video(tmp_path / "a.mp4", times_at(30, 9))
    path.write_bytes(path.read_bytes().replace(b"avc1", b"zzzz"))
    assert probe_clip(path).problem == "is of a codec that FFmpeg does not know; convert it to H.264"


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_sound_changes_nothing(tmp_path, name):
    """Also where it is longer than the picture."""
    with av.open(str(tmp_path / name), "w") as container:
        video, sound = container.add_stream("libx264", rate=30), container.add_stream("aac", rate=8000)
        video.width, video.height, video.pix_fmt = 96, 64, "yuv420p"
        for index in range(20):
            image = np.full((64, 96, 3), index * 10, np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        for index in range(10):
            samples = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            samples.sample_rate, samples.pts, samples.time_base = 8000, index * 1024, Fraction(1, 8000)
            container.mux(sound.encode(samples))
        container.mux(video.encode(None))
        container.mux(sound.encode(None))
    info = probe_clip(tmp_path / name)
    assert (info.num_frames, info.fps, info.decoder, info.problem) == (20, 30.0, "opencv", "")


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("t.mp4", "libx264", {"container_options": {"movflags": "faststart"}}),
        ("t.mkv", "libx264", {}),
        ("t.avi", "mpeg4", {"constant_rate": True}),
    ],
)
def test_a_file_cut_off_anywhere_is_never_taken_for_whole(tmp_path, name, codec, options):
    """An avi ends with an index; where only that is cut off, all frames are there."""
    path = write_video(tmp_path / name, times_at(30, 90), codec=codec, size=(192, 128), **options)
    whole = path.read_bytes()
    for cut in range(1, 11):
        path.write_bytes(whole[: len(whole) * cut // 11])
        info = probe_clip(path)
        assert info.problem or info.num_frames == 90, cut


def test_decoders_are_compared():
    """OpenCV unless it reads nothing or shows something else: size, rotation, picture or time."""
    image = np.full((4, 4, 3), 100, np.uint8)
    good = _Tried((96, 64), 0, image, True)
    assert _better_decoder(good, good) == "opencv"
    assert _better_decoder(good, None) == "opencv"
    assert _better_decoder(None, good) == "pyav"
    assert _better_decoder(good, _Tried((96, 64), 0, image + 8, False)) == "opencv"
    for bad in (
        _Tried((64, 96), 0, image, True),
        _Tried((96, 64), 90, image, True),
        _Tried((96, 64), 0, image + 20, True),
        _Tried((96, 64), 0, image, False),
    ):
        assert _better_decoder(bad, good) == "pyav"


def test_a_file_that_no_decoder_reads_is_described(tmp_path, monkeypatch):
    monkeypatch.setattr(probe_module, "_try_opencv", lambda path, index: None)
    monkeypatch.setattr(probe_module, "_try_pyav", lambda path, index, frames: None)
    path = write_video(tmp_path / "a.mp4", times_at(30, 5))
    assert probe_clip(path).problem == "no frame can be decoded (codec h264)"


def test_many_files_are_described_in_the_order_of_their_names(tmp_path):
    write_video(tmp_path / "sub/b.mp4", times_at(30, 5))
    write_video(tmp_path / "a.mp4", times_at(30, 7))
    (tmp_path / "text.mp4").write_text("text")
    (tmp_path / "crash.mp4").write_text("x")
    names, reports = ["text.mp4", "sub/b.mp4", "crash.mp4", "a.mp4"], []
    infos = probe_clips(
        tmp_path, names, workers=2, timeout_seconds=60, progress=lambda f, s: reports.append((f, s)), probe=probe_badly
    )
    assert [info.name for info in infos] == names
    assert [info.num_frames for info in infos] == [0, 5, 0, 7]
    assert infos[2].problem == f"decoder_crashed: signal {signal.SIGSEGV.name}"
    assert reports[-1] == (1.0, "4 of 4 videos looked at")


def test_a_file_that_hangs_is_described_with_the_fix(tmp_path):
    (tmp_path / "hang.mp4").write_text("x")
    (info,) = probe_clips(tmp_path, ["hang.mp4"], workers=1, timeout_seconds=1.0, probe=probe_badly)
    assert info.problem == "decoder_hung: no progress for 1 s" + HUNG_ADVICE
