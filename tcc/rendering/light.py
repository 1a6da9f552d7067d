"""Light and sensor: brightness and colour that drift, uneven light, blur and noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Tuple

import cv2
import numpy as np

_LEVELS = np.arange(256) / 255.0
_GRID = np.stack(np.meshgrid(np.linspace(-1, 1, 24), np.linspace(-1, 1, 18)), axis=-1)


@dataclass(frozen=True)
class Light:
    """Light and sensor of one clip.

    Attributes:
      gain, gamma: [3] of the blue, green and red channel; gamma [1].
      drift, periods, phases: [5] of a sine in brightness, warmth, spot strength and spot position (x, y).
      spot: [3] mean strength and position (x, y, from -1 to 1) of a soft spot of light.
      vignette: darkness of the corners. blur: standard deviation in pixels. noise: scaled int8 field, larger than a frame.
    """

    gain: np.ndarray
    gamma: float
    drift: np.ndarray
    periods: np.ndarray
    phases: np.ndarray
    spot: np.ndarray
    vignette: float
    blur: float
    noise: np.ndarray

    def apply(self, frame: np.ndarray, seconds: float, rng: np.random.Generator) -> np.ndarray:
        """The frame uint8 [H, W, 3] as the sensor records it at this moment; `rng` places the noise."""
        brightness, warmth, strength, x, y = self.drift * np.sin(2 * np.pi * seconds / self.periods + self.phases)
        field = self._field(self.spot[0] + strength, self.spot[1] + x, self.spot[2] + y)
        field = cv2.resize(field, (frame.shape[1], frame.shape[0]), interpolation=cv2.INTER_LINEAR)
        lit = cv2.multiply(frame, cv2.cvtColor(field, cv2.COLOR_GRAY2BGR), scale=1 / 160)
        lit = cv2.LUT(lit, self._curve(brightness, warmth))
        if self.blur > 0.3:
            lit = cv2.GaussianBlur(lit, (5, 5), self.blur)
        row, column = (
            rng.integers(0, self.noise.shape[0] - frame.shape[0]),
            rng.integers(0, self.noise.shape[1] - frame.shape[1]),
        )
        grain = self.noise[row : row + frame.shape[0], column : column + frame.shape[1]]
        return cv2.add(lit, grain, dtype=cv2.CV_8U)

    def _field(self, strength: float, x: float, y: float) -> np.ndarray:
        distance = ((_GRID - [x, y]) ** 2).sum(axis=-1)
        corners = 1 - self.vignette * 0.5 * (_GRID**2).sum(axis=-1)
        return np.clip(160 * (1 - 0.5 * strength + strength * np.exp(-2 * distance)) * corners, 0, 255).astype(np.uint8)

    def _curve(self, brightness: float, warmth: float) -> np.ndarray:
        gains = self.gain * (1 + brightness) * np.array([1 - warmth, 1.0, 1 + warmth])
        curve = 255 * np.clip(_LEVELS[:, None] ** self.gamma * gains, 0, 1)
        return curve.astype(np.uint8)[None]


def draw_light(rng: np.random.Generator, frame_size: Tuple[int, int]) -> Light:
    """Random light and sensor."""
    warmth = rng.uniform(-0.14, 0.14)
    exposure = rng.uniform(0.95, 1.3)
    shape = (frame_size[1] + 33, frame_size[0] + 33)
    sigma = rng.uniform(1.0, 6.0)
    gray = rng.standard_normal((*shape, 1), dtype=np.float32)
    color = rng.standard_normal((*shape, 3), dtype=np.float32)
    return Light(
        gain=exposure * np.array([1 - warmth, 1 + rng.uniform(-0.03, 0.03), 1 + warmth]),
        gamma=float(rng.uniform(0.75, 1.05)),
        drift=np.array([0.13, 0.05, 0.15, 0.3, 0.3]) * rng.random(5),
        periods=rng.uniform(1.5, 9.0, 5),
        phases=rng.uniform(0, 2 * np.pi, 5),
        spot=np.array([rng.uniform(0.0, 0.45), rng.uniform(-0.9, 0.9), rng.uniform(-0.9, 0.9)]),
        vignette=float(rng.uniform(0.0, 0.45)),
        blur=float(rng.uniform(0.0, 0.9)),
        noise=np.clip(sigma * (0.75 * gray + 0.5 * color), -127, 127).astype(np.int8),
    )
