"""Things that move and mean nothing: each repeats itself for ever from a random moment on, so none tells the time."""

from __future__ import annotations

from typing import Callable, List

import numpy as np

from tcc.rendering import painting
from tcc.rendering.camera import Camera
from tcc.rendering.scene import draw_ball

Distractor = Callable[[np.ndarray, float], None]  # draws itself on the canvas at a time in seconds


def draw_distractors(rng: np.random.Generator, camera: Camera) -> List[Distractor]:
    """One or two moving things for one clip."""
    makers = (_pendulum, _rolling_ball, _butterfly, _screen, _passer_by, _mobile, _toy_car)
    chosen = rng.choice(len(makers), size=int(rng.integers(1, 3)), replace=False)
    return [makers[int(index)](rng, camera) for index in sorted(chosen)]


def _wave(rng: np.random.Generator, slowest: float, fastest: float) -> Callable[[float], float]:
    """A sine of random period (seconds) and phase."""
    period, phase = rng.uniform(fastest, slowest), rng.uniform(0, 2 * np.pi)
    return lambda seconds: float(np.sin(2 * np.pi * seconds / period + phase))


def _lap(rng: np.random.Generator, slowest: float, fastest: float) -> Callable[[float], float]:
    """How much of a lap (0 to 1) is done, again and again, forwards or backwards."""
    speed, start = rng.choice([-1, 1]) / rng.uniform(fastest, slowest), rng.random()
    return lambda seconds: float((start + speed * seconds) % 1.0)


def _color(rng: np.random.Generator) -> painting.Color:
    return painting.hsv(rng.random(), rng.uniform(0.2, 1.0), rng.uniform(0.3, 1.0))


def _pendulum(rng: np.random.Generator, camera: Camera) -> Distractor:
    swing, color, reach = _wave(rng, 3.0, 1.0), _color(rng), rng.uniform(0.2, 0.6)
    length, x, y, z = rng.uniform(0.8, 1.8), rng.uniform(-3, 3), rng.uniform(2.6, 4.0), rng.uniform(-2.0, -1.2)
    radius = rng.uniform(0.12, 0.3)

    def draw(canvas: np.ndarray, seconds: float) -> None:
        angle = reach * swing(seconds)
        bob = [x + length * np.sin(angle), y - length * np.cos(angle), z]
        points, scale = camera.project_with_scale(np.array([[x, y, z], bob]))
        painting.stroke(canvas, points, painting.shade(color, 0.4), 2)
        draw_ball(canvas, points[1], radius * scale[1], color)

    return draw


def _rolling_ball(rng: np.random.Generator, camera: Camera) -> Distractor:
    lap, hop, color = _lap(rng, 9.0, 3.0), _wave(rng, 1.2, 0.6), _color(rng)
    z, radius, bounce = rng.uniform(-1.8, -1.1), rng.uniform(0.12, 0.3), rng.choice([0.0, 0.6])

    def draw(canvas: np.ndarray, seconds: float) -> None:
        center = [9 * lap(seconds) - 4.5, radius + bounce * abs(hop(seconds)), z]
        points, scale = camera.project_with_scale(np.array([center, [center[0], 0.0, z]]))
        painting.soft_shadow(
            canvas, [(painting.ellipse(points[1], (radius * scale[0], 0.4 * radius * scale[0])), 0.4)], 6
        )
        draw_ball(canvas, points[0], radius * scale[0], color)

    return draw


def _butterfly(rng: np.random.Generator, camera: Camera) -> Distractor:
    waves = [_wave(rng, 8.0, 2.0) for _ in range(4)]
    flap, color, size = _wave(rng, 0.4, 0.2), _color(rng), rng.uniform(0.15, 0.28)

    def draw(canvas: np.ndarray, seconds: float) -> None:
        x = 1.9 * waves[0](seconds) + 0.8 * waves[1](seconds)
        y = 2.3 + 0.6 * waves[2](seconds) + 0.3 * waves[3](seconds)
        (center,), (scale,) = camera.project_with_scale(np.array([[x, y, -1.0]]))
        span = size * scale * (0.35 + 0.65 * abs(flap(seconds)))
        for side in (-1, 1):
            upper = [[0, 0], [side * span, -size * scale], [side * span * 1.1, -0.1 * size * scale]]
            lower = [[0, 0], [side * span * 0.8, 0.1 * size * scale], [side * span * 0.6, 0.7 * size * scale]]
            painting.fill(canvas, center + np.array(upper), color)
            painting.fill(canvas, center + np.array(lower), painting.shade(color, 0.7))

    return draw


def _screen(rng: np.random.Generator, camera: Camera) -> Distractor:
    """A screen on the wall whose picture changes."""
    x, y, half = rng.uniform(-3.2, 3.2), rng.uniform(1.5, 3.2), rng.uniform(0.4, 0.8)
    corners = np.array([[-1, 0.65], [1, 0.65], [1, -0.65], [-1, -0.65]]) * half + [x, y]
    points = camera.project(np.concatenate([corners, np.full((4, 1), -1.8)], axis=1))
    hue, level, bar, first = _lap(rng, 12.0, 4.0), _wave(rng, 2.0, 0.4), _lap(rng, 5.0, 1.5), rng.random()

    def draw(canvas: np.ndarray, seconds: float) -> None:
        painting.fill(canvas, points, painting.hsv(hue(seconds) + first, 0.6, 0.6 + 0.25 * level(seconds)))
        left, right = (points[[0, 3]] + share * (points[[1, 2]] - points[[0, 3]]) for share in _bar(bar(seconds)))
        painting.fill(canvas, np.array([left[0], right[0], right[1], left[1]]), painting.hsv(hue(seconds), 0.3, 0.9))
        painting.stroke(canvas, points, (20, 20, 20), 4, closed=True)

    return draw


def _bar(place: float) -> tuple:
    return 0.8 * place, 0.8 * place + 0.2


def _passer_by(rng: np.random.Generator, camera: Camera) -> Distractor:
    """Somebody walks past behind the table, arms swinging."""
    lap, step, z = _lap(rng, 8.0, 3.0), _wave(rng, 1.2, 0.7), -1.8
    clothes = painting.hsv(rng.random(), rng.uniform(0.0, 0.6), rng.uniform(0.2, 0.8))
    head, hair = painting.hsv(0.06, 0.4, rng.uniform(0.3, 0.9)), painting.hsv(0.07, 0.5, rng.uniform(0.05, 0.6))

    def draw(canvas: np.ndarray, seconds: float) -> None:
        x, swing = 14 * lap(seconds) - 7, 0.5 * step(seconds)
        joints = [
            [0, 0],
            [0, 2.0],
            [-0.4, 2.1],
            [0.4, 2.1],
            [-0.5 - swing, 0.9],
            [0.5 - swing, 0.9],
            [0, 2.9],
            [0, 3.0],
        ]
        flat = np.array(joints, dtype=float) + [x, 0.06 * abs(swing)]
        points, scale = camera.project_with_scale(np.concatenate([flat, np.full((len(flat), 1), z)], axis=1))
        limbs = painting.capsules(
            points[[2, 3, 0]], points[[4, 5, 1]], scale[:3] * [0.2, 0.2, 0.5], scale[:3] * [0.15, 0.15, 0.55]
        )
        for limb, tone in zip(limbs, (0.7, 0.7, 1.0)):
            painting.fill(canvas, limb, painting.shade(clothes, tone))
        painting.disc(canvas, points[7], 0.38 * scale[7], hair)
        painting.disc(canvas, points[6], 0.33 * scale[6], head)

    return draw


def _mobile(rng: np.random.Generator, camera: Camera) -> Distractor:
    """Leaves of a plant, or a mobile, that sway."""
    x, z, color = rng.choice([-1, 1]) * rng.uniform(1.8, 3.2), rng.uniform(-1.8, -1.2), _color(rng)
    sways = [_wave(rng, 3.5, 1.2) for _ in range(6)]
    angles, lengths = rng.uniform(-0.9, 0.9, 6), rng.uniform(0.8, 1.9, 6)

    def draw(canvas: np.ndarray, seconds: float) -> None:
        bent = angles + 0.12 * np.array([sway(seconds) for sway in sways])
        tips = np.stack([x + lengths * np.sin(bent), 0.5 + lengths * np.cos(bent), np.full(6, z)], axis=1)
        middles = np.array([x, 0.5, z]) + 0.55 * (tips - [x, 0.5, z]) + [0.0, 0.18, 0.0]
        points, scale = camera.project_with_scale(np.concatenate([[[x, 0.5, z], [x, 0.0, z]], middles, tips]))
        for leaf in range(6):
            tone = painting.shade(color, 0.6 + 0.08 * leaf)
            outline = painting.capsules(
                points[2 + leaf][None], points[8 + leaf][None], scale[:1] * 0.13, scale[:1] * 0.02
            )
            painting.stroke(canvas, np.stack([points[0], points[2 + leaf]]), tone, 3)
            painting.fill(canvas, outline[0], tone)
        pot = painting.capsules(points[1:2], points[:1], scale[1:2] * 0.22, scale[:1] * 0.3)[0]
        painting.fill(canvas, pot, painting.shade(color, 0.45))

    return draw


def _toy_car(rng: np.random.Generator, camera: Camera) -> Distractor:
    """A toy car that drives to and fro before or behind the action."""
    drive, color = _wave(rng, 9.0, 3.0), _color(rng)
    z, reach, middle = rng.choice([-1.4, 1.3]), rng.uniform(0.8, 2.6), rng.uniform(-1.0, 1.0)

    def draw(canvas: np.ndarray, seconds: float) -> None:
        x = middle + reach * drive(seconds)
        body = np.array([[-0.4, 0.1], [0.4, 0.1], [0.4, 0.25], [-0.4, 0.25]])
        cabin = np.array([[-0.22, 0.25], [0.22, 0.25], [0.14, 0.42], [-0.16, 0.42]])
        flat = np.concatenate([body, cabin, [[-0.25, 0.1], [0.25, 0.1]]])
        points, scale = camera.project_with_scale(np.concatenate([flat + [x, 0.0], np.full((10, 1), z)], axis=1))
        painting.fill(canvas, points[:4], color)
        painting.fill(canvas, points[4:8], painting.shade(color, 1.3))
        for wheel in points[8:]:
            painting.disc(canvas, wheel, 0.1 * scale[0], (25, 25, 25))

    return draw
