"""Frames by their planes: the colors are those that the stream means, whatever its format, range and matrix."""

from __future__ import annotations

import av
import cv2
import numpy as np
import pytest
import simplejpeg

from tcc.video.pictures import BgrPicture, View, YuvPicture
from tcc.video.planes import has_planes, is_bt601, read_planes
from tcc.video.readers import picture_of
from tests.tcc.video_samples import picture, times_at, write_video

LIMITED, FULL = 1, 2
# Number of the matrix in a stream -> shares of red and blue in luma, as the standards print them.
MATRICES = {1: (0.2126, 0.0722), 2: (0.299, 0.114), 4: (0.30, 0.11), 5: (0.299, 0.114), 7: (0.212, 0.087)}
MATRICES[9] = (0.2627, 0.0593)
COLORS = [(0, 0, 0), (255, 255, 255), (200, 40, 40), (30, 180, 60), (40, 60, 200), (128, 128, 128), (220, 210, 30)]


def exact_yuv(rgb, matrix, full):
    """One color as a stream stores it, by the definition."""
    (kr, kb), (r, g, b) = MATRICES[matrix], np.array(rgb) / 255
    y = kr * r + (1 - kr - kb) * g + kb * b
    u, v = (b - y) / (2 - 2 * kb), (r - y) / (2 - 2 * kr)
    return (255 * y, 255 * u + 128, 255 * v + 128) if full else (16 + 219 * y, 128 + 224 * u, 128 + 224 * v)


def frame_of(rgb, *, pixel_format="yuv420p", matrix=2, color_range=LIMITED, size=(40, 24)):
    """A frame of PyAV of one color."""
    full = color_range == FULL or pixel_format.startswith("yuvj")
    frame = av.VideoFrame(*size, pixel_format)
    levels = exact_yuv(rgb, matrix, full)
    for number, (plane, level) in enumerate(zip(frame.planes, levels)):
        if pixel_format == "nv12" and number == 1:
            lines = np.tile(np.round(levels[1:]).astype(np.uint8), plane.buffer_size // 2)
        elif "10" in pixel_format:
            lines = np.full(plane.buffer_size // 2, round(4 * level), "<u2")
        else:
            lines = np.full(plane.buffer_size, round(level), np.uint8)
        plane.update(lines.tobytes())
    frame.colorspace, frame.color_range = matrix, color_range
    return frame


def shown_color(frame, chroma="420"):
    small = read_planes(frame, View(16, chroma=chroma), 0)
    assert small.y.shape == (16, 16) and small.y.dtype == np.uint8
    return small.bgr()[..., ::-1].reshape(-1, 3).mean(axis=0)


@pytest.mark.parametrize("matrix", sorted(MATRICES))
@pytest.mark.parametrize("color_range", [LIMITED, FULL])
def test_colors_are_right_for_every_matrix_and_range(matrix, color_range):
    for rgb in COLORS:
        shown = shown_color(frame_of(rgb, matrix=matrix, color_range=color_range))
        assert np.abs(shown - rgb).max() <= 3, rgb
        assert np.abs(shown - rgb).mean() <= 2, rgb


@pytest.mark.parametrize("matrix", [1, 5])
@pytest.mark.parametrize(
    "pixel_format",
    ["yuv422p", "yuv444p", "yuvj420p", "yuvj422p", "yuvj444p", "nv12", "yuv420p10le", "yuv422p10le", "yuv444p10le"],
)
def test_colors_are_right_for_every_format(pixel_format, matrix):
    for rgb in COLORS:
        for chroma in ("420", "422", "444"):
            assert np.abs(shown_color(frame_of(rgb, pixel_format=pixel_format, matrix=matrix), chroma) - rgb).max() <= 3


def test_a_frame_that_names_no_range_is_of_limited_range():
    frame = frame_of((200, 40, 40), color_range=0)
    assert np.abs(shown_color(frame) - (200, 40, 40)).max() <= 3


@pytest.mark.parametrize(
    ("codec", "pixel_format"),
    [
        ("libx264", "yuv420p"),
        ("libx264", "yuv422p"),
        ("libx264", "yuv444p"),
        ("libx264", "yuvj420p"),
        ("libx265", "yuv420p10le"),
    ],
)
@pytest.mark.parametrize("size", [(320, 240), (641, 361)])
def test_planes_are_near_what_ffmpeg_converts(tmp_path, codec, pixel_format, size):
    """FFmpeg's own BGR of the whole frame, made small, beside the planes made small."""
    if "444" not in pixel_format:
        size = (size[0] // 2 * 2, size[1] // 2 * 2)
    path = write_video(tmp_path / "a.mkv", times_at(30, 5), codec=codec, pixel_format=pixel_format, size=size)
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            expected = cv2.resize(frame.to_ndarray(format="bgr24"), (224, 224), interpolation=cv2.INTER_AREA)
            assert has_planes(frame)
            for chroma in ("420", "444"):
                shown = read_planes(frame, View(224, chroma=chroma), 0).bgr()
                assert np.abs(shown.astype(float) - expected).mean() <= 2


def test_the_padding_of_lines_is_left_out():
    """Lines of 34 pixels are padded in memory; a ramp over them stays a ramp."""
    frame = av.VideoFrame(34, 32, "yuv444p")
    for plane in frame.planes:
        assert plane.line_size > 34
        lines = np.zeros((plane.height, plane.line_size), np.uint8)
        lines[:, :34] = np.arange(34) * 7
        plane.update(lines.tobytes())
    frame.color_range = FULL
    small = read_planes(frame, View(32, chroma="444"), 0)
    for plane in (small.y, small.u, small.v):
        assert (np.diff(plane.astype(int), axis=1) >= 6).all() and plane.max() > 230


@pytest.mark.parametrize("pixel_format", ["rgb24", "gray", "yuva420p", "pal8", "rgba", "yuv420p12le", "gbrp"])
def test_other_formats_have_no_planes_to_read(pixel_format):
    assert not has_planes(av.VideoFrame(32, 32, pixel_format))


def test_a_matrix_that_is_not_known_has_no_planes_to_read():
    frame = frame_of((0, 0, 0))
    assert has_planes(frame) and is_bt601(frame)
    frame.colorspace = 1
    assert has_planes(frame) and not is_bt601(frame)
    frame.colorspace = 8
    assert not has_planes(frame)


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("resize", ["stretch", "letterbox", "center_crop"])
@pytest.mark.parametrize("chroma", ["420", "422", "444"])
def test_planes_show_what_bgr_shows(rotation, resize, chroma):
    frame = av.VideoFrame.from_ndarray(picture(77, width=192, height=128), format="rgb24").reformat(format="yuv420p")
    frame.color_range = LIMITED
    view = View(65, resize, chroma)
    planes = read_planes(frame, view, rotation)
    plain = av.VideoFrame.from_ndarray(picture(77, width=192, height=128), format="rgb24")
    bgr = np.ascontiguousarray(np.rot90(picture_of(plain, view).bgr(), -rotation // 90))
    assert np.abs(planes.bgr().astype(float) - bgr).mean() < 8
    for encoded in (planes.jpeg(95, chroma), BgrPicture(bgr).jpeg(95, chroma)):
        assert simplejpeg.decode_jpeg_header(encoded) == (65, 65, "YCbCr", chroma)
        assert np.abs(simplejpeg.decode_jpeg(encoded, colorspace="BGR").astype(float) - bgr).mean() < 8


def test_the_bars_of_a_letterbox_are_black():
    boxed = read_planes(frame_of((200, 40, 40)), View(40, "letterbox"), 0).bgr()
    assert (boxed[:7] == 0).all() and (boxed[-7:] == 0).all()
    assert np.abs(boxed[9:-9, :, ::-1].astype(int) - (200, 40, 40)).max() <= 3


def test_brightness_is_mean_luma():
    image = np.zeros((4, 4, 3), np.uint8)
    image[:2] = (10, 20, 200)
    assert BgrPicture(image).brightness() == pytest.approx((0.114 * 10 + 0.587 * 20 + 0.299 * 200) / 2)
    plane = np.full((4, 4), 100, np.uint8)
    plane[0] = 20
    assert YuvPicture(plane, plane, plane).brightness() == pytest.approx(80)
    for rgb, luma in (((0, 0, 0), 0), ((255, 255, 255), 255), ((200, 40, 40), 87.84)):
        assert read_planes(frame_of(rgb), View(16), 0).brightness() == pytest.approx(luma, abs=1)
