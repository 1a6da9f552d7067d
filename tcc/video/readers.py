"""Two decoders behind one interface: frames in order, converted only when asked for, never rotated by the decoder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Iterator, Union

import cv2
import numpy as np

from tcc.errors import SettingsError
from tcc.video.container import FFMPEG_ERRORS, UnusableVideo, VideoIndex, open_container

DECODERS = ("opencv", "pyav")


class OpenCVReader:
    """OpenCV with its own FFmpeg. `grab` decodes a frame, `retrieve` converts it."""

    def __init__(self, path: Union[str, Path], index: VideoIndex, threads: int = 1) -> None:
        self._offset = index.stream_offset_seconds
        self._capture = cv2.VideoCapture(os.path.abspath(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, threads])
        if not self._capture.isOpened():
            raise UnusableVideo(path, "cannot be opened by OpenCV")
        # Rotation is applied by us, once, after resizing; OpenCV's versions differ in whether and when they do it.
        self._capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 0)
        self.rotation = quarter_turns(self._capture.get(cv2.CAP_PROP_ORIENTATION_META))

    def times(self) -> Iterator[float]:
        """Step from frame to frame; yields its time in seconds since the first frame."""
        while self._capture.grab():
            yield self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000 - self._offset

    def retrieve(self) -> np.ndarray:
        """The frame just stepped to, uint8 BGR [H, W, 3], as it is stored."""
        return self._capture.retrieve()[1]

    def close(self) -> None:
        """Free the decoder."""
        self._capture.release()


class PyAVReader:
    """FFmpeg through PyAV. Damaged packets are passed over; the count of frames tells."""

    def __init__(self, path: Union[str, Path], index: VideoIndex, threads: int = 1) -> None:
        self._origin = index.origin_seconds
        self._opened = open_container(path)
        self._container, self._stream = self._opened.__enter__()
        self._stream.codec_context.thread_count = threads
        self._frame: Any = None
        self.rotation = 0

    def times(self) -> Iterator[float]:
        """Step from frame to frame; yields its time in seconds since the first frame, nan where it has none."""
        for frame in self._frames():
            self._frame = frame
            self.rotation = quarter_turns(-self._frame.rotation)
            pts = self._frame.pts
            yield np.nan if pts is None else float(pts * self._frame.time_base) - self._origin

    def _frames(self) -> Iterator[Any]:
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets)
            except (StopIteration, *FFMPEG_ERRORS):
                return
            yield from _decode(packet)

    def retrieve(self) -> np.ndarray:
        """The frame just stepped to, uint8 BGR [H, W, 3], as it is stored."""
        return self._frame.to_ndarray(format="bgr24")

    def close(self) -> None:
        """Free the decoder."""
        self._frame = None
        self._opened.__exit__(None, None, None)


def _decode(packet: Any) -> list:
    try:
        return packet.decode()
    except FFMPEG_ERRORS:
        return []


def quarter_turns(degrees: float) -> int:
    """Clockwise rotation as 0, 90, 180 or 270 degrees."""
    return round(degrees / 90) * 90 % 360


def open_reader(path: Union[str, Path], decoder: str, index: VideoIndex, threads: int = 1) -> Any:
    """An OpenCVReader or PyAVReader for a file.

    Raises: SettingsError for another decoder, UnusableVideo if it cannot open the file.
    """
    if decoder not in DECODERS:
        raise SettingsError(f"decoder: must be one of {', '.join(DECODERS)}; got {decoder!r}")
    # One process per clip keeps all cores busy; OpenCV's own threads would only get in each other's way.
    cv2.setNumThreads(threads)
    return (OpenCVReader if decoder == "opencv" else PyAVReader)(path, index, threads)
