"""What a container says about its video, read from its packets without decoding."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple, Union

import av
import numpy as np

from tcc.errors import VideoError
from tcc.isolation import heartbeat

# A file counts as truncated when more than one frame and more than 1 % of its frames are missing: the last packet may
# be incomplete, and a decoder may give up one damaged frame, without the clip losing its meaning.
MISSING_FRAMES_ALLOWED = 1
MISSING_FRACTION_ALLOWED = 0.01
# Containers whose header tells a duration that comes from their index or their writer; others guess it from a bit rate.
_TELLS_DURATION = ("mov", "mp4", "matroska", "webm", "avi")
# What writers of mkv and webm say of a single stream; the container's duration is that of the longest one.
_DURATION_TAG = re.compile(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)")
_HEARTBEAT_PACKETS = 1000
# These know all their frames by a table: a long time between two is meant, and what is damaged cannot be decoded.
_KNOW_ALL_FRAMES = ("mov", "mp4", "avi", "gif")
# At a constant rate nearly every frame is one period after the one before. Cameras that drop frames, and recordings of
# a screen, also keep to a grid, but leave holes all over it; what a damage takes away is a few long stretches.
_MOST_HOLES = 0.05
_LEAST_FRAMES_OF_A_RATE = 20
# From so many ticks a frame on, a rounded time leaves no doubt about the frame's number.
_LEAST_TICKS_OF_A_FRAME = 4
_MILLISECOND = Fraction(1, 1000)
# FFmpeg's own errors are not all OSErrors: the end of a file in its middle is an EOFError.
FFMPEG_ERRORS = (av.error.FFmpegError, OSError, ValueError)


class UnusableVideo(VideoError):
    """A video that cannot be used; `reason` is the message without the path."""

    def __init__(self, path: Union[str, Path], reason: str) -> None:
        super().__init__(str(path), reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.args[0]}: {self.reason}"


@dataclass(frozen=True)
class VideoIndex:
    """The video stream of a file as its container describes it.

    Attributes:
      timestamps: float64 [n], seconds of each frame since the first one, sorted, rounded to nanoseconds. Where a container
        rounds to milliseconds (mkv, webm, flv) and its times are those of a constant rate, they are the exact ones.
      stream_offset_seconds: the first frame's time counted from the stream's own start, which OpenCV counts from.
      origin_seconds: the first frame's time in the container.
      counts_only: the container knows no times, only an order of frames (avi, raw streams).
      missing_frames: frames that the container promises and does not hold at its end.
      lost_inside: frames of a constant rate that are not there between others, because their packets were lost.
      period_seconds: median time between frames (0 for a single frame).
      codec, average_fps: as the container tells.
    """

    timestamps: np.ndarray
    stream_offset_seconds: float
    origin_seconds: float
    counts_only: bool
    missing_frames: int
    period_seconds: float
    codec: str
    average_fps: float
    lost_inside: int = 0

    def __len__(self) -> int:
        return len(self.timestamps)

    @property
    def duration_seconds(self) -> float:
        """From the first frame to the end of the last one; of a single frame, the time that its rate gives it."""
        alone = 1 / self.average_fps if self.average_fps else 0.0
        return float(self.timestamps[-1]) + (self.period_seconds if len(self) > 1 else alone)


def check_complete(path: Union[str, Path], found: int, expected: int) -> None:
    """Raise UnusableVideo if the container holds fewer frames than a clip may lack without losing its meaning."""
    if incomplete(found, expected):
        raise UnusableVideo(path, f"truncated: {found} of {expected} frames; copy or record the file again")


def check_decoded(path: Union[str, Path], decoded: int, expected: int) -> None:
    """The same of frames that are there and cannot be decoded."""
    if incomplete(decoded, expected):
        raise UnusableVideo(
            path, f"damaged: {decoded} of {expected} frames can be decoded; copy or record the file again"
        )


def incomplete(found: int, expected: int) -> bool:
    """Whether more frames are missing than a clip may lack without losing its meaning."""
    return expected - found > max(MISSING_FRAMES_ALLOWED, MISSING_FRACTION_ALLOWED * expected)


@contextlib.contextmanager
def open_container(path: Union[str, Path]) -> Iterator[Tuple[Any, Any]]:
    """The opened container and its first video stream; what FFmpeg or the file system refuses becomes UnusableVideo."""
    # An absolute path: FFmpeg would take "a:b.mp4" for a protocol.
    try:
        container = av.open(os.path.abspath(path), metadata_errors="ignore")
    except FFMPEG_ERRORS as error:
        raise UnusableVideo(path, f"cannot be read as a video ({error_text(error)})") from error
    with container:
        stream = next((s for s in container.streams.video if not _is_cover(s)), None)
        if stream is None:
            raise UnusableVideo(path, "holds no video stream")
        yield container, stream


def _is_cover(stream: Any) -> bool:
    disposition = getattr(stream, "disposition", None)
    return bool(disposition is not None and disposition & type(disposition).attached_pic)


def error_text(error: BaseException) -> str:
    """What went wrong, without the path, so that the text is the same on every machine."""
    return str(getattr(error, "strerror", None) or error or type(error).__name__)


def decode_packet(packet: Any) -> list:
    """The frames that a packet completes; none if it is damaged."""
    try:
        return packet.decode()
    except FFMPEG_ERRORS:
        return []


def frame_seconds(frame: Any) -> float:
    """A frame's time in the container, nan where it has none."""
    if frame.pts is None:
        return float("nan")
    base = frame.time_base
    return frame.pts * base.numerator / base.denominator


def read_index(path: Union[str, Path]) -> VideoIndex:
    """Read the packets of a file and order their times.

    Raises: UnusableVideo if it cannot be opened or holds no frame.
    """
    with open_container(path) as (container, stream):
        return index_packets(path, container, stream).index


@dataclass(frozen=True)
class Packets:
    """What one pass over the packets of a container found.

    Attributes:
      index: their times.
      frames: the first frames, of PyAV.
      first: what tells the video stream's first packet from the others.
      passed_over: packets of no frame that a decoder can show: those before the first key frame.
    """

    index: VideoIndex
    frames: List[Any]
    first: Tuple
    passed_over: int = 0


def index_packets(path: Union[str, Path], container: Any, stream: Any, num_frames: int = 0) -> Packets:
    """Read an opened container to its end, order the times of its packets, and decode `num_frames` frames on the way.

    Raises: UnusableVideo if it holds no frame.
    """
    if stream.codec_context is not None:
        stream.codec_context.thread_count = 1
    packets, ends, frames = _demux(container, stream, num_frames)
    times = _displayed(packets)
    if not times:
        raise UnusableVideo(path, "holds no frame")
    if stream.codec_context is None:
        raise UnusableVideo(path, "is of a codec that FFmpeg does not know; convert it to H.264")
    counts_only = any(pts is None for pts, *_ in packets) or container.format.name == "avi"
    index = _index(container, stream, times, ends, counts_only)
    return Packets(index, frames, packets[0], len(packets) - len(times))


def rewind(container: Any, stream: Any, first: Tuple) -> Iterator[Any]:
    """The video packets of a container that was read to its end, once more from the first one.

    Opening the file again would decode its first frames again, only to find out about the stream. mp4 and mov have an
    index of their packets, so that going back is exact; that it was is checked by the first packet.

    Raises: CannotRewind for other containers, or if another packet comes first.
    """
    if "mp4" not in container.format.name.split(",") or first[1] is None:
        raise CannotRewind
    try:
        container.seek(first[1], stream=stream)
        packets = container.demux(stream)
        packet = next(packets)
    except (StopIteration, *FFMPEG_ERRORS) as error:
        raise CannotRewind from error
    if _describe(packet) != first:
        raise CannotRewind
    return itertools.chain([packet], packets)


class CannotRewind(Exception):
    """A container must be opened again to be read again."""


def _describe(packet: Any) -> Tuple:
    return packet.pts, packet.dts, packet.is_keyframe, packet.is_discard


def _demux(container: Any, stream: Any, num_frames: int) -> Tuple[List[Tuple], Dict[int, float], List[Any]]:
    packets: List[Tuple[Optional[int], Optional[int], bool, bool]] = []
    ticks: Dict[int, int] = {}
    frames: List[Any] = []
    # What cannot be read any more ends the file; the missing frames tell.
    with contextlib.suppress(*FFMPEG_ERRORS):
        # All streams: the sound may last longer than the picture, and a duration counts the longest.
        for count, packet in enumerate(container.demux()):
            if count % _HEARTBEAT_PACKETS == 0:
                heartbeat()
            number, pts, size = packet.stream_index, packet.pts, packet.size
            if size and pts is not None:
                end = pts + (packet.duration or 0)
                ticks[number] = max(end, ticks.get(number, end))
            if size and number == stream.index:
                packets.append(_describe(packet))
            # The empty packet at the end brings out what the decoder holds back.
            if len(frames) < num_frames and number == stream.index and stream.codec_context is not None:
                frames += decode_packet(packet)
    ends = {number: float(end * container.streams[number].time_base) for number, end in ticks.items()}
    return packets, ends, frames[:num_frames]


def _displayed(packets: List[Tuple]) -> List[int]:
    """Sorted times, in units of the stream, of the frames that a decoder can show."""
    if any(pts is None for pts, *_ in packets):
        times = [dts for _, dts, _, discard in packets if not discard]
        return sorted(times) if all(dts is not None for dts in times) else list(range(len(times)))
    # Before the first key frame there is nothing to decode from; that also goes for what is stored behind it and shown
    # before it.
    earliest = next((pts for pts, _, is_key, _ in packets if is_key), None)
    return sorted(pts for pts, _, _, discard in packets if not discard and (earliest is None or pts >= earliest))


def _index(container: Any, stream: Any, times: List[int], ends: Dict[int, float], counts_only: bool) -> VideoIndex:
    base = stream.time_base
    ticks = np.asarray(times, np.int64)
    ticks = ticks - ticks[0]
    # The average may be of the rounded times; the other is FFmpeg's guess among the usual rates.
    grid = None if counts_only else _constant_rate(ticks, base, (stream.base_rate, stream.average_rate))
    numbers, rate = (ticks, 1 / base) if grid is None or base > _MILLISECOND else grid
    seconds = np.round(numbers * rate.denominator / rate.numerator * 1e9) / 1e9
    period = float(np.median(np.diff(seconds))) if len(seconds) > 1 else 0.0
    return VideoIndex(
        timestamps=seconds,
        stream_offset_seconds=float((times[0] - (stream.start_time or 0)) * base),
        origin_seconds=float(times[0] * base),
        counts_only=counts_only,
        missing_frames=_missing_frames(container, stream, len(times), ends, period),
        period_seconds=period,
        codec=_codec_name(stream),
        average_fps=float(stream.average_rate or 0),
        lost_inside=_lost_inside(container, grid),
    )


def _constant_rate(
    ticks: np.ndarray, base: Fraction, rates: Sequence[Optional[Fraction]]
) -> Optional[Tuple[np.ndarray, Fraction]]:
    """The frames' numbers at the first of the rates that gives their times; None if they are of no constant rate.

    Args:
      ticks: int64 [n], sorted, the first one 0, each rounded to a whole number of `base` seconds by the writer.
    """
    for rate in rates:
        if not rate or 1 / (rate * base) < _LEAST_TICKS_OF_A_FRAME or len(ticks) < 2:
            continue
        period = 1 / (rate * base)
        numbers = np.rint(ticks * (period.denominator / period.numerator)).astype(np.int64)
        apart = ticks - numbers * (period.numerator / period.denominator)
        steps = np.diff(numbers)
        # Each time is half a tick off at most, in either direction.
        if np.ptp(apart) <= 1 + 1e-6 and steps.min() > 0 and (steps > 1).mean() <= _MOST_HOLES:
            return numbers, rate
    return None


def _lost_inside(container: Any, grid: Optional[Tuple[np.ndarray, Fraction]]) -> int:
    if grid is None or set(container.format.name.split(",")) & set(_KNOW_ALL_FRAMES):
        return 0
    numbers, _ = grid
    return int(numbers[-1]) + 1 - len(numbers) if len(numbers) >= _LEAST_FRAMES_OF_A_RATE else 0


def _codec_name(stream: Any) -> str:
    # The decoder's name may be that of a library (libdav1d); the codec's own name is what people know.
    return str(getattr(stream.codec_context.codec, "canonical_name", None) or stream.codec_context.name)


def _missing_frames(container: Any, stream: Any, found: int, ends: Dict[int, float], period: float) -> int:
    """Frames between the last packet and the end that the header tells; 0 where it tells none that can be trusted.

    Both signs must agree where both are there: an edit list also makes a file hold fewer frames than its table.
    """
    if not ends or period <= 0 or not set(container.format.name.split(",")) & set(_TELLS_DURATION):
        return 0
    by_time = max(0, round(_missing_seconds(container, stream, ends) / period))
    by_count = max(0, stream.frames - found) if stream.frames else by_time
    # The count is exact; the time only says whether the missing frames lie beyond the end.
    return by_count if 2 * by_time > by_count else min(by_time, by_count)


def _missing_seconds(container: Any, stream: Any, ends: Dict[int, float]) -> float:
    end = ends.get(stream.index, 0.0)
    if stream.duration is not None:
        start = (stream.start_time or 0) * stream.time_base
        # FFmpeg shortens the duration of an avi that is cut off; its header still counts the frames, one a tick.
        ticks = max(stream.duration, stream.frames) if container.format.name == "avi" else stream.duration
        return float(start + ticks * stream.time_base) - end
    tagged = _DURATION_TAG.fullmatch(stream.metadata.get("DURATION", ""))
    if tagged:
        hours, minutes, seconds = map(float, tagged.groups())
        return 3600 * hours + 60 * minutes + seconds - end
    if container.duration is not None:
        start = (container.start_time or 0) / av.time_base
        return start + container.duration / av.time_base - max(ends.values())
    return 0.0
