"""Drawing on a canvas: anti-aliased polygons, translucent groups, soft shadows, and colours."""

from __future__ import annotations

import colorsys
from typing import Callable, Iterable, Sequence, Tuple, Union

import cv2
import numpy as np

Color = Tuple[float, float, float]  # blue, green, red, 0 to 255

_SHIFT = 4  # fractional bits of coordinates given to OpenCV
_TURN = np.linspace(0, 2 * np.pi, 17)[:-1]
_CAP_COSINE = np.cos(np.linspace(-np.pi / 2, np.pi / 2, 8))
_CAP_SINE = np.sin(np.linspace(-np.pi / 2, np.pi / 2, 8))


def hsv(hue: float, saturation: float, value: float) -> Color:
    """A colour from hue (turns, wraps around), saturation and value (0 to 1)."""
    red, green, blue = colorsys.hsv_to_rgb(hue % 1.0, min(max(saturation, 0.0), 1.0), min(max(value, 0.0), 1.0))
    return (255 * blue, 255 * green, 255 * red)


def shade(color: Color, factor: float) -> Color:
    """The colour, darker (factor < 1) or lighter (factor > 1, towards white)."""
    blue, green, red = color
    if factor <= 1:
        return blue * factor, green * factor, red * factor
    lift = factor - 1
    return blue + (255 - blue) * lift, green + (255 - green) * lift, red + (255 - red) * lift


def _fixed(points: np.ndarray) -> np.ndarray:
    return np.rint(np.clip(points, -4000, 4000) * (1 << _SHIFT)).astype(np.int32)


def fill(canvas: np.ndarray, points: np.ndarray, color: Color) -> None:
    """Fill the convex polygon [N, 2]."""
    cv2.fillConvexPoly(canvas, _fixed(points), color, cv2.LINE_AA, _SHIFT)


def fill_hull(canvas: np.ndarray, points: np.ndarray, color: Color) -> None:
    """Fill the convex hull of the points [N, 2]."""
    if len(points) >= 3:
        cv2.fillConvexPoly(canvas, cv2.convexHull(_fixed(points)), color, cv2.LINE_AA, _SHIFT)


def fill_any(canvas: np.ndarray, points: np.ndarray, color: Color) -> None:
    """Fill the polygon [N, 2], which need not be convex."""
    cv2.fillPoly(canvas, [_fixed(points)], color, cv2.LINE_AA, _SHIFT)


def stroke(canvas: np.ndarray, points: np.ndarray, color: Color, pixels: float, *, closed: bool = False) -> None:
    """Draw the line through the points [N, 2]."""
    cv2.polylines(canvas, [_fixed(points)], closed, color, max(1, int(round(pixels))), cv2.LINE_AA, _SHIFT)


def disc(canvas: np.ndarray, center: Union[Sequence[float], np.ndarray], radius: float, color: Color) -> None:
    """Fill a circle; center and radius in pixels."""
    x, y = (int(round(float(value) * (1 << _SHIFT))) for value in center)
    cv2.circle(canvas, (x, y), max(1, int(round(radius * (1 << _SHIFT)))), color, -1, cv2.LINE_AA, _SHIFT)


def capsules(
    starts: np.ndarray,
    ends: np.ndarray,
    start_radii: np.ndarray,
    end_radii: np.ndarray,
    roundness: Union[float, np.ndarray] = 1.0,
) -> np.ndarray:
    """Outlines [N, 16, 2] of N tapered strokes; starts, ends [N, 2], radii [N], all in pixels.

    `roundness` (a number, or [N]) is 1 for ends that are half circles and 0 for flat ends.
    """
    along = ends - starts
    along = along / np.maximum(np.hypot(along[:, 0], along[:, 1]), 1e-6)[:, None]
    across = np.stack([-along[:, 1], along[:, 0]], axis=1)
    bulge = _CAP_COSINE * np.reshape(roundness, (-1, 1))
    cap = bulge[..., None] * along[:, None] + _CAP_SINE[:, None] * across[:, None]
    return np.concatenate(
        [ends[:, None] + end_radii[:, None, None] * cap, starts[:, None] - start_radii[:, None, None] * cap], axis=1
    )


def ellipse(center: Sequence[float], radii: Sequence[float]) -> np.ndarray:
    """Points [16, 2] of an upright ellipse."""
    return np.stack([center[0] + radii[0] * np.cos(_TURN), center[1] + radii[1] * np.sin(_TURN)], axis=1)


def region(points: np.ndarray, shape: Sequence[int], margin: int = 4) -> Tuple[slice, slice]:
    """Rows and columns of an image of `shape` that hold the points [N, 2], with a margin in pixels."""
    low = np.floor(points.min(axis=0)).astype(int) - margin
    high = np.ceil(points.max(axis=0)).astype(int) + margin
    left, top = np.clip(low, 0, [shape[1], shape[0]])
    right, bottom = np.clip(high, 0, [shape[1], shape[0]])
    return slice(int(top), int(bottom)), slice(int(left), int(right))


def translucent(
    canvas: np.ndarray, points: np.ndarray, opacity: float, draw: Callable[[np.ndarray, np.ndarray], None]
) -> None:
    """Let `draw(image, origin)` draw on a copy of the region around `points`, and blend it in with `opacity`.

    `origin` [2] is to be subtracted from canvas coordinates. Overlapping shapes of one group do not add up.
    """
    rows, columns = region(points, canvas.shape)
    below = canvas[rows, columns]
    if below.size == 0:
        return
    above = below.copy()
    draw(above, np.array([columns.start, rows.start], dtype=float))
    cv2.addWeighted(above, opacity, below, 1 - opacity, 0, dst=below)


def soft_shadow(canvas: np.ndarray, shapes: Iterable[Tuple[np.ndarray, float]], softness: float) -> None:
    """Darken the canvas under convex shapes (points [N, 2], darkness 0 to 1); softness in pixels."""
    shapes = list(shapes)
    margin = int(3 * softness) + 2
    rows, columns = region(np.concatenate([points for points, _ in shapes]), canvas.shape, margin)
    below = canvas[rows, columns]
    if below.shape[0] < 8 or below.shape[1] < 8:
        return
    small = np.full((below.shape[0] // 4 + 1, below.shape[1] // 4 + 1), 255, dtype=np.uint8)
    origin = np.array([columns.start, rows.start], dtype=float)
    for points, darkness in shapes:
        cv2.fillConvexPoly(
            small, cv2.convexHull(_fixed((points - origin) / 4)), 255 * (1 - darkness), cv2.LINE_AA, _SHIFT
        )
    kernel = 2 * int(np.ceil(softness / 4)) + 1
    small = cv2.blur(cv2.blur(small, (kernel, kernel)), (kernel, kernel))
    gain = cv2.resize(small, (below.shape[1], below.shape[0]), interpolation=cv2.INTER_LINEAR)
    cv2.multiply(below, cv2.cvtColor(gain, cv2.COLOR_GRAY2BGR), dst=below, scale=1 / 255)
