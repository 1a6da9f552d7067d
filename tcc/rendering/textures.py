"""Procedural surfaces: square tiles of wood, stone, cloth, brick, paper and paint, in random colours."""

from __future__ import annotations

from typing import Callable, Dict, Tuple

import cv2
import numpy as np

from tcc.rendering import painting

SIZE = 256  # pixels along the side of a tile

_ROWS, _COLUMNS = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32) / SIZE


def texture(rng: np.random.Generator) -> np.ndarray:
    """A tile uint8 [256, 256, 3]: random kind, colours, scale and wear."""
    kind = _KINDS[str(rng.choice(sorted(_KINDS)))]
    first, second = _two_colors(rng)
    mixed = np.clip(kind(rng), 0, 1)[..., None]
    tile = first * (1 - mixed) + second * mixed
    tile *= 1 + rng.uniform(0.05, 0.2) * (clouds(rng)[..., None] - 0.5)
    tile += rng.normal(0, rng.uniform(1, 7), (SIZE, SIZE, 1))
    return np.clip(tile, 0, 255).astype(np.uint8)


def clouds(rng: np.random.Generator, octaves: Tuple[int, ...] = (4, 9, 21)) -> np.ndarray:
    """Smooth noise float32 [256, 256] from 0 to 1."""
    total = np.zeros((SIZE, SIZE), dtype=np.float32)
    for index, cells in enumerate(octaves):
        coarse = rng.random((cells, cells)).astype(np.float32)
        total += cv2.resize(coarse, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC) / 2**index
    low, high = total.min(), total.max()
    return (total - low) / (high - low)


def _two_colors(rng: np.random.Generator) -> Tuple[np.ndarray, np.ndarray]:
    hue, saturation, value = rng.random(), 0.5 * rng.random() ** 1.5, rng.uniform(0.45, 0.95)
    first = painting.hsv(hue, saturation, value)
    contrast = rng.uniform(0.05, 0.18) * (1 if value < 0.55 else -1)
    second = painting.hsv(
        hue + rng.choice([0.02, 0.08, 0.5]) * rng.random(), saturation * rng.uniform(0.4, 1.3), value + contrast
    )
    return np.array(first, dtype=np.float32), np.array(second, dtype=np.float32)


def _wood(rng: np.random.Generator) -> np.ndarray:
    bend = clouds(rng, (3, 6))
    rings = np.sin((_ROWS * rng.uniform(8, 22) + rng.uniform(1, 4) * bend) * 2 * np.pi)
    grain = cv2.resize(rng.random((SIZE, 6)).astype(np.float32), (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)
    boards = np.floor(_ROWS * rng.integers(3, 7))
    return 0.35 + 0.2 * rings + 0.35 * grain + 0.12 * np.sin(9 * boards)


def _stone(rng: np.random.Generator) -> np.ndarray:
    veins = 1 - np.abs(2 * clouds(rng, (4, 8, 16, 32)) - 1)
    return veins ** rng.uniform(2, 6)


def _checks(rng: np.random.Generator) -> np.ndarray:
    count = int(rng.integers(3, 9))
    return (np.floor(_ROWS * 2 * count) + np.floor(_COLUMNS * 2 * count)) % 2


def _tiles(rng: np.random.Generator) -> np.ndarray:
    count, gap = int(rng.integers(3, 9)), rng.uniform(0.04, 0.1)
    joints = ((_ROWS * count) % 1 < gap) | ((_COLUMNS * count) % 1 < gap)
    tone = rng.random((count, count))[(_ROWS * count).astype(int) % count, (_COLUMNS * count).astype(int) % count]
    return np.where(joints, 1.0, 0.4 * tone)


def _bricks(rng: np.random.Generator) -> np.ndarray:
    count = int(rng.integers(8, 15))
    row = np.floor(_ROWS * count)
    along = _COLUMNS * count / 2 + 0.5 * (row % 2)
    joints = ((_ROWS * count) % 1 < 0.14) | (along % 1 < 0.07)
    tone = rng.random((64, 64))[row.astype(int) % 64, along.astype(int) % 64]
    return np.where(joints, 1.0, 0.5 * tone)


def _stripes(rng: np.random.Generator) -> np.ndarray:
    angle, count = rng.choice([0.0, np.pi / 2, np.pi / 4]), rng.integers(5, 18)
    wave = np.sin((np.cos(angle) * _ROWS + np.sin(angle) * _COLUMNS) * 2 * np.pi * count)
    return 0.5 + 0.5 * np.clip(wave * rng.uniform(1, 6), -1, 1)


def _plaid(rng: np.random.Generator) -> np.ndarray:
    count = int(rng.integers(3, 8))
    rows = (np.floor(_ROWS * count * 3) % 3 == 0) * 0.5
    columns = (np.floor(_COLUMNS * count * 3) % 3 == 0) * 0.5
    return rows + columns


def _dots(rng: np.random.Generator) -> np.ndarray:
    count, radius = int(rng.integers(5, 14)), rng.uniform(0.2, 0.36)
    distance = np.hypot((_ROWS * count) % 1 - 0.5, (_COLUMNS * count) % 1 - 0.5)
    return np.clip((radius - distance) * 20, 0, 1)


def _plaster(rng: np.random.Generator) -> np.ndarray:
    return clouds(rng, (3, 7, 40))


_KINDS: Dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    "bricks": _bricks,
    "checks": _checks,
    "dots": _dots,
    "plaid": _plaid,
    "plaster": _plaster,
    "stone": _stone,
    "stripes": _stripes,
    "tiles": _tiles,
    "wood": _wood,
}
