"""The room around the action: table, wall, what hangs and stands there. Drawn once per clip."""

from __future__ import annotations

from typing import Tuple

import cv2
import numpy as np

from tcc.rendering import painting, textures, vessels
from tcc.rendering.camera import Camera
from tcc.rendering.hand import cast

Slant = Tuple[float, float]  # how far (x, z) a shadow falls per cup height

_SUPERSAMPLING = 2


def draw_backdrop(rng: np.random.Generator, camera: Camera, slant: Slant) -> np.ndarray:
    """The canvas uint8 [H, W, 3] before anything moves: textured table and wall, pictures, clutter and its shadows."""
    wall = -rng.uniform(2.2, 3.2)
    canvas = _floor_and_wall(rng, camera, wall)
    for _ in range(rng.integers(1, 4)):
        _hang(rng, canvas, camera, wall)
    places = sorted(_clutter_places(rng, wall), key=lambda place: place[1])
    kinds = (_draw_box, _draw_box, _draw_can, _draw_ball)
    for x, z in places:
        kinds[int(rng.integers(len(kinds)))](rng, canvas, camera, x, z, slant)
    return canvas


def _floor_and_wall(rng: np.random.Generator, camera: Camera, wall: float) -> np.ndarray:
    scaled = np.diag([_SUPERSAMPLING, _SUPERSAMPLING, 1]) @ camera.matrix
    width, height = (side * _SUPERSAMPLING for side in camera.size)
    table_plane = scaled[:, [0, 2, 3]]
    wall_plane = np.stack([scaled[:, 0], scaled[:, 1], scaled[:, 3] + wall * scaled[:, 2]], axis=1)
    table = _paper(rng, table_plane, (width, height))
    papered = _paper(rng, wall_plane, (width, height))
    left, right = _homogeneous(wall_plane @ [-3.0, 0, 1]), _homogeneous(wall_plane @ [3.0, 0, 1])
    if left[0] > right[0]:
        left, right = right, left
    slope = (right[1] - left[1]) / (right[0] - left[0])
    ends = [left[1] + slope * (x - left[0]) for x in (0, width)]
    above = np.array([[0, ends[0]], [width, ends[1]], [width, min(0, *ends)], [0, min(0, *ends)]])
    mask = np.zeros((height, width), dtype=np.uint8)
    painting.fill_any(mask, above, (255, 255, 255))
    cv2.copyTo(papered, mask, table)
    painting.stroke(table, above[:2], painting.shade(tuple(papered.mean(axis=(0, 1))), 0.5), 4)
    light = cv2.resize(textures.clouds(rng, (2, 4)), (width, height))[..., None]
    shaded = table * (1 - rng.uniform(0.1, 0.45) * light)
    return cv2.resize(shaded.astype(np.uint8), camera.size, interpolation=cv2.INTER_AREA)


def _homogeneous(point: np.ndarray) -> np.ndarray:
    return point[:2] / point[2]


def _paper(rng: np.random.Generator, plane: np.ndarray, size: Tuple[int, int]) -> np.ndarray:
    """A plane [3, 3] (plane coordinates to pixels) covered with a texture, repeated without end."""
    tile = textures.texture(rng)
    turn, per_unit = rng.choice([0.0, 0.0, np.pi / 2]) + rng.normal(0, 0.06), textures.SIZE / rng.uniform(2.5, 6.0)
    cosine, sine = per_unit * np.cos(turn), per_unit * np.sin(turn)
    to_tile = np.array([[cosine, -sine, rng.uniform(0, 256)], [sine, cosine, rng.uniform(0, 256)], [0, 0, 1]])
    return cv2.warpPerspective(tile, plane @ np.linalg.inv(to_tile), size, borderMode=cv2.BORDER_WRAP)


def _hang(rng: np.random.Generator, canvas: np.ndarray, camera: Camera, wall: float) -> None:
    """A picture, poster or window on the wall."""
    x, y = rng.uniform(-4.0, 4.0), rng.uniform(1.3, 4.0)
    half_width, half_height = rng.uniform(0.3, 1.1), rng.uniform(0.3, 0.9)
    corners = np.array([[-1, 1], [1, 1], [1, -1], [-1, -1]]) * [half_width, half_height] + [x, y]
    points = camera.project(np.concatenate([corners, np.full((4, 1), wall)], axis=1))
    _texture_quad(rng, canvas, points)
    painting.stroke(
        canvas, points, painting.hsv(rng.random(), rng.random(), rng.random()), rng.uniform(2, 7), closed=True
    )


def _texture_quad(rng: np.random.Generator, canvas: np.ndarray, points: np.ndarray) -> None:
    rows, columns = painting.region(points, canvas.shape, 0)
    below = canvas[rows, columns]
    if below.size == 0:
        return
    corners = np.array([[0, 0], [255, 0], [255, 255], [0, 255]], dtype=np.float32)
    local = (points - [columns.start, rows.start]).astype(np.float32)
    warp = cv2.getPerspectiveTransform(corners, local)
    image = cv2.warpPerspective(textures.texture(rng), warp, (below.shape[1], below.shape[0]), flags=cv2.INTER_AREA)
    mask = np.zeros(below.shape[:2], dtype=np.uint8)
    painting.fill(mask, local.astype(float), (255, 255, 255))
    cv2.copyTo(image, mask, below)


def _clutter_places(rng: np.random.Generator, wall: float) -> list:
    behind = [(rng.uniform(-4.2, 4.2), rng.uniform(wall + 0.3, -1.3)) for _ in range(rng.integers(1, 4))]
    beside = [(rng.uniform(-3.4, -2.2), rng.uniform(-0.8, 0.8)) for _ in range(rng.integers(0, 2))]
    return behind + beside


def _random_color(rng: np.random.Generator) -> painting.Color:
    return painting.hsv(rng.random(), rng.uniform(0.05, 0.45), rng.uniform(0.3, 0.9))


def _shadow_of(canvas: np.ndarray, camera: Camera, points: np.ndarray, slant: Slant) -> None:
    painting.soft_shadow(canvas, [(camera.project(cast(points, slant)), 0.4)], 8)


def _draw_box(rng, canvas: np.ndarray, camera: Camera, x: float, z: float, slant: Slant) -> None:
    """A book, a carton, a block: the faces that are turned to the camera."""
    width, height, depth = rng.uniform(0.2, 0.6), rng.uniform(0.2, 1.0), rng.uniform(0.1, 0.3)
    turn = rng.uniform(-0.6, 0.6)
    base = np.array([[-width, depth], [width, depth], [width, -depth], [-width, -depth]])
    base = base @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]) + [x, z]
    corners = np.array([[px, y, pz] for y in (0.0, height) for px, pz in base])
    _shadow_of(canvas, camera, corners, slant)
    points, color = camera.project(corners), _random_color(rng)
    for side in range(4):
        after = (side + 1) % 4
        edge, middle = base[after] - base[side], (base[after] + base[side]) / 2
        outward = np.array([-edge[1], edge[0]]) * np.sign(np.dot([-edge[1], edge[0]], middle - [x, z]))
        if np.dot(outward, camera.position[[0, 2]] - middle) > 0:
            face = points[[side, after, after + 4, side + 4]]
            painting.fill(canvas, face, painting.shade(color, 0.62 + 0.14 * side))
            inner = face.mean(axis=0) + rng.uniform(0.2, 0.8, (1, 2)) * (face - face.mean(axis=0))
            painting.fill(canvas, inner, _random_color(rng))
    painting.fill(canvas, points[4:], painting.shade(color, 1.15))


def _draw_can(rng, canvas: np.ndarray, camera: Camera, x: float, z: float, slant: Slant) -> None:
    """Something round and opaque: a can, a pot, a bottle."""
    body = _clutter_vessel(rng, rng.uniform(0.4, 1.1), rng.uniform(0.15, 0.35), 1.0)
    placed = body.rings + [x, 0.0, z]
    _shadow_of(canvas, camera, placed.reshape(-1, 3), slant)
    outside = camera.project(placed.reshape(-1, 3)).reshape(placed.shape[:2] + (2,))
    vessels.draw_back(canvas, outside, body)
    vessels.draw_front(canvas, outside, body, camera.focal / 8, int(rng.integers(2, 6)))


def _draw_glass(rng, canvas: np.ndarray, camera: Camera, x: float, z: float, slant: Slant) -> None:
    """A vessel like those of the action, with something in it, that nobody touches."""
    glass = _clutter_vessel(rng, rng.uniform(0.7, 1.4), rng.uniform(0.3, 0.5), rng.uniform(0.2, 0.5))
    position = np.array([x, 0.0, z])
    placed = glass.rings + position
    _shadow_of(canvas, camera, placed.reshape(-1, 3), slant)
    outside = camera.project(placed.reshape(-1, 3)).reshape(placed.shape[:2] + (2,))
    vessels.draw_back(canvas, outside, glass)
    vessels.draw_liquid(canvas, camera, glass, position, 0.0, rng.uniform(0.0, 0.9))
    vessels.draw_front(canvas, outside, glass, camera.focal / 8, int(rng.integers(2, 6)))


def _clutter_vessel(rng: np.random.Generator, height: float, radius: float, opacity: float) -> vessels.Vessel:
    return vessels.make_vessel(
        rng,
        "cup",
        height=height,
        radius=radius,
        glass=_random_color(rng),
        liquid=_random_color(rng),
        glass_opacity=opacity,
        band=_random_color(rng) if rng.random() < 0.5 else None,
    )


def _draw_ball(rng, canvas: np.ndarray, camera: Camera, x: float, z: float, slant: Slant) -> None:
    radius, color = rng.uniform(0.15, 0.42), _random_color(rng)
    (center,), (scale,) = camera.project_with_scale(np.array([[x, radius, z]]))
    turn = np.linspace(0, 2 * np.pi, 12)[:-1]
    shadow = np.stack([x + radius * np.cos(turn), np.full(11, 0.5 * radius), z + radius * np.sin(turn)], axis=1)
    _shadow_of(canvas, camera, shadow, slant)
    draw_ball(canvas, center, radius * scale, color)


def draw_ball(canvas: np.ndarray, center: np.ndarray, pixels: float, color: painting.Color) -> None:
    """A shaded ball; center and radius in canvas pixels."""
    painting.disc(canvas, center, pixels, painting.shade(color, 0.6))
    painting.disc(canvas, center - 0.08 * pixels, 0.88 * pixels, color)
    painting.disc(canvas, center - 0.35 * pixels, 0.3 * pixels, painting.shade(color, 1.4))
