"""One clip inside a video: its frames, a strip of its phases with the present marked, the name of the present phase."""

from __future__ import annotations

import math
from typing import Any, Dict, List, Mapping, Sequence, Tuple

import cv2
import numpy as np

from tcc import figures
from tcc.errors import ShapeError, VideoError
from tcc.sequences import ClipSequence


class Layout:
    """Sizes of one panel in pixels, all even; lettering grows with its width, as a page shrinks the video to its own."""

    def __init__(self, pixels: int, aspect: float) -> None:
        self.width, self.height = _even(pixels * aspect), _even(pixels)
        scale = max(self.width / 224, 0.6)
        self.line_height, self.strip_height, self.text_height = _even(27 * scale), _even(12 * scale), _even(30 * scale)
        self.title_points, self.name_points, self.text_points = 13 * scale, 11.5 * scale, 12.5 * scale
        self.panel_height = self.strip_height + self.text_height + self.height

    def draw_text(self, text: str, height: int, points: float, **options: Any) -> np.ndarray:
        """One line over the whole width, blue first."""
        return figures.text_image(text, width=self.width, height=height, points=points, **options)[:, :, ::-1]


class Panel:
    """Draws one clip at any of its steps.

    Raises: VideoError if frames are missing; ShapeError if there are fewer than the clip's steps.
    """

    def __init__(
        self,
        clip: ClipSequence,
        steps: np.ndarray,
        frames: Mapping[str, Sequence[bytes]],
        layout: Layout,
        phases: Sequence[str],
    ) -> None:
        self._clip, self._layout, self._phases = clip, layout, phases
        self._jpegs = _frames_of(clip.name, frames, steps)
        self._strip = _strip_colors(clip, layout.width, labelled=bool(phases))
        self._texts: Dict[str, np.ndarray] = {}

    def draw(self, step: int, *, ended: bool = False) -> np.ndarray:
        """The panel at a step of the clip; `ended` fades it. uint8 [panel_height, width, 3], blue first."""
        image = decode_frame(self._jpegs[step], (self._layout.width, self._layout.height), self._clip.name)
        if ended:
            image = (image.astype(np.uint16) * 2 // 5 + 150).astype(np.uint8)
        # Above the picture: a browser lays its controls over the lower edge.
        return np.concatenate([self._draw_strip(step), self._phase_text(step, ended), image])

    def _draw_strip(self, step: int) -> np.ndarray:
        strip = np.repeat(self._strip[None], self._layout.strip_height, axis=0)
        now = int(share_of_time(self._clip)[step] * (self._layout.width - 1))
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


def decode_frame(jpeg: bytes, size: Tuple[int, int], name: str) -> np.ndarray:
    """A clip's frame at this width and height; uint8, blue first. Raises: VideoError if it is no JPEG."""
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise VideoError(f"clip {name}: a frame is not a readable JPEG; delete the shards' folder and run again")
    shrinks = image.shape[0] > size[1]
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def _strip_colors(clip: ClipSequence, width: int, *, labelled: bool) -> np.ndarray:
    """The clip's phases over its time, uint8 [width, 3], blue first."""
    shares = share_of_time(clip)
    steps = np.searchsorted(shares, np.linspace(0, 1, width), side="right") - 1
    labels = clip.labels[steps] if labelled else np.full(width, -1)
    return np.array([_blue_first(figures.phase_color(int(label))) for label in labels], np.uint8)


def share_of_time(clip: ClipSequence) -> np.ndarray:
    """Time of each step as a share of the clip, from 0 to 1."""
    since = clip.timestamps - clip.timestamps[0]
    return since / (since[-1] or 1.0)


def step_at(clip: ClipSequence, time: float) -> int:
    """The last step that has begun `time` seconds after the first."""
    since = clip.timestamps - clip.timestamps[0]
    return max(0, int(np.searchsorted(since, time + 1e-6, side="right")) - 1)


def _blue_first(color: str) -> Tuple[int, int, int]:
    return int(color[5:7], 16), int(color[3:5], 16), int(color[1:3], 16)


def _even(size: float) -> int:
    """The next even number: yuv420p has one color value for two by two pixels."""
    return 2 * math.ceil(size / 2)
