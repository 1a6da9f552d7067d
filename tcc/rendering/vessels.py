"""Vessels: solids of revolution of clear material, the liquid in them, and how far they tilt before they spill."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional, Tuple

import numpy as np

from tcc.rendering import painting
from tcc.rendering.camera import Camera
from tcc.rendering.painting import Color

# Height (0 bottom, 1 rim) and radius relative to the widest place, from the bottom up.
_CUPS = {
    "tumbler": ((0.0, 0.92), (0.5, 0.96), (1.0, 1.0)),
    "tapered": ((0.0, 0.66), (0.5, 0.83), (1.0, 1.0)),
    "bellied": ((0.0, 0.66), (0.2, 0.92), (0.45, 1.0), (0.75, 0.88), (1.0, 0.74)),
    "tulip": ((0.0, 0.6), (0.15, 0.86), (0.4, 0.92), (0.7, 0.84), (1.0, 1.0)),
    "rounded": ((0.0, 0.5), (0.12, 0.78), (0.35, 0.95), (0.6, 1.0), (1.0, 0.98)),
    "beaker": ((0.0, 0.94), (0.08, 1.0), (0.9, 1.0), (1.0, 1.0)),
}
_BOWLS = {
    "deep": ((0.0, 0.45), (0.15, 0.72), (0.4, 0.92), (0.7, 1.0), (1.0, 1.0)),
    "flared": ((0.0, 0.42), (0.3, 0.66), (0.65, 0.86), (1.0, 1.0)),
    "pot": ((0.0, 0.8), (0.15, 0.96), (0.5, 1.0), (0.85, 0.95), (1.0, 0.98)),
    "dish": ((0.0, 0.7), (0.5, 0.88), (1.0, 1.0)),
}
_PROFILES = {"cup": _CUPS, "bowl": _BOWLS}
_NUM_RINGS = 6
_WALL = 0.05  # thickness of walls and floor, in cup heights
_MAX_TILT = np.radians(122)


@dataclass(frozen=True)
class Vessel:
    """One vessel, upright in its own coordinates: its axis is y, its floor y = 0. Lengths in cup heights.

    Attributes:
      height, radius: of the rim above the table; of the widest place.
      rings: float64 [J, M, 3], the outside as rings of points, bottom to rim.
      inner_rings: the inside, that is the surface of a full load.
      volume: float64 [N, 2], x and y of points spread evenly over the inside, to measure liquid with.
      tilts, spill_fractions: float64 [A]; the share of its volume that a vessel can hold at each tilt (radians).
      glass, liquid: colours. glass_opacity: of the walls.
      band: (height from 0 to 1, colour) of a painted line around it, or None.
    """

    height: float
    radius: float
    rings: np.ndarray
    inner_rings: np.ndarray
    volume: np.ndarray
    tilts: np.ndarray
    spill_fractions: np.ndarray
    glass: Color
    liquid: Color
    glass_opacity: float
    band: Optional[Tuple[float, Color]]

    @property
    def lip(self) -> np.ndarray:
        """The point of the rim that liquid leaves over, on the -x side."""
        return np.array([-self.inner_radius(self.height), self.height, 0.0])

    def inner_radius(self, height: float) -> float:
        """Radius of the inside at a height above the floor."""
        return float(np.interp(height, self.inner_rings[:, 0, 1], self.inner_rings[:, 0, 0]))

    def outer_radius(self, height: float) -> float:
        """Radius of the outside at a height above the table."""
        return float(np.interp(height, self.rings[:, 0, 1], self.rings[:, 0, 0]))

    def spill_tilt(self, fraction: float) -> float:
        """The tilt (radians) at which a load of `fraction` (0 to 1) just reaches the lip."""
        return float(np.interp(fraction, self.spill_fractions[::-1], self.tilts[::-1]))

    def level(self, fraction: float, tilt: float) -> float:
        """Height of the liquid's surface above the vessel's origin, when it holds `fraction` and is tilted."""
        heights = self.volume[:, 0] * np.sin(tilt) + self.volume[:, 1] * np.cos(tilt)
        heights.sort()
        return float(np.interp(fraction, np.linspace(0, 1, len(heights)), heights))


def make_vessel(
    rng: np.random.Generator,
    kind: str,
    *,
    height: float,
    radius: float,
    glass: Color,
    liquid: Color,
    glass_opacity: float,
    band: Optional[Color] = None,
) -> Vessel:
    """A cup or a bowl (`kind`) of random shape; some have facets instead of a round body."""
    profiles = _PROFILES[kind]
    profile = np.array(profiles[str(rng.choice(sorted(profiles)))])
    sides = int(rng.choice([16, 16, 16, 16, 16, 8, 6]))
    outside = np.linspace(0, 1, _NUM_RINGS)
    radii = radius * np.interp(outside, profile[:, 0], profile[:, 1])
    inside = np.linspace(_WALL, height, _NUM_RINGS)
    inner_radii = radius * np.interp(inside / height, profile[:, 0], profile[:, 1]) - _WALL
    volume = _volume_points(rng, inside, inner_radii)
    tilts = np.linspace(0, _MAX_TILT, 50)
    lip = np.array([-inner_radii[-1], height])
    spill = [np.mean(volume @ [np.sin(t), np.cos(t)] < lip @ [np.sin(t), np.cos(t)]) for t in tilts]
    band_height = rng.uniform(0.2, 0.8)
    return Vessel(
        height=height,
        radius=radius,
        rings=_rings(outside * height, radii, sides),
        inner_rings=_rings(inside, inner_radii, sides),
        volume=volume,
        tilts=tilts,
        # Strictly falling, so that it can be inverted.
        spill_fractions=np.minimum.accumulate(spill) - 1e-9 * np.arange(len(tilts)),
        glass=glass,
        liquid=liquid,
        glass_opacity=glass_opacity,
        band=None if band is None else (band_height, band),
    )


def _rings(heights: np.ndarray, radii: np.ndarray, sides: int) -> np.ndarray:
    turn = np.linspace(0, 2 * np.pi, sides + 1)[:-1]
    return np.stack(
        [
            radii[:, None] * np.cos(turn),
            np.repeat(heights[:, None], sides, axis=1),
            radii[:, None] * np.sin(turn),
        ],
        axis=-1,
    )


def _volume_points(rng: np.random.Generator, heights: np.ndarray, radii: np.ndarray, count: int = 700) -> np.ndarray:
    grid = np.linspace(heights[0], heights[-1], 200)
    area = np.interp(grid, heights, radii) ** 2
    y = np.interp((np.arange(count) + 0.5) / count, np.cumsum(area) / np.sum(area), grid)
    distance = np.interp(y, heights, radii) * np.sqrt(rng.random(count))
    return np.stack([distance * np.cos(2 * np.pi * rng.random(count)), y], axis=1)


def place(points: np.ndarray, position: np.ndarray, tilt: float) -> np.ndarray:
    """Points [..., 3] of a vessel in the world: tilted by `tilt` radians towards -x, then moved to `position`."""
    cosine, sine = np.cos(tilt), np.sin(tilt)
    rotation = np.array([[cosine, sine, 0.0], [-sine, cosine, 0.0], [0.0, 0.0, 1.0]])
    return points @ rotation + position


def draw_back(canvas: np.ndarray, outside: np.ndarray, vessel: Vessel) -> None:
    """The far wall: a faint tint. `outside` is the projection [J, M, 2] of the rings."""

    def walls(image: np.ndarray, origin: np.ndarray) -> None:
        for lower, upper in zip(outside[:-1], outside[1:]):
            painting.fill_hull(image, np.concatenate([lower, upper]) - origin, vessel.glass)
        painting.fill_hull(image, outside[-1] - origin, painting.shade(vessel.glass, 0.8))

    painting.translucent(canvas, outside.reshape(-1, 2), vessel.glass_opacity, walls)


def draw_liquid(
    canvas: np.ndarray, camera: Camera, vessel: Vessel, position: np.ndarray, tilt: float, fraction: float
) -> None:
    """The liquid: the part of the inside below a level surface, and that surface."""
    if fraction < 0.02:
        return
    points = place(vessel.inner_rings, position, tilt)
    level = position[1] + vessel.level(fraction, tilt)
    below = points[..., 1] <= level
    upwards = _crossings(points[:-1], points[1:], level)
    around = _crossings(points, np.roll(points, -1, axis=1), level)
    slabs = []
    for ring in range(len(points) - 1):
        parts = [
            points[ring][below[ring]],
            points[ring + 1][below[ring + 1]],
            upwards[ring],
            around[ring],
            around[ring + 1],
        ]
        slabs.append(np.concatenate(parts))
    surface = np.concatenate(upwards + around)
    sizes = np.cumsum([len(slab) for slab in slabs])
    projected = camera.project(np.concatenate([*slabs, surface]))
    *bodies, top = np.split(projected, sizes)

    def body(image: np.ndarray, origin: np.ndarray) -> None:
        for part in bodies:
            painting.fill_hull(image, part - origin, vessel.liquid)
        painting.fill_hull(image, top - origin, painting.shade(vessel.liquid, 1.35))

    painting.translucent(canvas, projected, 0.94, body)


def _crossings(starts: np.ndarray, ends: np.ndarray, level: float) -> list:
    """Where the edges from starts [J, M, 3] to ends cross the level: one array [n, 3] per ring."""
    low, high = starts[..., 1] - level, ends[..., 1] - level
    crosses = (low * high) < 0
    share = low / np.where(crosses, low - high, 1.0)
    points = starts + share[..., None] * (ends - starts)
    return [points[ring][crosses[ring]] for ring in range(len(points))]


def draw_front(canvas: np.ndarray, outside: np.ndarray, vessel: Vessel, pixels: float, light: int) -> None:
    """The near wall: painted band, reflections, edges and rim. `pixels` per cup height; `light`: column that shines."""
    sides = outside.shape[1]
    if vessel.band is not None:
        height, color = vessel.band
        painting.stroke(canvas, _front_arc(outside, height * (len(outside) - 1)), color, 0.06 * pixels)

    def shine(image: np.ndarray, origin: np.ndarray) -> None:
        dark, bright = painting.shade(vessel.glass, 0.35), painting.shade(vessel.glass, 1.9)
        for ring in (0, len(outside) - 1):
            painting.stroke(image, outside[ring] - origin, dark, 0.045 * pixels, closed=True)
        for column in _silhouette(outside):
            painting.stroke(image, outside[:, column] - origin, dark, 0.045 * pixels)
        painting.stroke(image, outside[:, light % sides][1:-1] - origin, bright, 0.09 * pixels)
        painting.stroke(image, outside[-1] - origin, bright, 0.02 * pixels, closed=True)

    painting.translucent(canvas, outside.reshape(-1, 2), 0.62, shine)


def _front_arc(outside: np.ndarray, level: float) -> np.ndarray:
    """The near half (+z in the vessel's own coordinates) of a ring between two rings, [M / 2 + 1, 2]."""
    lower = min(int(level), len(outside) - 2)
    ring = outside[lower] + (level - lower) * (outside[lower + 1] - outside[lower])
    return ring[: len(ring) // 2 + 1]


def _silhouette(outside: np.ndarray) -> Tuple[int, int]:
    """The two columns that bound the vessel in the picture, seen across its axis."""
    axis = outside[-1].mean(axis=0) - outside[0].mean(axis=0)
    across = outside.mean(axis=0) @ np.array([-axis[1], axis[0]])
    return int(np.argmin(across)), int(np.argmax(across))
