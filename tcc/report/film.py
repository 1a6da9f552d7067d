"""Pictures over the time of a reference clip, written as H.264 that browsers play without plug-ins."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Protocol, Tuple, Union

import av
import cv2
import numpy as np

from tcc.progress import Progress, silent
from tcc.sequences import ClipSequence

LONGEST_SECONDS = 30.0  # a longer reference is played faster
_HOLD_SECONDS = 0.6  # the last picture stays, so that the eye can take it in before the video starts again
# Of x264's constant rate factors 18 looks lossless, 51 is the coarsest; 6 more halve the size, roughly.
_FINE, _COARSE, _HALVES = 21, 51, 6
# One thread, because x264's decisions depend on their number. cpu-independent, because its macroblock trees in vector
# code differ from run to run, also with one thread (6 encodings of one clip gave 6 results; with it, 40 of 40 were alike).
# bitexact leaves out versions and dates.
_REPEATABLE = {"threads": "1", "x264-params": "cpu-independent=1", "preset": "medium", "flags": "+bitexact"}
_BT601 = 6  # what cv2's conversion to YUV follows; written into the file, or a browser guesses from the picture's size


class Film(Protocol):
    """Something to be filmed; width and height are even."""

    width: int
    height: int

    def picture(self, time: float) -> np.ndarray:
        """uint8 [height, width, 3], blue first as OpenCV has it, `time` seconds after the reference began."""


@dataclass(frozen=True)
class WrittenVideo:
    """What was written.

    Attributes:
      num_frames, width, height: of the video. seconds: its duration.
      speed: how many times as fast as filmed it plays; 1 but for long clips.
      poster: JPEG of a frame from the middle.
    """

    num_frames: int
    width: int
    height: int
    seconds: float
    speed: int
    poster: bytes


def write_film(
    path: Union[str, Path],
    film: Film,
    reference: ClipSequence,
    *,
    fps: float,
    max_bytes: int,
    progress: Progress = silent,
) -> WrittenVideo:
    """Write an H.264 .mp4 (yuv420p, no sound) as long as the reference; the same input gives the same bytes.

    Args:
      path: where to; replaced whole.
      reference: the clip whose time the film goes by; one longer than 30 s is played faster.
      fps: frames per second of the video.
      max_bytes: a larger file is written again in lower quality, by as much as it is too large.
      progress: told the share of the pictures drawn.
    """
    times, speed = _clock(reference, fps)
    times = np.concatenate([times, np.full(round(_HOLD_SECONDS * fps), times[-1])])
    quality = _FINE
    _encode(Path(path), film, times, fps, quality, progress)
    while Path(path).stat().st_size > max_bytes and quality < _COARSE:
        halvings = math.ceil(math.log2(Path(path).stat().st_size / max_bytes))
        quality = min(_COARSE, quality + _HALVES * halvings)
        _encode(Path(path), film, times, fps, quality, progress)
    poster = cv2.imencode(".jpg", film.picture(times[len(times) // 2]), [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes()
    return WrittenVideo(len(times), film.width, film.height, len(times) / fps, speed, poster)


def _clock(reference: ClipSequence, fps: float) -> Tuple[np.ndarray, int]:
    """Seconds into the reference for each frame of the video, and how many times as fast as filmed that is."""
    duration = float(reference.timestamps[-1] - reference.timestamps[0])
    speed = max(1, math.ceil(duration / LONGEST_SECONDS))
    count = math.floor(duration / speed * fps + 1e-6) + 1
    return np.arange(count) * speed / fps, speed


def _encode(path: Path, film: Film, times: np.ndarray, fps: float, quality: int, progress: Progress) -> None:
    temporary = path.with_name(path.name + ".tmp")
    with av.open(str(temporary), "w", format="mp4", options={"movflags": "+faststart", "fflags": "+bitexact"}) as file:
        stream = file.add_stream("libx264", rate=_rate(fps))
        stream.width, stream.height, stream.pix_fmt = film.width, film.height, "yuv420p"
        stream.options = {"crf": str(quality), **_REPEATABLE}
        context = stream.codec_context
        context.color_primaries = context.color_trc = context.colorspace = _BT601
        context.color_range = 1  # 16 to 235
        for index, time in enumerate(times):
            planes = cv2.cvtColor(film.picture(time), cv2.COLOR_BGR2YUV_I420).astype(np.uint8, copy=False)
            frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
            frame.pts, frame.time_base = index, 1 / _rate(fps)
            file.mux(stream.encode(frame))
            progress((index + 1) / len(times), "video")
        file.mux(stream.encode())
    os.replace(temporary, path)


def _rate(fps: float) -> Fraction:
    return Fraction(fps).limit_denominator(1001)
