"""What a video file is, and which decoder reads it right: a few frames are decoded, the rest is told by its packets.

The decoder is PyAV where its planes are right and faster (`_better_by_planes`); else OpenCV, unless it reads nothing or
shows other frames than PyAV does. It is also PyAV where the container only counts its frames: OpenCV does not tell which
of them it could not decode.
"""

from __future__ import annotations

import dataclasses
import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple, Union

import cv2
import numpy as np

from tcc.errors import VideoError
from tcc.isolation import Outcome, run_isolated
from tcc.progress import Progress, silent
from tcc.video.container import (
    UnusableVideo,
    VideoIndex,
    check_complete,
    error_text,
    frame_seconds,
    index_packets,
    open_container,
)
from tcc.video.decode import TimestampsDisagree, place_of
from tcc.video.inventory import source_state
from tcc.video.pictures import View
from tcc.video.planes import has_planes, is_bt601
from tcc.video.readers import OpenCVReader, picture_of, rotation_of

_TRIED_FRAMES = 3
_COMPARED = View(pixels=32, chroma="444")
# Decoders differ by a few levels in color conversion; a wrong rotation or a garbled frame differs by far more.
_MAX_DIFFERENCE_LEVELS = 16.0
# From so many pixels on, PyAV's planes are read instead of OpenCV's BGR.
_PLANES_PIXELS = 160 * 120


@dataclass(frozen=True)
class ClipInfo:
    """One video file.

    Attributes:
      name: relative to its folder; filled in by the caller.
      num_frames: frames that its packets hold.
      fps: frames per second on average.
      width, height: pixels as shown, after rotation.
      rotation: clockwise degrees that the metadata asks for: 0, 90, 180 or 270.
      duration_seconds: from the first frame to the end of the last one.
      codec: such as h264.
      decoder: opencv or pyav.
      variable_rate: the time between frames is not constant.
      missing_frames: frames of a constant rate whose packets were lost between others (mkv, webm, ts and the like).
      sha256: of the file; filled in by the caller.
      problem: why the file cannot be used; empty if it can.
    """

    name: str = ""
    num_frames: int = 0
    fps: float = 0.0
    width: int = 0
    height: int = 0
    rotation: int = 0
    duration_seconds: float = 0.0
    codec: str = ""
    decoder: str = ""
    variable_rate: bool = False
    missing_frames: int = 0
    sha256: str = ""
    problem: str = ""

    def as_dict(self) -> Dict[str, Any]:
        """Plain dictionary, for JSON; ClipInfo(**it) is the inverse."""
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class _Tried:
    """The first frames as one decoder shows them."""

    size: Tuple[int, int]
    rotation: int
    image: np.ndarray
    times_agree: bool


def probe_clip(path: Union[str, Path]) -> ClipInfo:
    """Describe one file; whatever is wrong with it becomes `problem`, never an exception."""
    try:
        return _probe(path)
    except UnusableVideo as error:
        return ClipInfo(problem=error.reason)
    except Exception as error:
        return ClipInfo(problem=f"cannot be read as a video ({type(error).__name__}: {error_text(error)})")


def _probe(path: Union[str, Path]) -> ClipInfo:
    cv2.setNumThreads(1)
    with open_container(path) as (container, stream):
        packets = index_packets(path, container, stream, _TRIED_FRAMES)
    index = packets.index
    decoder, tried = _choose(path, index, packets.frames)
    if tried is None:
        raise UnusableVideo(path, f"no frame can be decoded (codec {index.codec})")
    width, height = tried.size if tried.rotation % 180 == 0 else tried.size[::-1]
    return ClipInfo(
        num_frames=len(index),
        fps=_frames_per_second(index),
        width=width,
        height=height,
        rotation=tried.rotation,
        duration_seconds=round(index.duration_seconds, 6),
        codec=index.codec,
        decoder=decoder,
        variable_rate=_is_variable(index),
        missing_frames=index.lost_inside,
        problem=_truncation(path, index),
    )


def _choose(path: Union[str, Path], index: VideoIndex, frames: Sequence[Any]) -> Tuple[str, Optional[_Tried]]:
    pyav = _try_pyav(path, index, frames)
    if pyav is not None and pyav.times_agree and (index.counts_only or _better_by_planes(frames[0])):
        return "pyav", pyav
    opencv = _try_opencv(path, index)
    decoder = _better_decoder(opencv, pyav)
    return decoder, opencv if decoder == "opencv" else pyav


def _better_by_planes(frame: Any) -> bool:
    """Whether PyAV's planes are faster than OpenCV, or right where OpenCV may not be.

    CPU microseconds a frame for reading the index, decoding, resizing to 224 and encoding H.264 (OpenCV 5.0, PyAV 18.1,
    best of 3; the smaller pictures differ by less than repeats do):

        picture   96x64   128x96   160x120   320x240   640x480   1280x720   1920x1080
        OpenCV      174      196       220       344       792       2024        4702
        planes      177      194       217       312       644       1471        3354

    OpenCV 4.11 takes every matrix for BT.601, OpenCV 5.0 does not: a red of BT.709 came out 22 levels apart.
    """
    return has_planes(frame) and (frame.width * frame.height >= _PLANES_PIXELS or not is_bt601(frame))


def _try_pyav(path: Union[str, Path], index: VideoIndex, frames: Sequence[Any]) -> Optional[_Tried]:
    """What PyAV shows; None if that is nothing."""
    if not frames:
        return None
    times = [frame_seconds(frame) - index.origin_seconds for frame in frames]
    agree = index.counts_only or all(_shows_frame(path, index, *shown) for shown in enumerate(times))
    image = picture_of(frames[0], _COMPARED).bgr()
    return _Tried((frames[0].width, frames[0].height), rotation_of(frames[0]), image, agree)


def _try_opencv(path: Union[str, Path], index: VideoIndex) -> Optional[_Tried]:
    """What OpenCV shows; None if that is nothing."""
    try:
        reader = OpenCVReader(path, index)
    except UnusableVideo:
        return None
    try:
        image, agree = None, True
        for count, seconds in enumerate(itertools.islice(reader.times(), _TRIED_FRAMES)):
            agree = agree and _shows_frame(path, index, count, seconds)
            image = reader.picture(_COMPARED).bgr() if image is None else image
        return None if image is None else _Tried(reader.size, reader.rotation, image, agree)
    finally:
        reader.close()


def _shows_frame(path: Union[str, Path], index: VideoIndex, count: int, seconds: float) -> bool:
    try:
        return place_of(path, index, seconds, count - 1) == min(count, len(index) - 1)
    except TimestampsDisagree:
        return False


def _better_decoder(opencv: Optional[_Tried], pyav: Optional[_Tried]) -> str:
    """Where planes do not decide: OpenCV, unless it reads nothing or shows other frames than FFmpeg's own interface."""
    if pyav is None or opencv is None:
        return "opencv" if pyav is None else "pyav"
    same = opencv.size == pyav.size and opencv.rotation == pyav.rotation
    near = np.abs(opencv.image.astype(float) - pyav.image).mean() <= _MAX_DIFFERENCE_LEVELS
    return "opencv" if same and near and opencv.times_agree else "pyav"


def _frames_per_second(index: VideoIndex) -> float:
    if len(index) < 2 or index.timestamps[-1] <= 0:
        return round(index.average_fps, 6)
    measured = (len(index) + index.lost_inside - 1) / float(index.timestamps[-1])
    # Containers that round to milliseconds blur a constant rate; where they also tell the rate, it is the exact one.
    told = index.average_fps
    return round(told if abs(told - measured) < 0.01 * measured else measured, 6)


def _is_variable(index: VideoIndex) -> bool:
    if index.lost_inside:
        return False
    gaps = np.diff(index.timestamps)
    return bool(len(gaps) and np.abs(gaps - np.median(gaps)).max() > max(2e-3, 0.1 * float(np.median(gaps))))


def _truncation(path: Union[str, Path], index: VideoIndex) -> str:
    try:
        check_complete(path, len(index), len(index) + index.missing_frames)
    except UnusableVideo as error:
        return error.reason
    return ""


def probe_clips(
    source: Union[str, Path],
    names: Sequence[str],
    *,
    workers: int,
    timeout_seconds: float,
    progress: Progress = silent,
    probe: Callable[[str], ClipInfo] = probe_clip,
) -> List[ClipInfo]:
    """Describe each named file below `source`, in the order of the names.

    Each is opened in a process where a crash or a hang of a decoder costs that file alone.

    Args:
      workers: processes.
      timeout_seconds: a file that shows no progress for so long is given up.
      probe: what is called with each path; a function of an importable module.
    Returns: one ClipInfo per name, the name filled in, problems in `problem`.
    Raises: VideoError if a file goes away or changes meanwhile.
    """
    done = itertools.count(1)

    def report(position: int, outcome: Outcome) -> None:
        count = next(done)
        if source_state(paths[position]) != states[position]:
            raise VideoError(
                f"{paths[position]}: went away or changed while it was looked at; run again when it is there"
            )
        progress(count / len(names), f"{count} of {len(names)} videos looked at")

    paths = [str(Path(source, name)) for name in names]
    states = [source_state(path) for path in paths]
    outcomes = run_isolated(probe, paths, workers=workers, timeout_seconds=timeout_seconds, on_result=report)
    return [_named(name, outcome) for name, outcome in zip(names, outcomes)]


def _named(name: str, outcome: Outcome) -> ClipInfo:
    if outcome.reason:
        return ClipInfo(name=name, problem=outcome.problem)
    return dataclasses.replace(outcome.value, name=name)
