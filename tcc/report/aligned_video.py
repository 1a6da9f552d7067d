"""One video of two clips: the reference, the other clip in step with it, and the other clip as filmed."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Dict, List, Mapping, Sequence, Tuple, Union

import av
import cv2
import numpy as np

from tcc import figures
from tcc.errors import ShapeError, VideoError
from tcc.progress import Progress, silent
from tcc.report.alignment_pair import AlignedPair
from tcc.sequences import ClipSequence

LONGEST_SECONDS = 30.0  # a longer reference is played faster
TITLES = ("A", "B, in step with A", "B, as filmed")
_HOLD_SECONDS = 0.6  # the last picture stays, so that the eye can take it in before the video starts again
_GAP = 8  # pixels between panels
_CONSTANT_RATES = (21, 27, 33, 39)  # of x264: 18 looks lossless, 6 more halve the size
# One thread, because x264's decisions depend on their number. cpu-independent, because its macroblock trees in vector
# code differ from run to run, also with one thread (6 encodings of one clip gave 6 results; with it, 40 of 40 were alike).
# bitexact leaves out versions and dates.
_REPEATABLE = {"threads": "1", "x264-params": "cpu-independent=1", "preset": "medium", "flags": "+bitexact"}
_BT601 = 6  # what cv2's conversion to YUV follows; written into the file, or a browser guesses from the picture's size


@dataclass(frozen=True)
class AlignedVideo:
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


def write_aligned_video(
    path: Union[str, Path],
    pair: AlignedPair,
    frames: Mapping[str, Sequence[bytes]],
    *,
    fps: float,
    pixels: int,
    phases: Sequence[str] = (),
    aspect: float = 1.0,
    max_bytes: int = 10_000_000,
    progress: Progress = silent,
) -> AlignedVideo:
    """Write an H.264 .mp4 (yuv420p, no sound) of three panels; the same input gives the same bytes.

    Left the reference; in the middle, at each moment, the frame of the other clip that is matched to the reference's;
    right the other clip as filmed, started at the same time. Over each panel a strip shows the clip's phases and where
    it is.

    Args:
      path: where to; replaced whole.
      pair: two clips, as `align_pair` or `choose_pair` gives them.
      frames: clip name -> JPEGs, one for each step of the whole clip.
      fps: frames per second of the video. pixels: height of a panel.
      phases: names of the labels; empty: no phases are shown.
      aspect: width of a panel / its height.
      max_bytes: a larger file is written again in lower quality, three times at most.
      progress: told the share of the pictures drawn.
    Raises: VideoError if frames are missing or damaged; ShapeError if a clip has fewer frames than the pair's steps.
    """
    film = _Film(pair, frames, pixels=pixels, aspect=aspect, phases=phases)
    times, speed = _clock(pair.reference, fps)
    times = np.concatenate([times, np.full(round(_HOLD_SECONDS * fps), times[-1])])
    for quality in _CONSTANT_RATES:
        _encode(Path(path), film, times, fps, quality, progress)
        if Path(path).stat().st_size <= max_bytes:
            break
    return AlignedVideo(
        num_frames=len(times),
        width=film.width,
        height=film.height,
        seconds=len(times) / fps,
        speed=speed,
        poster=cv2.imencode(".jpg", film.picture(times[len(times) // 2]), [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes(),
    )


def _clock(reference: ClipSequence, fps: float) -> Tuple[np.ndarray, int]:
    """Seconds into the reference for each frame of the video, and how many times as fast as filmed that is."""
    duration = float(reference.timestamps[-1] - reference.timestamps[0])
    speed = max(1, math.ceil(duration / LONGEST_SECONDS))
    count = math.floor(duration / speed * fps + 1e-6) + 1
    return np.arange(count) * speed / fps, speed


class _Layout:
    """Sizes of one panel in pixels, all even; lettering grows with its width, as a page shrinks the video to its own."""

    def __init__(self, pixels: int, aspect: float) -> None:
        self.width, self.height = _even(pixels * aspect), _even(pixels)
        scale = max(self.width / 224, 0.6)
        self.line_height, self.strip_height, self.text_height = _even(27 * scale), _even(12 * scale), _even(30 * scale)
        self.title_points, self.name_points, self.text_points = 13 * scale, 11.5 * scale, 12.5 * scale
        self.whole_height = 2 * self.line_height + self.strip_height + self.text_height + self.height

    def draw_text(self, text: str, height: int, points: float, **options: Any) -> np.ndarray:
        """One line over the whole width, blue first."""
        return figures.text_image(text, width=self.width, height=height, points=points, **options)[:, :, ::-1]


class _Film:
    """Draws the three panels at any time of the reference."""

    def __init__(
        self,
        pair: AlignedPair,
        frames: Mapping[str, Sequence[bytes]],
        *,
        pixels: int,
        aspect: float,
        phases: Sequence[str],
    ) -> None:
        self._pair = pair
        self._layout = _Layout(pixels, aspect)
        self.width, self.height = 3 * self._layout.width + 2 * _GAP, self._layout.whole_height
        self._reference = _Panel(pair.reference, pair.reference_steps, frames, self._layout, phases)
        self._other = _Panel(pair.other, pair.other_steps, frames, self._layout, phases)
        names = (pair.reference.name, pair.other.name, pair.other.name)
        self._titles = [self._title(title, name) for title, name in zip(TITLES, names)]

    def picture(self, time: float) -> np.ndarray:
        """uint8 [H, W, 3], blue first as OpenCV has it; H and W even."""
        reference_step = _step_at(self._pair.reference, time)
        other_times = self._pair.other.timestamps - self._pair.other.timestamps[0]
        panels = [
            self._reference.draw(reference_step),
            self._other.draw(int(self._pair.matches[reference_step])),
            self._other.draw(_step_at(self._pair.other, time), ended=time > other_times[-1] + 1e-6),
        ]
        columns = [np.concatenate([title, panel]) for title, panel in zip(self._titles, panels)]
        gap = np.full((len(columns[0]), _GAP, 3), 255, np.uint8)
        return np.concatenate([columns[0], gap, columns[1], gap, columns[2]], axis=1)

    def _title(self, title: str, name: str) -> np.ndarray:
        layout = self._layout
        lines = [
            layout.draw_text(title, layout.line_height, layout.title_points, bold=True),
            layout.draw_text(name, layout.line_height, layout.name_points, color=figures.FAINT),
        ]
        return np.concatenate(lines)


class _Panel:
    """One clip: its frames, a strip of its phases with the present marked, the name of the present phase."""

    def __init__(
        self,
        clip: ClipSequence,
        steps: np.ndarray,
        frames: Mapping[str, Sequence[bytes]],
        layout: _Layout,
        phases: Sequence[str],
    ) -> None:
        self._clip, self._layout, self._phases = clip, layout, phases
        self._jpegs = _frames_of(clip.name, frames, steps)
        self._strip = _strip_colors(clip, layout.width, labelled=bool(phases))
        self._texts: Dict[str, np.ndarray] = {}

    def draw(self, step: int, *, ended: bool = False) -> np.ndarray:
        image = _decode(self._jpegs[step], (self._layout.width, self._layout.height), self._clip.name)
        if ended:
            image = (image.astype(np.uint16) * 2 // 5 + 150).astype(np.uint8)
        # Above the picture: a browser lays its controls over the lower edge.
        return np.concatenate([self._draw_strip(step), self._phase_text(step, ended), image])

    def _draw_strip(self, step: int) -> np.ndarray:
        strip = np.repeat(self._strip[None], self._layout.strip_height, axis=0)
        now = int(_share_of_time(self._clip)[step] * (self._layout.width - 1))
        ahead = strip[:, now:].astype(np.uint16)
        strip[:, now:] = (ahead + 2 * 255) // 3
        strip[:, max(0, now - 1) : now + 2] = 0
        return strip

    def _phase_text(self, step: int, ended: bool) -> np.ndarray:
        label = int(self._clip.labels[step])
        name = self._phases[label] if self._phases and label >= 0 else ""
        text = "ended" if ended else name
        if text not in self._texts:
            self._texts[text] = self._layout.draw_text(text, self._layout.text_height, self._layout.text_points)
        return self._texts[text]


def _frames_of(name: str, frames: Mapping[str, Sequence[bytes]], steps: np.ndarray) -> List[bytes]:
    if name not in frames:
        raise VideoError(f"clip {name}: there are no frames to show; pass them under this name")
    jpegs = frames[name]
    if len(jpegs) <= steps[-1]:
        raise ShapeError(f"clip {name}: {len(jpegs)} frames for {steps[-1] + 1} steps; pass one frame for each step")
    return [jpegs[step] for step in steps]


def _decode(jpeg: bytes, size: Tuple[int, int], name: str) -> np.ndarray:
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise VideoError(f"clip {name}: a frame is not a readable JPEG; delete the shards' folder and run again")
    shrinks = image.shape[0] > size[1]
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def _strip_colors(clip: ClipSequence, width: int, *, labelled: bool) -> np.ndarray:
    """The clip's phases over its time, uint8 [width, 3], blue first."""
    shares = _share_of_time(clip)
    steps = np.searchsorted(shares, np.linspace(0, 1, width), side="right") - 1
    labels = clip.labels[steps] if labelled else np.full(width, -1)
    return np.array([_blue_first(figures.phase_color(int(label))) for label in labels], np.uint8)


def _share_of_time(clip: ClipSequence) -> np.ndarray:
    """Time of each step as a share of the clip, from 0 to 1."""
    since = clip.timestamps - clip.timestamps[0]
    return since / (since[-1] or 1.0)


def _step_at(clip: ClipSequence, time: float) -> int:
    """The last step that has begun `time` seconds after the first."""
    since = clip.timestamps - clip.timestamps[0]
    return max(0, int(np.searchsorted(since, time + 1e-6, side="right")) - 1)


def _blue_first(color: str) -> Tuple[int, int, int]:
    return int(color[5:7], 16), int(color[3:5], 16), int(color[1:3], 16)


def _even(size: float) -> int:
    """The next even number: yuv420p has one color value for two by two pixels."""
    return 2 * math.ceil(size / 2)


def _encode(path: Path, film: _Film, times: np.ndarray, fps: float, quality: int, progress: Progress) -> None:
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
            progress((index + 1) / len(times), "aligned video")
        file.mux(stream.encode())
    os.replace(temporary, path)


def _rate(fps: float) -> Fraction:
    return Fraction(fps).limit_denominator(1001)
