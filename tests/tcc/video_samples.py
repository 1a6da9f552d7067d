"""Small videos for the tests, made by the tests: a moving pattern whose every frame tells its own number."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path
from typing import Optional, Sequence, Union

import av
import numpy as np

TIME_BASE = Fraction(1, 90000)
NUM_BITS = 8


def picture(index: int, *, width: int = 96, height: int = 64) -> np.ndarray:
    """RGB frame `index`: its number as eight black or white bars on the left half, colored corners on the right."""
    image = np.full((height, width, 3), 128, np.uint8)
    bar = height // NUM_BITS
    for bit in range(NUM_BITS):
        image[bit * bar : (bit + 1) * bar, : width // 2] = 235 if index >> bit & 1 else 20
    image[: height // 2, width // 2 :] = (200, 40, 40)
    image[height // 2 :, 3 * width // 4 :] = (40, 60, 200)
    return image


def number_of(frame: np.ndarray) -> int:
    """The number that `picture` wrote into a frame, also after resizing and compression."""
    height, width = frame.shape[:2]
    rows = ((np.arange(NUM_BITS) + 0.5) * height / NUM_BITS).astype(int)
    bars = frame[rows, width // 8 : 3 * width // 8].mean(axis=(1, 2))
    return int(sum(int(value > 128) << bit for bit, value in enumerate(bars)))


def write_video(
    path: Path,
    times: Sequence[float],
    *,
    codec: str = "libx264",
    size: tuple = (96, 64),
    pixel_format: Optional[str] = None,
    numbers: Optional[Sequence[int]] = None,
    options: Optional[dict] = None,
    container_options: Optional[dict] = None,
    rate: Union[int, Fraction] = 30,
    constant_rate: bool = False,
) -> Path:
    """Write frames at the given times in seconds; frame i shows numbers[i] (i by default).

    `constant_rate` counts frames instead of setting times, for containers that know no times (avi) and for codecs
    that only take a frame period as time base (mpeg4).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", options=container_options or {}) as container:
        stream = container.add_stream(codec, rate=rate, options=options or {})
        stream.width, stream.height = size
        stream.pix_fmt = pixel_format or {"mjpeg": "yuvj420p", "gif": "rgb8"}.get(codec, "yuv420p")
        base = Fraction(1, rate) if constant_rate else TIME_BASE
        stream.codec_context.time_base = base
        for position, seconds in enumerate(times):
            number = position if numbers is None else numbers[position]
            frame = av.VideoFrame.from_ndarray(picture(number, width=size[0], height=size[1]), format="rgb24")
            frame.pts = position if constant_rate else round(seconds / base)
            frame.time_base = base
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)
    return path


def times_at(fps: float, count: int) -> list:
    """Times in seconds of `count` frames at a constant rate."""
    return [index / fps for index in range(count)]


def repeat_video(source: Path, target: Path, times: int) -> Path:
    """Write a video's packets `times` times after each other, without encoding: a long video in a moment."""
    with av.open(str(source)) as container, av.open(str(target), "w") as output:
        stream = container.streams.video[0]
        packets = [(bytes(p), p.pts, p.dts, p.is_keyframe) for p in container.demux(stream) if p.size]
        base, span = stream.time_base, round(len(packets) / stream.average_rate / stream.time_base)
        copy = output.add_stream_from_template(stream)
        for repeat in range(times):
            for content, pts, dts, is_keyframe in packets:
                packet = av.Packet(content)
                packet.stream, packet.time_base, packet.is_keyframe = copy, base, is_keyframe
                packet.pts, packet.dts = pts + repeat * span, dts + repeat * span
                output.mux(packet)
    return target


_MATRICES = {
    90: (0, 1, -1, 0),
    180: (-1, 0, 0, -1),
    270: (0, -1, 1, 0),
}


def set_rotation(path: Path, degrees: int) -> Path:
    """Write a display rotation (clockwise) into the track header of an .mp4, as phones do."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd")
    matrix_at = at + 4 + 4 + 20 + 8 + 8
    a, b, c, d = _MATRICES[degrees]
    one = 1 << 16
    data[matrix_at : matrix_at + 36] = struct.pack(">9i", a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30)
    path.write_bytes(bytes(data))
    return path


def truncate(path: Path, fraction: float) -> Path:
    """Cut a file down to a fraction of its bytes."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * fraction)])
    return path


def wipe_packets(path: Path, numbers: Sequence[int]) -> Path:
    """Write zeros over the content of some packets, as a bad spot of a disk does; what says where they are stays."""
    with av.open(str(path)) as container:
        spots = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    data = bytearray(path.read_bytes())
    for start, size in (spots[number] for number in numbers):
        data[start : start + size] = bytes(size)
    path.write_bytes(bytes(data))
    return path


def wipe(path: Path, start: float, end: float) -> Path:
    """Write zeros over the part of a file between two fractions of its length."""
    data = bytearray(path.read_bytes())
    first, last = int(len(data) * start), int(len(data) * end)
    data[first:last] = bytes(last - first)
    path.write_bytes(bytes(data))
    return path
