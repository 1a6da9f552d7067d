"""Sampling by time: the right frames, at the right times, the right way up."""

from __future__ import annotations

import dataclasses

import av
import cv2
import numpy as np
import pytest

from tcc.errors import SettingsError, VideoError
from tcc.video import sample_frames, sampling_plan
from tcc.video.container import read_index
from tcc.video.decode import TimestampsDisagree, place_of
from tcc.video.pictures import BgrPicture
from tcc.video.readers import OpenCVReader, open_reader
from tcc.video.resize import shrink, upright
from tests.tcc.video_samples import number_of, picture, set_rotation, times_at, truncate, write_video

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
    with pytest.raises(VideoError, match=r"z\.mp4: truncated: \d+ of 90 frames"):
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
            with pytest.raises(VideoError, match="truncated: 10 of 12 frames"):
                sampled(path, 10)


def test_a_decoder_that_tells_other_times_is_caught(tmp_path):
    path = write_video(tmp_path / "a.mp4", times_at(10, 12))
    index = read_index(path)
    assert place_of(path, index, 0.3001, 5, 4) == 3
    assert place_of(path, index, np.nan, 5, 4) == 5
    assert place_of(path, dataclasses.replace(index, counts_only=True), 0.35, 5, 4) == 5
    with pytest.raises(
        TimestampsDisagree, match=r"a.mp4: the decoder shows a frame at 0.350 s that the container does"
    ):
        place_of(path, index, 0.35, 3, 2)


def test_unreadable_files_and_unknown_decoders_are_refused(tmp_path):
    (tmp_path / "text.mp4").write_text("text")
    with pytest.raises(VideoError, match=r"text.mp4: cannot be read as a video \(Invalid data found when processing"):
        list(sample_frames(tmp_path / "text.mp4", fps=10, image_pixels=32))
    path = write_video(tmp_path / "a.mp4", [0.0])
    with pytest.raises(SettingsError, match="decoder: must be one of opencv, pyav; got 'decord'"):
        open_reader(path, "decord")
    with pytest.raises(VideoError, match=r"text.mp4: cannot be opened by OpenCV"):
        OpenCVReader(tmp_path / "text.mp4", read_index(path))


def test_shrinking_keeps_the_mean_of_what_it_covers():
    """A mean of n pixels of noise deviates 1 / sqrt(n) as much; bilinear alone takes 4 pixels, whatever it skips."""
    noise = np.random.default_rng([0, 7]).integers(0, 256, (512, 1031, 3)).astype(np.uint8)
    small = shrink(noise, 64, 64)
    assert small.shape == (64, 64, 3)
    assert small.std() < 1.2 * noise.std() / np.sqrt(512 * 1031 / 64**2)
    assert shrink(noise, 600, 600).shape == (600, 600, 3)


def test_shrinking_is_near_the_exact_area():
    rng = np.random.default_rng([0, 5])
    image = cv2.GaussianBlur(rng.integers(0, 256, (721, 1281, 3)).astype(np.uint8), (0, 0), 6)
    exact = cv2.resize(image, (224, 224), interpolation=cv2.INTER_AREA).astype(float)
    assert np.abs(shrink(image, 224, 224) - exact).mean() < 1.0


def test_upright_turns_clockwise():
    image = np.zeros((4, 4, 3), np.uint8)
    image[0, 0] = 255
    corners = {degrees: tuple(np.argwhere(upright(image, degrees)[..., 0])[0]) for degrees in (0, 90, 180, 270)}
    assert corners == {0: (0, 0), 90: (0, 3), 180: (3, 3), 270: (3, 0)}
