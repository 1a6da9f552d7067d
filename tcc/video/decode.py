"""Frames at a fixed rate, chosen by the container's timestamps."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Generator, Iterator, Tuple, Union

import numpy as np

from tcc.config import FramesConfig
from tcc.errors import VideoError
from tcc.isolation import heartbeat
from tcc.video.container import UnusableVideo, VideoIndex, check_complete, check_decoded
from tcc.video.pictures import Picture, View
from tcc.video.readers import open_reader

Frame = Tuple[float, np.ndarray]

# More repeated frames than this point to a jump in the timestamps, not to a slow camera.
_MAX_REPEATS = 100
_MIN_REFUSED = 1000
# Decoder and container tell the same times up to the rounding of milliseconds.
_TIME_TOLERANCE_SECONDS = 2e-3
_SAME_TIME_SECONDS = 1e-6
# In frames of the sampling clock: k / fps is not exact in floating point.
_CLOCK_TOLERANCE = 1e-6


class TimestampsDisagree(UnusableVideo):
    """The decoder shows frames at other times than the container has, or cannot tell: another may do better."""


@dataclass(frozen=True)
class Sample:
    """One sampled frame.

    Attributes:
      seconds: the frame's own time since the first frame of the source.
      source_frame: its number in the source, in the order of display.
      picture: small and upright; the same object again where the same frame is needed again.
    """

    seconds: float
    source_frame: int
    picture: Picture


def _ignore(missing: int) -> None:
    pass


def sampling_plan(
    timestamps: np.ndarray, fps: float, *, start_seconds: float = 0.0, end_seconds: float = 0.0, max_frames: int = 0
) -> np.ndarray:
    """For each time k / fps up to the end of the last frame, the index of the frame nearest to it, int64 [K].

    Equally near: the earlier one. A source slower than `fps` gives frames more than once. The last frame counts until
    half a frame period after its timestamp, so clips of the same length have as many samples at any source rate.

    Args:
      timestamps: float64 [n], sorted seconds, the first one 0.
      fps: samples per second.
      start_seconds, end_seconds: keep start <= k / fps < end; the clock is that of the whole clip. 0: all.
      max_frames: keep at most so many, from the start; 0: all.
    Raises: VideoError if there are so many repeats that the timestamps must be wrong.
    """
    period = float(np.median(np.diff(timestamps))) if len(timestamps) > 1 else 0.0
    count = int(np.floor((timestamps[-1] + period / 2) * fps + _CLOCK_TOLERANCE)) + 1
    if count > max(_MIN_REFUSED, _MAX_REPEATS * len(timestamps)):
        raise VideoError(
            f"{len(timestamps)} frames spread over {timestamps[-1]:.0f} s would be {count} samples at {fps:g} fps; the"
            " timestamps jump (re-encode the file) or fps is far above the source's"
        )
    first = int(np.ceil(start_seconds * fps - _CLOCK_TOLERANCE))
    end = min(count, int(np.ceil(end_seconds * fps - _CLOCK_TOLERANCE))) if end_seconds else count
    wanted = np.arange(first, min(end, first + max_frames) if max_frames else end) / fps
    after = np.clip(np.searchsorted(timestamps, wanted), 0, len(timestamps) - 1)
    before = np.maximum(after - 1, 0)
    earlier_is_near = wanted - timestamps[before] <= timestamps[after] - wanted + 1e-9
    return np.where(earlier_is_near, before, after).astype(np.int64)


def sample_frames(
    path: Union[str, Path],
    *,
    fps: float,
    image_pixels: int,
    resize: str = "stretch",
    start_seconds: float = 0.0,
    end_seconds: float = 0.0,
    max_frames: int = 0,
    decoder: str = "opencv",
    threads: int = 1,
    image_fps: float = 0.0,
) -> Iterator[Frame]:
    """Decode a video once, in order, and yield the frame nearest to each k / fps.

    Args:
      path: the video, or a folder of images.
      fps: frames per second to yield.
      image_pixels: P, side of the square that frames are resized to.
      resize: stretch, letterbox (black bars) or center_crop, of the picture as it is shown.
      start_seconds, end_seconds: yield only k / fps in [start, end); end 0: to the end.
      max_frames: yield at most so many; 0: all.
      decoder: opencv or pyav, as `probe_clip` found, or images.
      threads: decoder threads.
      image_fps: frames per second of a folder of images.
    Yields: (timestamp in seconds since the first frame, uint8 BGR [P, P, 3] upright); the timestamp is the frame's own,
      not k / fps. A frame that is needed again is yielded again as the same object.
    Raises: as `sample_pictures`.
    """
    config = FramesConfig(
        fps=fps,
        image_pixels=image_pixels,
        resize=resize,
        chroma="444",
        start_seconds=start_seconds,
        end_seconds=end_seconds,
        max_frames=max_frames,
    )
    picture, image = None, np.empty(0)
    for sample in sample_pictures(path, config, decoder=decoder, threads=threads, image_fps=image_fps):
        if sample.picture is not picture:
            picture, image = sample.picture, sample.picture.bgr()
        yield sample.seconds, image


def sample_pictures(
    path: Union[str, Path],
    config: FramesConfig,
    *,
    decoder: str = "opencv",
    threads: int = 1,
    image_fps: float = 0.0,
    on_missing: Callable[[int], None] = _ignore,
) -> Iterator[Sample]:
    """Decode a video once, in order, and yield a Sample for each wanted k / fps; stop behind the last one.

    The other arguments are those of `sample_frames`.

    Args:
      on_missing: called at the end with the number of frames that the file holds and the decoder did not show, if there
        are any; in their place stands the frame that came next.
    Raises: VideoError if the file cannot be read, is truncated or damaged ("truncated: n of m frames", "damaged: n of m
      frames can be decoded", the latter known at the end: more than one frame and more than 1 % missing), if nothing is
      left of it, or if the decoder's times contradict the container.
    """
    trimmed = bool(config.end_seconds or config.max_frames)
    reader = open_reader(path, decoder, threads=threads, image_fps=image_fps)
    try:
        index = reader.index
        check_complete(path, len(index), len(index) + index.missing_frames)
        plan = _plan(path, index, config)
        view = View(config.image_pixels, config.resize, config.chroma)
        missing = yield from _follow(path, reader, plan, view, to_the_end=not trimmed)
        if missing:
            on_missing(missing)
    finally:
        reader.close()


def _plan(path: Union[str, Path], index: VideoIndex, config: FramesConfig) -> np.ndarray:
    try:
        plan = sampling_plan(
            index.timestamps,
            config.fps,
            start_seconds=config.start_seconds,
            end_seconds=config.end_seconds,
            max_frames=config.max_frames,
        )
    except VideoError as error:
        raise UnusableVideo(path, str(error)) from error
    if not len(plan):
        bounds = f"start_seconds = {config.start_seconds:g}"
        if config.end_seconds:
            bounds += f" to end_seconds = {config.end_seconds:g}"
        length = f"{index.duration_seconds:.1f} s at {config.fps:g} fps"
        raise UnusableVideo(path, f"{bounds} leaves nothing of {length}; choose a part that every clip has")
    return plan


def _follow(
    path: Union[str, Path], reader: Any, plan: np.ndarray, view: View, *, to_the_end: bool
) -> Generator[Sample, None, int]:
    """Yields the samples; returns how many frames are missing among those that were gone through."""
    index = reader.index
    decoded, position, place = 0, 0, -1
    for seconds in reader.times():
        previous, place = place, place_of(path, index, seconds, place)
        decoded += place != previous
        picture = None
        while position < len(plan) and plan[position] <= place:
            if picture is None:
                picture = reader.picture(view)
            yield Sample(float(index.timestamps[place]), place, picture)
            position += 1
        heartbeat()
        if position == len(plan) and not to_the_end:
            check_decoded(path, decoded, place + 1)
            return place + 1 - decoded
    if not decoded:
        raise UnusableVideo(path, f"no frame can be decoded (codec {index.codec}); try the other decoder")
    if reader.only_counts and decoded < len(index):
        raise TimestampsDisagree(
            path, f"{decoded} of {len(index)} frames can be decoded, and which is not known; try the other decoder"
        )
    check_decoded(path, decoded, len(index))
    return len(index) - decoded


def place_of(path: Union[str, Path], index: VideoIndex, seconds: float, previous: int) -> int:
    """Which of the container's frames the decoder shows: by time, or the one after `previous` where it has none (nan)."""
    last = len(index) - 1
    following = min(previous + 1, last)
    if np.isnan(seconds):
        return following
    if abs(index.timestamps[following] - seconds) < _SAME_TIME_SECONDS:
        return following
    after = min(int(np.searchsorted(index.timestamps, seconds)), last)
    nearest = min(max(after - 1, 0), after, key=lambda place: abs(index.timestamps[place] - seconds))
    if abs(index.timestamps[nearest] - seconds) > _TIME_TOLERANCE_SECONDS:
        raise TimestampsDisagree(path, f"the decoder shows a frame at {seconds:.3f} s that the container does not have")
    return nearest
