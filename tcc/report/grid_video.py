"""One video of many clips: a reference clip, and others in step with it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Mapping, Sequence, Union

import numpy as np

from tcc import figures
from tcc.progress import Progress, silent
from tcc.report.alignment_pair import AlignedPair, spread
from tcc.report.film import WrittenVideo, write_film
from tcc.report.panels import Layout, Panel, step_at
from tcc.sequences import ClipSequence

MOST_OTHERS = 8
_COLUMNS = 3
_GAP = 8  # pixels between tiles; the reference's frame lies in it
_FRAME = 3


@dataclass(frozen=True)
class AlignedGrid:
    """A reference clip and others in step with it.

    Attributes:
      pairs: the reference with each of the others; those that align best first.
      mean_cost: mean relative cost of the reference with all clips that were tried.
    """

    pairs: List[AlignedPair]
    mean_cost: float

    @property
    def reference(self) -> ClipSequence:
        """The clip that the others follow."""
        return self.pairs[0].reference

    @property
    def others(self) -> List[ClipSequence]:
        """The clips that follow it."""
        return [pair.other for pair in self.pairs]


def choose_grid(pairs: Sequence[AlignedPair], *, most: int = MOST_OTHERS) -> AlignedGrid:
    """The medoid of the clips, that of the lowest mean cost of alignment with all others, and others spread over the cost.

    Of the others the best and the worst aligned are there, and those in between evenly: the grid flatters nobody. No label is
    looked at; of equal clips the first by name is taken.

    Args:
      pairs: every two of the clips, as `align_all` gives them.
      most: other clips shown.
    """
    costs: Dict[str, List[float]] = {}
    for pair in pairs:
        for clip in (pair.reference, pair.other):
            costs.setdefault(clip.name, []).append(pair.relative_cost)
    means = {name: float(np.mean(own)) for name, own in costs.items()}
    medoid = min(means, key=lambda name: (means[name], name))
    mine = [pair if pair.reference.name == medoid else pair.turned() for pair in pairs if _has(pair, medoid)]
    mine.sort(key=lambda pair: (pair.relative_cost, pair.other.name))
    return AlignedGrid(spread(mine, most), means[medoid])


def write_grid_video(
    path: Union[str, Path],
    grid: AlignedGrid,
    frames: Mapping[str, Sequence[bytes]],
    *,
    fps: float,
    pixels: int,
    phases: Sequence[str] = (),
    aspect: float = 1.0,
    max_bytes: int = 5_000_000,
    progress: Progress = silent,
) -> WrittenVideo:
    """Write an H.264 .mp4 (yuv420p, no sound) of tiles in three columns; the same input gives the same bytes.

    The first tile, framed, is the reference at its own pace; each other tile shows, at each moment, the frame of its clip that
    is matched to the reference's. Over each picture stand the clip's name, a strip of its phases and the phase it is in.

    Args:
      path: where to; replaced whole.
      frames: clip name -> JPEGs, one for each step of the whole clip.
      fps: frames per second of the video. pixels: height of a tile's picture.
      phases: names of the labels; empty: no phases are shown.
      aspect: width of a picture / its height.
      max_bytes: a larger file is written again in lower quality.
      progress: told the share of the pictures drawn.
    Raises: VideoError if frames are missing or damaged; ShapeError if a clip has fewer frames than the grid's steps.
    """
    film = _Film(grid, frames, pixels=pixels, aspect=aspect, phases=phases)
    return write_film(path, film, grid.reference, fps=fps, max_bytes=max_bytes, progress=progress)


class _Film:
    """Draws the tiles at any time of the reference."""

    def __init__(
        self,
        grid: AlignedGrid,
        frames: Mapping[str, Sequence[bytes]],
        *,
        pixels: int,
        aspect: float,
        phases: Sequence[str],
    ) -> None:
        self._grid, first = grid, grid.pairs[0]
        self._layout = layout = Layout(pixels, aspect)
        self._panels = [Panel(first.reference, first.reference_steps, frames, layout, phases)]
        self._panels += [Panel(pair.other, pair.other_steps, frames, layout, phases) for pair in grid.pairs]
        self._names = [self._name(f"reference: {grid.reference.name}", bold=True)]
        self._names += [self._name(clip.name) for clip in grid.others]
        count = len(self._panels)
        self._columns = 2 if count in (2, 4) else min(count, _COLUMNS)
        self._tile_height = layout.line_height + layout.panel_height
        rows = math.ceil(count / self._columns)
        self.width = self._columns * (layout.width + _GAP) + _GAP
        self.height = rows * (self._tile_height + _GAP) + _GAP

    def picture(self, time: float) -> np.ndarray:
        """uint8 [H, W, 3], blue first as OpenCV has it; H and W even."""
        step = step_at(self._grid.reference, time)
        steps = [step, *(int(pair.matches[step]) for pair in self._grid.pairs)]
        image = np.full((self.height, self.width, 3), 255, np.uint8)
        self._draw_frame(image)
        for number, (name, panel, own_step) in enumerate(zip(self._names, self._panels, steps)):
            row, column = divmod(number, self._columns)
            top, left = _GAP + row * (self._tile_height + _GAP), _GAP + column * (self._layout.width + _GAP)
            tile = np.concatenate([name, panel.draw(own_step)])
            image[top : top + self._tile_height, left : left + self._layout.width] = tile
        return image

    def _draw_frame(self, image: np.ndarray) -> None:
        """Around the reference, in the gap."""
        outer, inner = _GAP - _FRAME, _GAP
        image[outer : _GAP + self._tile_height + _FRAME, outer : _GAP + self._layout.width + _FRAME] = 0
        image[inner : _GAP + self._tile_height, inner : _GAP + self._layout.width] = 255

    def _name(self, text: str, *, bold: bool = False) -> np.ndarray:
        color = figures.INK if bold else figures.FAINT
        return self._layout.draw_text(text, self._layout.line_height, self._layout.name_points, bold=bold, color=color)


def _has(pair: AlignedPair, name: str) -> bool:
    return name in (pair.reference.name, pair.other.name)
