"""One video of two clips: the reference, the other clip in step with it, and the other clip as filmed."""

from __future__ import annotations

from pathlib import Path
from typing import Mapping, Sequence, Union

import numpy as np

from tcc import figures
from tcc.progress import Progress, silent
from tcc.report.alignment_pair import AlignedPair
from tcc.report.film import WrittenVideo, write_film
from tcc.report.panels import Layout, Panel, step_at

TITLES = ("A", "B, in step with A", "B, as filmed")
_GAP = 8  # pixels between panels


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
) -> WrittenVideo:
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
      max_bytes: a larger file is written again in lower quality.
      progress: told the share of the pictures drawn.
    Raises: VideoError if frames are missing or damaged; ShapeError if a clip has fewer frames than the pair's steps.
    """
    film = _Film(pair, frames, pixels=pixels, aspect=aspect, phases=phases)
    return write_film(path, film, pair.reference, fps=fps, max_bytes=max_bytes, progress=progress)


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
        self._layout = Layout(pixels, aspect)
        self.width = 3 * self._layout.width + 2 * _GAP
        self.height = 2 * self._layout.line_height + self._layout.panel_height
        self._reference = Panel(pair.reference, pair.reference_steps, frames, self._layout, phases)
        self._other = Panel(pair.other, pair.other_steps, frames, self._layout, phases)
        names = (pair.reference.name, pair.other.name, pair.other.name)
        self._titles = [self._title(title, name) for title, name in zip(TITLES, names)]

    def picture(self, time: float) -> np.ndarray:
        """uint8 [H, W, 3], blue first as OpenCV has it; H and W even."""
        reference_step = step_at(self._pair.reference, time)
        other_times = self._pair.other.timestamps - self._pair.other.timestamps[0]
        panels = [
            self._reference.draw(reference_step),
            self._other.draw(int(self._pair.matches[reference_step])),
            self._other.draw(step_at(self._pair.other, time), ended=time > other_times[-1] + 1e-6),
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
