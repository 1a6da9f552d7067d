"""Decoders behind one interface: frames in order, made into small pictures only when asked for."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any, Iterator, Set, Tuple, Union

import cv2
import numpy as np
from av.video.frame import PictureType

from tcc.errors import SettingsError
from tcc.video.container import (
    FFMPEG_ERRORS,
    CannotRewind,
    UnusableVideo,
    VideoIndex,
    decode_packet,
    frame_seconds,
    index_packets,
    open_container,
    read_index,
    rewind,
)
from tcc.video.image_sequences import IMAGES_DECODER, ImageReader, read_image_index
from tcc.video.pictures import BgrPicture, Picture, View
from tcc.video.planes import has_planes, read_planes
from tcc.video.resize import fit, placement, upright

DECODERS = ("opencv", "pyav", IMAGES_DECODER)


class OpenCVReader:
    """OpenCV with its own FFmpeg. `grab` decodes a frame, `retrieve` converts it.

    Where the container knows no times, it counts its frames, and is wrong behind one that it could not decode.
    """

    def __init__(self, path: Union[str, Path], index: VideoIndex, threads: int = 1) -> None:
        self.index = index
        self.only_counts = index.counts_only
        self._offset = index.stream_offset_seconds
        with _name_for_opencv(path) as name:
            self._capture = cv2.VideoCapture(name, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, threads])
        if not self._capture.isOpened():
            raise UnusableVideo(path, "cannot be opened by OpenCV")
        # Rotation is applied by us, once, after resizing; OpenCV's versions differ in whether and when they do it.
        self._capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 0)
        self.rotation = quarter_turns(self._capture.get(cv2.CAP_PROP_ORIENTATION_META))
        self.size: Tuple[int, int] = (0, 0)

    def times(self) -> Iterator[float]:
        """Step from frame to frame; yields its time in seconds since the first frame."""
        count = 0
        while self._capture.grab():
            if self.only_counts:
                yield float(self.index.timestamps[min(count, len(self.index) - 1)])
            else:
                yield self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000 - self._offset
            count += 1

    def picture(self, view: View) -> Picture:
        """The frame just stepped to, small and upright; `size` is from now on (width, height) as it is stored."""
        image = self._capture.retrieve()[1]
        self.size = (image.shape[1], image.shape[0])
        return _bgr_picture(image, view, self.rotation)

    def close(self) -> None:
        """Free the decoder."""
        self._capture.release()


@contextlib.contextmanager
def _name_for_opencv(path: Union[str, Path]) -> Iterator[str]:
    """A path that OpenCV can take: it dies of one that is not UTF-8, which is opened for it."""
    name = os.path.abspath(path)
    try:
        name.encode()
    except UnicodeEncodeError:
        with open(name, "rb") as file:
            yield f"/dev/fd/{file.fileno()}"
    else:
        yield name


class PacketPlaces:
    """Which frames of a container without times the decoder shows, if it passes over some without a word.

    A decoder tells of each frame which packet it came from. Without B-frames, the number of the packet is the place of
    the frame. B-frames are stored behind the frame that they are shown before: so what is stored before a frame of
    another kind, and has not come out when that does, is lost. Until then, frames behind a lost one stand too early.

    Args:
      passed_over: packets of no frame at the beginning.
    """

    def __init__(self, passed_over: int) -> None:
        self._passed_over = passed_over
        self._fed = self._shown = 0
        self._place = -1
        self._waiting: Set[int] = set()
        self._lost: Set[int] = set()

    def feed(self) -> int:
        """The number of a packet that is given to the decoder now."""
        self._waiting.add(self._fed)
        self._fed += 1
        return self._fed - 1

    def place(self, packet: int, *, is_b_frame: bool) -> int:
        """The place of a frame that came from a packet; -1 for the first frames where they are passed over."""
        if packet not in self._waiting and packet not in self._lost:
            return self._place
        self._waiting.discard(packet)
        self._lost.discard(packet)
        if not is_b_frame:
            behind = {number for number in self._waiting if number < packet}
            self._waiting -= behind
            self._lost |= behind
        self._place = max(self._place, self._shown + len(self._lost) - self._passed_over)
        self._shown += 1
        return self._place


class PyAVReader:
    """FFmpeg through PyAV. Damaged packets are passed over; the count of frames tells."""

    only_counts = False

    def __init__(self, path: Union[str, Path], threads: int = 1) -> None:
        self._frame: Any = None
        with contextlib.ExitStack() as opened:
            container, stream = opened.enter_context(open_container(path))
            found = index_packets(path, container, stream)
            self.index: VideoIndex = found.index
            self._places = PacketPlaces(found.passed_over) if found.index.counts_only else None
            try:
                self._packets = rewind(container, stream, found.first)
            except CannotRewind:
                opened.close()
                container, stream = opened.enter_context(open_container(path))
                self._packets = container.demux(stream)
            stream.codec_context.thread_count = threads
            self._opened = opened.pop_all()

    def times(self) -> Iterator[float]:
        """Step from frame to frame; yields its time in seconds since the first frame, nan where it has none."""
        for frame in self._frames():
            self._frame = frame
            yield self._seconds(frame)

    def _frames(self) -> Iterator[Any]:
        while True:
            try:
                packet = next(self._packets)
            except (StopIteration, *FFMPEG_ERRORS):
                return
            if self._places is not None and packet.size:
                packet.pts = self._places.feed()
            yield from decode_packet(packet)

    def _seconds(self, frame: Any) -> float:
        if self._places is None or frame.pts is None:
            return frame_seconds(frame) - self.index.origin_seconds
        place = self._places.place(frame.pts, is_b_frame=frame.pict_type == PictureType.B)
        return float(self.index.timestamps[min(max(place, 0), len(self.index) - 1)])

    def picture(self, view: View) -> Picture:
        """The frame just stepped to, small and upright."""
        return picture_of(self._frame, view)

    def close(self) -> None:
        """Free the decoder."""
        self._frame = None
        self._opened.close()


def picture_of(frame: Any, view: View) -> Picture:
    """A frame of PyAV, small and upright: by its planes where it has such, else converted whole."""
    rotation = rotation_of(frame)
    if has_planes(frame):
        return read_planes(frame, view, rotation)
    return _bgr_picture(frame.to_ndarray(format="bgr24"), view, rotation)


def _bgr_picture(image: np.ndarray, view: View, rotation: int) -> BgrPicture:
    where = placement(image.shape[1], image.shape[0], view.pixels, view.resize)
    return BgrPicture(upright(fit(image, where), rotation))


def rotation_of(frame: Any) -> int:
    """How a frame of PyAV must be turned to be upright, clockwise degrees: 0, 90, 180 or 270."""
    return quarter_turns(-frame.rotation)


def quarter_turns(degrees: float) -> int:
    """Clockwise rotation as 0, 90, 180 or 270 degrees."""
    return round(degrees / 90) * 90 % 360


class FolderReader(ImageReader):
    """A folder of images as a video."""

    def __init__(self, path: Union[str, Path], fps: float) -> None:
        self.index = read_image_index(path, fps)
        super().__init__(path, self.index)

    def picture(self, view: View) -> Picture:
        """The image just stepped to, small."""
        return _bgr_picture(self.retrieve(), view, self.rotation)


def open_reader(path: Union[str, Path], decoder: str, *, threads: int = 1, image_fps: float = 0.0) -> Any:
    """A reader for a file, or for a folder of images at `image_fps` frames per second; it has read the `index`.

    Raises: SettingsError for another decoder, UnusableVideo if it cannot open the file or holds no frame.
    """
    if decoder not in DECODERS:
        raise SettingsError(f"decoder: must be one of {', '.join(DECODERS)}; got {decoder!r}")
    # One process per clip keeps all cores busy; OpenCV's own threads would only get in each other's way.
    cv2.setNumThreads(threads)
    if decoder == IMAGES_DECODER:
        return FolderReader(path, image_fps)
    if decoder == "opencv":
        return OpenCVReader(path, read_index(path), threads)
    return PyAVReader(path, threads)
