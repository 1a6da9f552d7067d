"""Frames at a fixed rate, chosen by the container's timestamps."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Iterator, Tuple, Union

import cv2
import numpy as np

from tcc.errors import VideoError
from tcc.video.container import UnusableVideo, VideoIndex, check_complete, read_index
from tcc.video.isolation import heartbeat
from tcc.video.readers import open_reader

Frame = Tuple[float, np.ndarray]

# More repeated frames than this point to a jump in the timestamps, not to a slow camera.
_MAX_REPEATS = 100
_MIN_REFUSED = 1000
# Decoder and container tell the same times up to the rounding of milliseconds.
_TIME_TOLERANCE_SECONDS = 2e-3


class TimestampsDisagree(UnusableVideo):
    """The decoder shows frames at times that the container does not have: another decoder may do better."""


def sampling_plan(timestamps: np.ndarray, fps: float) -> np.ndarray:
    """For each time k / fps up to the end of the last frame, the index of the frame nearest to it, int64 [K].

    Equally near: the earlier one. A source slower than `fps` gives frames more than once. The last frame counts until
    half a frame period after its timestamp, so clips of the same length have as many samples at any source rate.

    Args:
      timestamps: float64 [n], sorted seconds, the first one 0.
      fps: samples per second.
    Raises: VideoError if there are so many repeats that the timestamps must be wrong.
    """
    period = float(np.median(np.diff(timestamps))) if len(timestamps) > 1 else 0.0
    count = int(np.floor((timestamps[-1] + period / 2) * fps + 1e-6)) + 1
    if count > max(_MIN_REFUSED, _MAX_REPEATS * len(timestamps)):
        raise VideoError(
            f"{len(timestamps)} frames spread over {timestamps[-1]:.0f} s would be {count} samples at {fps:g} fps; the"
            " timestamps jump (re-encode the file) or fps is far above the source's"
        )
    wanted = np.arange(count) / fps
    after = np.clip(np.searchsorted(timestamps, wanted), 0, len(timestamps) - 1)
    before = np.maximum(after - 1, 0)
    earlier_is_near = wanted - timestamps[before] <= timestamps[after] - wanted + 1e-9
    return np.where(earlier_is_near, before, after).astype(np.int64)


def sample_frames(
    path: Union[str, Path], *, fps: float, image_pixels: int, decoder: str = "opencv", threads: int = 1
) -> Iterator[Frame]:
    """Decode a video once, in order, and yield the frame nearest to each k / fps.

    Args:
      path: the video.
      fps: frames per second to yield.
      image_pixels: P, side of the square that frames are stretched to.
      decoder: opencv or pyav, as `probe_clip` found.
      threads: decoder threads.
    Yields: (timestamp in seconds since the first frame, uint8 BGR [P, P, 3] upright); the timestamp is the frame's own,
      not k / fps. A frame that is needed again is yielded again as the same object.
    Raises: VideoError if the file cannot be read, is truncated ("truncated: n of m frames": more than one frame and
      more than 1 % missing; for some files known only at the end), or if the decoder's times contradict the container.
    """
    index = read_index(path)
    check_complete(path, len(index), len(index) + index.missing_frames)
    try:
        plan = sampling_plan(index.timestamps, fps)
    except VideoError as error:
        raise UnusableVideo(path, str(error)) from error
    reader = open_reader(path, decoder, index, threads)
    try:
        yield from _follow(path, reader, index, plan, image_pixels)
    finally:
        reader.close()


def _follow(path: Union[str, Path], reader: Any, index: VideoIndex, plan: np.ndarray, pixels: int) -> Iterator[Frame]:
    decoded, position, place = 0, 0, -1
    for seconds in reader.times():
        place = place_of(path, index, seconds, decoded, place)
        decoded += 1
        image = None
        while position < len(plan) and plan[position] <= place:
            if image is None:
                image = upright(square(reader.retrieve(), pixels), reader.rotation)
            yield float(index.timestamps[place]), image
            position += 1
        heartbeat()
    if not decoded:
        raise UnusableVideo(path, f"no frame can be decoded (codec {index.codec}); try the other decoder")
    check_complete(path, decoded, len(index))


def place_of(path: Union[str, Path], index: VideoIndex, seconds: float, decoded: int, previous: int) -> int:
    """Which of the container's frames the decoder shows: by time, or by order where there are no times."""
    last = len(index) - 1
    if index.counts_only or np.isnan(seconds):
        return min(decoded if index.counts_only else previous + 1, last)
    after = min(int(np.searchsorted(index.timestamps, seconds)), last)
    nearest = min(max(after - 1, 0), after, key=lambda place: abs(index.timestamps[place] - seconds))
    if abs(index.timestamps[nearest] - seconds) > _TIME_TOLERANCE_SECONDS:
        raise TimestampsDisagree(path, f"the decoder shows a frame at {seconds:.3f} s that the container does not have")
    return nearest


def square(image: np.ndarray, pixels: int) -> np.ndarray:
    """Stretch an image to [pixels, pixels, C].

    Each axis that is at least twice too long is halved by means of two pixels, then the rest is bilinear. Bilinear
    alone would skip pixels (flicker and false edges), INTER_AREA alone is right but costs more than the decoding does:
    1280x720 to 224 on one core takes 0.1, 2.1 and by halving 0.4 ms, mean error against INTER_AREA 11, 0 and 3 levels.
    """
    height, width = image.shape[:2]
    while height >= 2 * pixels or width >= 2 * pixels:
        across, down = (2 if size >= 2 * pixels else 1 for size in (width, height))
        # An odd row or column is left out: exact halving is several times faster.
        image = image[: height // down * down, : width // across * across]
        height, width = height // down, width // across
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    return cv2.resize(image, (pixels, pixels), interpolation=cv2.INTER_LINEAR)


_ROTATIONS = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}


def upright(image: np.ndarray, rotation: int) -> np.ndarray:
    """Turn an image clockwise by 0, 90, 180 or 270 degrees."""
    return cv2.rotate(image, _ROTATIONS[rotation]) if rotation else image
