"""Where a clip is seen from: a perspective view that is fixed per clip, and a slow drift around it.

The world is measured in cup heights: x to the right, y up (the table is y = 0), z towards the viewer. A clip is drawn
on a canvas that is larger than its frames. The camera only ever turns and zooms while a clip runs; what that does to the
picture is a homography, so one warp from canvas to frame moves everything, drawn or static, exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Tuple

import cv2
import numpy as np

MARGIN = 1.12  # canvas over frame: how far the drift may look beyond the mean view
FINENESS = 1.25  # canvas pixels per frame pixel: hides the jagged edges of what is drawn


@dataclass(frozen=True)
class Camera:
    """A pinhole camera onto the canvas.

    Attributes:
      matrix: float64 [3, 4], world to homogeneous canvas pixels; the third coordinate is the depth in cup heights.
      size: width and height of the canvas in pixels.
      focal: focal length in canvas pixels, so a length l at depth z covers focal * l / z pixels.
      position: float64 [3], the camera in the world.
    """

    matrix: np.ndarray
    size: Tuple[int, int]
    focal: float
    position: np.ndarray

    def project(self, points: np.ndarray) -> np.ndarray:
        """World points [N, 3] to canvas pixels [N, 2]."""
        homogeneous = points @ self.matrix[:, :3].T + self.matrix[:, 3]
        return homogeneous[:, :2] / homogeneous[:, 2:]

    def project_with_scale(self, points: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
        """World points [N, 3] to canvas pixels [N, 2] and pixels per cup height [N]."""
        homogeneous = points @ self.matrix[:, :3].T + self.matrix[:, 3]
        depth = homogeneous[:, 2]
        return homogeneous[:, :2] / depth[:, None], self.focal / depth


def draw_camera(rng: np.random.Generator, frame_size: Tuple[int, int]) -> Camera:
    """A random view of the table: direction, distance, zoom, roll, and left or right handed."""
    yaw, pitch, roll = np.radians([rng.uniform(-10, 10), rng.uniform(12, 22), rng.uniform(-2, 2)])
    distance = rng.uniform(6.0, 9.0)
    visible_height = rng.uniform(3.05, 3.5)
    target = np.array([rng.uniform(-0.05, 0.15), rng.uniform(1.02, 1.14), 0.0])
    mirrored = bool(rng.random() < 0.4)
    return look_at(target, yaw, pitch, roll, distance, visible_height, mirrored, frame_size)


def look_at(
    target: np.ndarray,
    yaw: float,
    pitch: float,
    roll: float,
    distance: float,
    visible_height: float,
    mirrored: bool,
    frame_size: Tuple[int, int],
) -> Camera:
    """The camera at `distance` from `target` that sees `visible_height` cup heights there; angles in radians."""
    backward = np.array([np.sin(yaw) * np.cos(pitch), np.sin(pitch), np.cos(yaw) * np.cos(pitch)])
    right = np.array([np.cos(yaw), 0.0, -np.sin(yaw)])
    up = np.cross(backward, right)
    right, up = (
        np.cos(roll) * right + np.sin(roll) * up,
        np.cos(roll) * up - np.sin(roll) * right,
    )
    position = target + distance * backward
    width, height = (int(round(side * MARGIN * FINENESS)) for side in frame_size)
    focal = frame_size[1] * FINENESS * distance / visible_height
    extrinsic = np.stack([-right if mirrored else right, -up, -backward])
    intrinsic = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])
    matrix = intrinsic @ np.concatenate([extrinsic, -(extrinsic @ position)[:, None]], axis=1)
    return Camera(matrix, (width, height), float(focal), position)


@dataclass(frozen=True)
class Drift:
    """Slow turning and zooming, and a little shake: sums of sines whose phases are random, so none starts at rest.

    Attributes:
      amplitudes, periods, phases: float64 [2, 4]; slow and fast part of pan, tilt, roll (radians) and log zoom;
        periods in seconds.
    """

    amplitudes: np.ndarray
    periods: np.ndarray
    phases: np.ndarray

    def offsets(self, seconds: float) -> np.ndarray:
        """Pan, tilt, roll and log zoom at one moment, [4]."""
        return np.sum(self.amplitudes * np.sin(2 * np.pi * seconds / self.periods + self.phases), axis=0)


def draw_drift(rng: np.random.Generator) -> Drift:
    """A random drift: a slow one, and for some clips the shake of a hand-held camera."""
    strength, shake = rng.uniform(0.2, 1.0), rng.choice([0.0, 0.0, 1.0]) * rng.uniform(0.3, 1.0)
    slow = strength * np.array([0.016, 0.012, 0.02, 0.05])
    fast = shake * np.array([0.0016, 0.0016, 0.003, 0.003])
    periods = np.stack([rng.uniform(3.0, 11.0, 4), rng.uniform(0.25, 0.8, 4)])
    return Drift(np.stack([slow, fast]), periods, rng.uniform(0, 2 * np.pi, (2, 4)))


def canvas_to_frame(camera: Camera, frame_size: Tuple[int, int], offsets: np.ndarray) -> np.ndarray:
    """The homography from canvas pixels to frame pixels while the camera is turned and zoomed by `offsets`.

    H = K_frame R K_canvas^-1: a turn of the camera around its own centre needs no depth.
    """
    pan, tilt, roll, log_zoom = offsets
    width, height = camera.size
    from_canvas = np.array(
        [[1 / camera.focal, 0, -width / 2 / camera.focal], [0, 1 / camera.focal, -height / 2 / camera.focal], [0, 0, 1]]
    )
    rotation = cv2.Rodrigues(np.array([tilt, pan, roll]))[0]
    focal = camera.focal / FINENESS * np.exp(log_zoom)
    to_frame = np.array([[focal, 0, frame_size[0] / 2], [0, focal, frame_size[1] / 2], [0, 0, 1]])
    return to_frame @ rotation @ from_canvas
