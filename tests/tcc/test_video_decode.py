"""Sampling by time: the right frames, at the right times, the right way up."""

from __future__ import annotations

import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from tcc.config import FramesConfig
from tcc.errors import SettingsError, VideoError
from tcc.video import readers as readers_module
from tcc.video import sample_frames, sampling_plan
from tcc.video.container import CannotRewind, index_packets, open_container, read_index, rewind
from tcc.video.decode import TimestampsDisagree, place_of, sample_pictures
from tcc.video.pictures import BgrPicture, View
from tcc.video.readers import OpenCVReader, PacketPlaces, open_reader
from tests.tcc.video_samples import (
    number_of,
    picture,
    repeat_video,
    set_rotation,
    times_at,
    truncate,
    wipe_packets,
    write_video,
)

ROOT = Path(__file__).resolve().parents[2]
DECODERS = ("opencv", "pyav")


def sampled(path, fps, decoder="opencv", pixels=64):
    frames = list(sample_frames(path, fps=fps, image_pixels=pixels, decoder=decoder))
    assert all(frame.shape == (pixels, pixels, 3) and frame.dtype == np.uint8 for _, frame in frames)
    return [seconds for seconds, _ in frames], [number_of(frame) for _, frame in frames]


def test_the_plan_is_the_nearest_frame_by_a_plain_search():
    rng = np.random.default_rng([0, 3])
    for fps in (3.0, 10.0, 29.97):
        times = np.round(np.concatenate([[0], np.cumsum(rng.exponential(0.05, 40))]), 9)
        plan = sampling_plan(times, fps)
        for k, chosen in enumerate(plan):
            distances = [abs(time - k / fps) for time in times]
            assert distances[chosen] == pytest.approx(min(distances), abs=1e-8)
        end = times[-1] + np.median(np.diff(times)) / 2
        assert (len(plan) - 1) / fps <= end < len(plan) / fps + 1e-6


def test_equally_near_is_the_earlier_one_and_a_slow_source_repeats():
    assert sampling_plan(np.array([0.0, 0.2, 0.4]), 10).tolist() == [0, 0, 1, 1, 2, 2]
    assert sampling_plan(np.array([0.0]), 10).tolist() == [0]


def test_a_jump_in_time_is_refused_before_it_fills_the_disk(tmp_path):
    message = r"jumps?.* \(re-encode the file\) or fps is far above the source's"
    with pytest.raises(
        VideoError, match="4 frames spread over 36000 s would be 360001 samples at 10 fps; .*" + message
    ):
        sampling_plan(np.array([0.0, 0.0, 0.0, 36000.0]), 10)
    path = write_video(tmp_path / "j.mkv", [0.0, 0.1, 0.2, 3600.0])
    with pytest.raises(VideoError, match=r"j\.mkv: 4 frames spread over 3600 s.*" + message):
        list(sample_frames(path, fps=10, image_pixels=32))


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("a.mp4", "libx264", {}),
        ("a.mp4", "libx264", {"options": {"bf": "0"}}),
        ("a.mp4", "mpeg4", {"constant_rate": True}),
        ("a.avi", "libx264", {"constant_rate": True}),
        ("a.avi", "mpeg4", {"constant_rate": True, "options": {"bf": "2"}}),
        ("a.avi", "mjpeg", {"constant_rate": True}),
        ("a.mkv", "libx265", {"pixel_format": "yuv420p10le"}),
        ("a.webm", "libvpx-vp9", {}),
        ("a.ts", "libx264", {}),
        ("a.mpg", "mpeg2video", {"constant_rate": True}),
        ("odd.mp4", "libx264", {"size": (97, 65), "pixel_format": "yuv444p"}),
    ],
)
def test_every_third_frame_of_thirty_a_second(tmp_path, name, codec, options, decoder):
    path = write_video(tmp_path / name, times_at(30, 30), codec=codec, **options)
    seconds, numbers = sampled(path, 10, decoder)
    assert numbers == list(range(0, 30, 3))
    np.testing.assert_allclose(seconds, np.arange(10) / 10, atol=1e-3)


def test_a_codec_that_opencv_does_not_read(tmp_path):
    path = write_video(tmp_path / "a.mp4", times_at(30, 30), codec="libsvtav1")
    assert sampled(path, 10, "pyav")[1] == list(range(0, 30, 3))
    with pytest.raises(VideoError, match=r"a.mp4: no frame can be decoded \(codec av1\); try the other decoder"):
        sampled(path, 10, "opencv")


@pytest.mark.parametrize("decoder", DECODERS)
def test_two_cameras_and_a_phone_land_on_the_same_clock(tmp_path, decoder):
    """Each frame shows the tenth of a second that it was taken in, whatever the camera's rate."""
    rng = np.random.default_rng([0, 4])
    uneven = np.arange(59) / 30 + np.concatenate([[0], rng.uniform(-0.015, 0.015, 58)])
    cameras = {
        "ten": np.arange(20) / 10,
        "thirty": np.arange(60) / 30,
        "ntsc": np.arange(60) * 1001 / 30000,
        "uneven": uneven,
    }
    for name, times in cameras.items():
        shown = [round(time * 10) for time in times]
        path = write_video(tmp_path / f"{name}.mp4", times, numbers=shown)
        seconds, numbers = sampled(path, 10, decoder)
        assert numbers == list(range(20)), name
        np.testing.assert_allclose(seconds, np.arange(20) / 10, atol=0.051)


@pytest.mark.parametrize("decoder", DECODERS)
def test_a_slow_source_gives_frames_again_with_their_own_time(tmp_path, decoder):
    path = write_video(tmp_path / "a.mp4", times_at(5, 3))
    frames = list(sample_frames(path, fps=10, image_pixels=32, decoder=decoder))
    assert [seconds for seconds, _ in frames] == [0.0, 0.0, 0.2, 0.2, 0.4, 0.4]
    assert frames[0][1] is frames[1][1] and frames[1][1] is not frames[2][1]


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_rotation_is_honored_once(tmp_path, degrees, decoder):
    path = set_rotation(write_video(tmp_path / "r.mp4", times_at(10, 10)), degrees)
    frames = [frame for _, frame in sample_frames(path, fps=10, image_pixels=64, decoder=decoder)]
    shown = [number_of(np.rot90(frame, k=degrees // 90)) for frame in frames]
    assert shown == list(range(10))


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("gop", ["open-gop=0", "open-gop=1"])
def test_a_recording_cut_into_starts_at_its_first_whole_frame(tmp_path, decoder, gop):
    """Frames of an open group of pictures are stored behind the key frame, shown before it, and need the one before."""
    options = {"x264-params": f"{gop}:keyint=20:min-keyint=20:scenecut=0:bframes=3:b-adapt=0"}
    path = write_video(tmp_path / "a.ts", times_at(30, 90), options=options)
    data = path.read_bytes()
    path.write_bytes(data[len(data) // 188 // 3 * 188 :])
    seconds, numbers = sampled(path, 30, decoder)
    assert seconds[0] == 0.0
    assert numbers[0] % 20 == 0 and numbers[0] > 0
    assert numbers == list(range(numbers[0], 90))


@pytest.mark.parametrize("decoder", DECODERS)
def test_frames_are_those_of_ffmpeg(tmp_path, decoder):
    path = write_video(tmp_path / "a.mp4", times_at(30, 10), size=(320, 240))
    with av.open(str(path)) as container:
        expected = [cv2.resize(frame.to_ndarray(format="bgr24"), (224, 224)) for frame in container.decode(video=0)]
    frames = [frame for _, frame in sample_frames(path, fps=30, image_pixels=224, decoder=decoder)]
    assert len(frames) == 10
    assert np.abs(np.array(frames, float) - np.array(expected)).mean() <= 2
    blue, _, red = frames[0][10, -10].astype(int)
    assert red > blue + 100


def test_a_truncated_file_is_refused_at_once(tmp_path):
    path = write_video(
        tmp_path / "t.mp4", times_at(30, 90), options={"g": "10"}, container_options={"movflags": "faststart"}
    )
    with pytest.raises(VideoError, match=r"t\.mp4: truncated: \d+ of 90 frames; copy or record the file again"):
        next(sample_frames(truncate(path, 0.6), fps=10, image_pixels=32))


@pytest.mark.parametrize("decoder", DECODERS)
def test_frames_lost_in_the_middle_are_noticed_at_the_end(tmp_path, decoder):
    path = write_video(tmp_path / "z.mp4", times_at(30, 90), options={"g": "5", "bf": "0"}, size=(192, 128))
    data = bytearray(path.read_bytes())
    start, length = data.index(b"mdat") + 8, len(data) // 2
    data[start + length // 3 : start + length] = bytes(length - length // 3)
    path.write_bytes(bytes(data))
    with pytest.raises(VideoError, match=r"z\.mp4: damaged: \d+ of 90 frames can be decoded; copy or record the file"):
        sampled(path, 10, decoder)


def test_one_missing_frame_is_allowed(tmp_path, monkeypatch):
    path = write_video(tmp_path / "a.mp4", times_at(10, 12))
    times = OpenCVReader.times
    for lost, fine in ((1, True), (2, False)):
        monkeypatch.setattr(OpenCVReader, "times", lambda self, lost=lost: list(times(self))[:-lost])
        monkeypatch.setattr(OpenCVReader, "picture", lambda self, view: BgrPicture(picture(0, width=64)))
        if fine:
            assert len(sampled(path, 10)[0]) == 11
        else:
            with pytest.raises(VideoError, match="damaged: 10 of 12 frames can be decoded"):
                sampled(path, 10)


def test_a_decoder_that_tells_other_times_is_caught(tmp_path):
    path = write_video(tmp_path / "a.mp4", times_at(10, 12))
    index = read_index(path)
    assert place_of(path, index, 0.3001, 4) == 3
    assert place_of(path, index, np.nan, 4) == 5
    with pytest.raises(
        TimestampsDisagree, match=r"a.mp4: the decoder shows a frame at 0.350 s that the container does"
    ):
        place_of(path, index, 0.35, 2)


@pytest.mark.parametrize("packets", [(23,), (23, 24, 25, 26, 27)])
@pytest.mark.parametrize(
    ("codec", "options", "reordered"),
    [
        ("mjpeg", {}, 0),
        ("mpeg4", {"g": "10"}, 0),
        ("mpeg4", {"g": "10", "bf": "2"}, 3),
        ("libx264", {"g": "10", "bf": "0"}, 0),
        ("libx264", {"x264-params": "bframes=3:b-adapt=0:keyint=10"}, 4),
    ],
)
def test_frames_behind_lost_ones_keep_their_time_where_packets_are_only_counted(
    tmp_path, codec, options, reordered, packets
):
    """What is drawn from lost frames may show anything, up to the next key frame; from there on each frame tells."""
    path = write_video(tmp_path / "a.avi", times_at(30, 240), codec=codec, options=options, constant_rate=True)
    wipe_packets(path, packets)
    reader = open_reader(path, "pyav")
    shown = [(seconds, number_of(reader.picture(View(64, chroma="444")).bgr())) for seconds in reader.times()]
    reader.close()
    assert len(shown) == 240 - len(packets)
    places = [round(seconds * 30) for seconds, _ in shown]
    assert places == sorted(set(places))
    whole = [number for number in range(240) if number < packets[0] - reordered or number >= 30]
    assert [place for place in places if place in whole] == whole
    assert [number for seconds, number in shown if round(seconds * 30) in whole] == whole
    assert shown[-1][0] == pytest.approx(239 / 30)


def test_lost_frames_are_counted_and_too_many_are_refused(tmp_path):
    path = write_video(tmp_path / "a.avi", times_at(30, 240), codec="mjpeg", constant_rate=True)
    config, missing = FramesConfig(fps=30, image_pixels=64), []
    list(sample_pictures(path, config, decoder="pyav", on_missing=missing.append))
    assert missing == []
    wipe_packets(path, (100, 101))
    samples = list(sample_pictures(path, config, decoder="pyav", on_missing=missing.append))
    assert missing == [2]
    assert [one.source_frame for one in samples] == [*range(100), 102, 102, *range(102, 240)]
    assert [one.source_frame for one in samples] == [number_of(one.picture.bgr()) for one in samples]
    trimmed = FramesConfig(fps=30, image_pixels=64, max_frames=220)
    list(sample_pictures(path, trimmed, decoder="pyav", on_missing=missing.append))
    assert missing == [2, 2]
    with pytest.raises(TimestampsDisagree, match=r"\d+ of 240 frames can be decoded, and which is not known; try the"):
        list(sample_pictures(path, config, decoder="opencv"))
    wipe_packets(path, (200,))
    with pytest.raises(VideoError, match=r"a\.avi: damaged: 237 of 240 frames can be decoded; copy or record the file"):
        list(sample_pictures(path, config, decoder="pyav"))


def test_places_of_packets_by_hand():
    """Stored as I0 P3 B1 B2 P6 B4 B5 P9 B7 B8 P12, shown by number; B1 and P6 are lost: packets 2 and 4.

    B2, P3, B4, B5 and B7, B8 stand too early; with P9, which is stored behind both lost ones, they are known.
    """
    places = PacketPlaces(0)
    assert [places.feed() for _ in range(11)] == list(range(11))
    shown = [(0, False), (3, True), (1, False), (5, True), (6, True), (8, True), (9, True), (7, False), (10, False)]
    assert [places.place(packet, is_b_frame=is_b) for packet, is_b in shown] == [0, 1, 2, 3, 4, 5, 6, 9, 10]


def test_a_frame_that_comes_out_late_or_twice_is_no_loss():
    places = PacketPlaces(0)
    for _ in range(5):
        places.feed()
    assert [places.place(packet, is_b_frame=False) for packet in (0, 2, 1, 3, 3, 4)] == [0, 2, 2, 3, 3, 4]


@pytest.mark.parametrize(("name", "codec"), [("a.mkv", "libx264"), ("a.webm", "libvpx"), ("a.flv", "libx264")])
@pytest.mark.parametrize("rate", [Fraction(30), Fraction(30000, 1001), Fraction(60)])
def test_times_rounded_to_milliseconds_are_taken_for_those_of_the_constant_rate(tmp_path, name, codec, rate):
    """So that the same frames are sampled as from an mp4, also where k / fps lies between two frames."""
    times = [float(number / rate) for number in range(90)]
    path = write_video(tmp_path / name, times, codec=codec, rate=rate)
    exact = write_video(tmp_path / "a.mp4", times, rate=rate)
    np.testing.assert_allclose(read_index(path).timestamps, times, atol=2e-9)
    for fps in (float(rate) / 2, 4 * float(rate) / 3, 10.0):
        for decoder in DECODERS:
            assert sampled(path, fps, decoder)[1] == sampled(exact, fps, decoder)[1]


@pytest.mark.parametrize("name", ["a.mkv", "a.ts"])
def test_times_of_a_variable_rate_stay_as_they_are(tmp_path, name):
    rng = np.random.default_rng([0, 9])
    variable = {
        "uneven": np.cumsum(rng.uniform(0.02, 0.05, 100)),
        "a phone": np.arange(100) / 30 + rng.uniform(-0.004, 0.004, 100),
        "drops a fifth": np.flatnonzero(rng.random(150) > 0.2) / 30,
        "a screen": np.flatnonzero(rng.random(600) > 0.9) / 60,
        "two rates": np.r_[np.arange(60) / 30, 2 + np.arange(60) / 24],
    }
    for case, times in variable.items():
        path = write_video(tmp_path / name, times - times[0])
        with open_container(path) as (container, stream):
            stored = sorted(p.pts * float(stream.time_base) for p in container.demux(stream) if p.size)
        index = read_index(path)
        np.testing.assert_allclose(index.timestamps, np.array(stored) - stored[0], atol=1e-9, err_msg=case)
        assert index.lost_inside == 0, case


def test_a_name_that_is_not_utf_8_is_read_by_both_decoders(tmp_path):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.mp4"))
    path.write_bytes(write_video(tmp_path / "a.mp4", times_at(30, 9)).read_bytes())
    for decoder in DECODERS:
        assert sampled(path, 10, decoder)[1] == [0, 3, 6]


def test_unreadable_files_and_unknown_decoders_are_refused(tmp_path):
    (tmp_path / "text.mp4").write_text("text")
    with pytest.raises(VideoError, match=r"text.mp4: cannot be read as a video \(Invalid data found when processing"):
        list(sample_frames(tmp_path / "text.mp4", fps=10, image_pixels=32))
    path = write_video(tmp_path / "a.mp4", [0.0])
    with pytest.raises(SettingsError, match="decoder: must be one of opencv, pyav, images; got 'decord'"):
        open_reader(path, "decord")
    with pytest.raises(VideoError, match=r"text.mp4: cannot be opened by OpenCV"):
        OpenCVReader(tmp_path / "text.mp4", read_index(path))


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize(
    ("start", "end", "most"),
    [(0.25, 0.0, 0), (0.3, 0.9, 0), (0.0, 0.35, 0), (0.0, 0.0, 3), (0.5, 0.0, 2), (0.29, 0.31, 0), (0.0, 99.0, 50)],
)
def test_a_trimmed_clip_is_the_same_clock_with_samples_left_out(tmp_path, decoder, start, end, most):
    path = write_video(tmp_path / "a.mp4", times_at(24, 30))
    whole = list(zip(*sampled(path, 10, decoder)))
    kept = [one for k, one in enumerate(whole) if start <= k / 10 and (not end or k / 10 < end)]
    kept = kept[:most] if most else kept
    options = {"start_seconds": start, "end_seconds": end, "max_frames": most}
    trimmed = [
        (seconds, number_of(frame))
        for seconds, frame in sample_frames(path, fps=10, image_pixels=64, decoder=decoder, **options)
    ]
    assert trimmed == kept and kept


def test_the_clock_counts_exactly_where_floating_point_does_not():
    """0.3 * 10 is 3, but 0.7 * 30 and 0.1 * 3 * 10 are not quite what they should be."""
    times = np.arange(300) / 30
    for k in range(1, 100):
        assert len(sampling_plan(times, 30, end_seconds=k / 30)) == k
        assert sampling_plan(times, 30, start_seconds=k / 30)[0] == k


@pytest.mark.parametrize("decoder", DECODERS)
def test_decoding_stops_behind_the_last_wanted_sample(tmp_path, monkeypatch, decoder):
    path = write_video(tmp_path / "a.mp4", times_at(30, 90))
    reader = {"opencv": OpenCVReader, "pyav": readers_module.PyAVReader}[decoder]
    shown, times = [], reader.times
    monkeypatch.setattr(reader, "times", lambda self: (shown.append(1) or seconds for seconds in times(self)))
    for options, count in (({"max_frames": 3}, 7), ({"end_seconds": 0.5}, 13), ({"start_seconds": 0.5}, 90)):
        shown.clear()
        list(sample_frames(path, fps=10, image_pixels=32, decoder=decoder, **options))
        assert len(shown) == count


def test_frames_outside_the_wanted_part_are_never_converted(tmp_path, monkeypatch):
    path = write_video(tmp_path / "a.mp4", times_at(30, 60))
    made, make = [], OpenCVReader.picture
    monkeypatch.setattr(OpenCVReader, "picture", lambda *a: made.append(1) or make(*a))
    list(sample_frames(path, fps=10, image_pixels=32, start_seconds=1.0, end_seconds=1.4))
    assert len(made) == 4


def test_a_part_that_a_clip_does_not_have_is_refused(tmp_path):
    path = write_video(tmp_path / "a.mp4", times_at(30, 60))
    for options, bounds in (
        ({"start_seconds": 30}, "start_seconds = 30"),
        ({"start_seconds": 0.11, "end_seconds": 0.19}, "start_seconds = 0.11 to end_seconds = 0.19"),
    ):
        message = rf"a\.mp4: {bounds} leaves nothing of 2.0 s at 10 fps; choose a part that every clip has"
        with pytest.raises(VideoError, match=message):
            list(sample_frames(path, fps=10, image_pixels=32, **options))


def test_a_truncated_file_is_refused_though_the_wanted_part_is_there(tmp_path):
    path = write_video(
        tmp_path / "t.mp4", times_at(30, 90), options={"g": "10"}, container_options={"movflags": "faststart"}
    )
    with pytest.raises(VideoError, match=r"t\.mp4: truncated: \d+ of 90 frames"):
        list(sample_frames(truncate(path, 0.6), fps=10, image_pixels=32, max_frames=2))


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize(("fps", "source"), [(10.0, 30), (10.0, 4), (7.0, 30)])
def test_each_sample_tells_which_frame_of_the_source_it_shows(tmp_path, decoder, fps, source):
    path = write_video(tmp_path / "a.mp4", times_at(source, 40))
    config = FramesConfig(fps=fps, image_pixels=64, start_seconds=0.4)
    samples = list(sample_pictures(path, config, decoder=decoder))
    assert [sample.source_frame for sample in samples] == [number_of(sample.picture.bgr()) for sample in samples]
    assert [sample.seconds for sample in samples] == pytest.approx([s.source_frame / source for s in samples], abs=1e-3)


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_a_letterbox_and_a_crop_are_of_the_upright_picture(tmp_path, degrees, decoder):
    path = write_video(tmp_path / "r.mp4", times_at(10, 6))
    path = set_rotation(path, degrees) if degrees else path
    for resize in ("letterbox", "center_crop"):
        frames = [f for _, f in sample_frames(path, fps=10, image_pixels=96, resize=resize, decoder=decoder)]
        stored = [np.rot90(frame, k=degrees // 90) for frame in frames]
        if resize == "letterbox":
            assert all(frame[:15].max() <= 2 and frame[-15:].max() <= 2 for frame in stored)
            stored = [frame[16:-16] for frame in stored]
        assert [number_of(frame) for frame in stored] == list(range(6))
        blue, _, red = stored[0][10, 60].astype(int)
        assert red > blue + 100


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.mp4", {}),
        ("a.mov", {"options": {"bf": "3", "g": "12"}}),
        ("a.m4v", {"codec": "mpeg4", "constant_rate": True}),
        ("late.mp4", {"times": [0.5 + index / 30 for index in range(40)]}),
        ("uneven.mp4", {"times": [0, 0.03, 0.5, 0.51, 0.9, 1.7, 1.73, 1.76]}),
        ("fragmented.mp4", {"container_options": {"movflags": "frag_keyframe+empty_moov"}}),
    ],
)
def test_going_back_to_the_first_packet_is_opening_the_file_again(tmp_path, monkeypatch, name, options):
    options = dict(options)
    path = write_video(tmp_path / name, options.pop("times", times_at(30, 40)), **options)

    def samples():
        found = sample_pictures(path, FramesConfig(fps=30, image_pixels=64), decoder="pyav")
        return [(one.seconds, one.source_frame, one.picture.bgr().tobytes()) for one in found]

    rewound = samples()

    def refuse(*arguments):
        raise CannotRewind

    monkeypatch.setattr(readers_module, "rewind", refuse)
    assert samples() == rewound and len(rewound) > 7


def test_going_back_is_checked(tmp_path):
    path = write_video(tmp_path / "a.mp4", times_at(30, 40))
    with open_container(path) as (container, stream):
        first = index_packets(path, container, stream).first
        assert sum(packet.size > 0 for packet in rewind(container, stream, first)) == 40
        with pytest.raises(CannotRewind):
            rewind(container, stream, (first[0] + 1, *first[1:]))
    for name in ("a.mkv", "a.ts"):
        path = write_video(tmp_path / name, times_at(30, 40))
        with open_container(path) as (container, stream), pytest.raises(CannotRewind):
            rewind(container, stream, index_packets(path, container, stream).first)


@pytest.mark.parametrize(
    ("codec", "pixel_format"),
    [
        ("ffv1", "gray"),
        ("ffv1", "gray16le"),
        ("ffv1", "yuv410p"),
        ("ffv1", "yuva420p"),
        ("png", "rgba"),
        ("libx264rgb", "rgb24"),
    ],
)
@pytest.mark.parametrize("decoder", DECODERS)
def test_formats_without_planes_to_read_are_converted_whole(tmp_path, codec, pixel_format, decoder):
    path = tmp_path / ("a.mov" if codec == "png" else "a.mkv")
    write_video(path, times_at(30, 9), codec=codec, pixel_format=pixel_format)
    assert sampled(path, 10, decoder)[1] == [0, 3, 6]


def test_memory_does_not_grow_with_the_length_of_a_video(tmp_path):
    """A child decodes 250 times as many packets; what it needs more is their times."""
    short = write_video(tmp_path / "short.mp4", times_at(30, 20), size=(320, 240), options={"bf": "0", "crf": "40"})
    long = repeat_video(short, tmp_path / "long.mp4", 1000)
    code = (
        "import resource, sys\n"
        "from tcc.video.decode import sample_frames\n"
        "count = sum(1 for _ in sample_frames(sys.argv[1], fps=0.5, image_pixels=32, decoder='pyav', max_frames=200))\n"
        "print(count, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    peaks = []
    for path, samples in ((short, 1), (long, 200)):
        done = subprocess.run([sys.executable, "-c", code, str(path)], cwd=ROOT, stdout=subprocess.PIPE, check=True)
        count, peak = map(int, done.stdout.split())
        assert count == samples
        peaks.append(peak)
    assert peaks[1] - peaks[0] < 24 << 10
