"""A hand on an arm: tapered strokes with an outline, a body and a light, sorted into those behind and before the cup."""

from __future__ import annotations

from dataclasses import dataclass
from typing import List, Tuple

import numpy as np

from tcc.rendering import painting
from tcc.rendering.camera import Camera
from tcc.rendering.painting import Color
from tcc.rendering.vessels import place

_NUM_FINGERS = 4
_JOINTS = 4  # points along one finger
_FINGER_RADIUS = 0.088
_OPEN = 0.55  # how far (cup heights) an open hand stands off the cup


@dataclass(frozen=True)
class Hand:
    """How the hand of one clip looks and holds. Lengths in cup heights, angles in radians.

    Attributes:
      skin, sleeve, cuff: colours.
      size: of the hand against the cup. sleeve_start: distance from the wrist to the cuff.
      azimuth: direction that the arm comes from; 0 is +x, positive is towards the viewer.
      elbow: float64 [3], outside the picture, while the hand holds the cup at rest; relative to the cup.
      fingers_near: whether the fingers, or the thumb, lie on the viewer's side of the cup.
    """

    skin: Color
    sleeve: Color
    cuff: Color
    size: float
    sleeve_start: float
    azimuth: float
    elbow: np.ndarray
    fingers_near: bool

    @property
    def direction(self) -> np.ndarray:
        """Unit vector from the cup to where the hand comes from."""
        return np.array([np.cos(self.azimuth), 0.0, np.sin(self.azimuth)])


@dataclass(frozen=True)
class Strokes:
    """Tapered strokes in the world, in the order they are drawn: starts, ends [N, 3], radii [N] in cup heights."""

    starts: np.ndarray
    ends: np.ndarray
    start_radii: np.ndarray
    end_radii: np.ndarray
    colors: List[Color]
    roundness: np.ndarray  # [N]: of the ends, see painting.capsules
    near: np.ndarray  # bool [N]: before the cup
    groups: np.ndarray  # int [N]: strokes of one group share an outline


def draw_hand(rng: np.random.Generator) -> Hand:
    """A random hand, sleeve and direction of the arm."""
    tone = rng.random()
    skin = painting.hsv(0.045 + 0.035 * rng.random(), 0.3 + 0.38 * tone, 0.95 - 0.58 * tone)
    if rng.random() < 0.06:
        skin = painting.hsv(rng.random(), rng.uniform(0.1, 0.7), rng.uniform(0.4, 0.95))  # a glove
    hue, saturation, value = rng.random(), rng.uniform(0.0, 0.95), rng.uniform(0.15, 0.95)
    sleeve = painting.hsv(hue, saturation, value)
    azimuth = np.radians(rng.uniform(5, 25))
    elbow = 5.0 * np.array([np.cos(azimuth), 0.0, 0.5 * np.sin(azimuth)]) + [0.0, rng.uniform(0.5, 1.9), 0.0]
    return Hand(
        skin=skin,
        sleeve=sleeve,
        cuff=painting.shade(sleeve, rng.uniform(0.6, 1.4)),
        size=rng.uniform(0.9, 1.15),
        sleeve_start=rng.uniform(0.25, 1.1),
        azimuth=float(azimuth),
        elbow=elbow,
        fingers_near=bool(rng.random() < 0.6),
    )


def strokes(
    hand: Hand,
    position: np.ndarray,
    tilt: float,
    grip_height: float,
    grip_radius: float,
    grip: float,
    elbow: np.ndarray,
) -> Strokes:
    """The hand around a cup at `position`, tilted with it; `grip` is 0 for an open hand and 1 for a closed one."""
    opened = 1.0 - grip
    radius = grip_radius + _FINGER_RADIUS * hand.size * 0.8
    side = 1.0 if hand.fingers_near else -1.0
    palm_x = radius + _OPEN * 0.35 * opened + 0.07 * hand.size
    local = np.concatenate(
        [
            _fingers(hand, radius, grip_height, opened, side),
            _thumb(hand, radius, grip_height, opened, side),
            [[palm_x, grip_height + 0.17 * hand.size, 0.0], [palm_x, grip_height - 0.17 * hand.size, 0.0]],
            [[palm_x + 0.42 * hand.size, grip_height - 0.05, 0.0]],
        ]
    )
    turned = _turn(local, hand.azimuth)
    return _assemble(hand, place(turned, position, tilt), turned[:, 2], elbow)


def _fingers(hand: Hand, radius: float, grip_height: float, opened: float, side: float) -> np.ndarray:
    heights = grip_height + hand.size * np.array([[0.25], [0.085], [-0.085], [-0.245]])
    reach = np.array([[0.93], [1.0], [0.97], [0.82]])
    share = np.linspace(0.1, 1.0, _JOINTS)
    angles = side * np.radians(132 - 78 * opened) * share * reach
    distance = radius + _OPEN * opened * (0.35 + 0.45 * share)
    y = heights + opened * 0.4 * (heights - grip_height) * share
    return np.stack([distance * np.cos(angles), y, distance * np.sin(angles)], axis=-1).reshape(-1, 3)


def _thumb(hand: Hand, radius: float, grip_height: float, opened: float, side: float) -> np.ndarray:
    share = np.array([0.15, 0.6, 1.0])
    angles = -side * np.radians(92 - 50 * opened) * share
    distance = radius + _OPEN * opened * (0.35 + 0.4 * share)
    y = grip_height + hand.size * (0.1 + 0.17 * share)
    return np.stack([distance * np.cos(angles), y, distance * np.sin(angles)], axis=-1)


def _turn(points: np.ndarray, azimuth: float) -> np.ndarray:
    cosine, sine = np.cos(azimuth), np.sin(azimuth)
    return points @ np.array([[cosine, 0.0, sine], [0.0, 1.0, 0.0], [-sine, 0.0, cosine]])


# Pairs of joints: fingers of _JOINTS points one after another, then three of the thumb, two of the palm, the wrist.
_FINGER_STARTS = np.array([finger * _JOINTS + joint for finger in range(_NUM_FINGERS) for joint in range(_JOINTS - 1)])
_THUMB, _PALM, _WRIST = _NUM_FINGERS * _JOINTS, _NUM_FINGERS * _JOINTS + 3, _NUM_FINGERS * _JOINTS + 5
_DIGIT_STARTS = np.concatenate([_FINGER_STARTS, [_THUMB, _THUMB + 1]])
_DIGIT_RADII = _FINGER_RADIUS * np.array([1.0] * len(_FINGER_STARTS) + [1.15] * 2)
_DIGIT_GROUPS = np.concatenate([np.repeat(np.arange(_NUM_FINGERS), _JOINTS - 1), [_NUM_FINGERS] * 2])
_ARM_GROUPS = np.array([0, 0, 0, 1, 2])
_ARM_START_RADII = np.array([0.17, 0.15, 0.16, 0.25, 0.27])
_ROUNDNESS = np.array([1.0, 1.0, 1.0, 0.2, 0.25] + [1.0] * len(_DIGIT_STARTS))
_ARM_END_RADII = np.array([0.19, 0.15, 0.18, 0.46, 0.275])


def _assemble(hand: Hand, joints: np.ndarray, depths: np.ndarray, elbow: np.ndarray) -> Strokes:
    wrist, palm = joints[_WRIST], joints[_PALM : _PALM + 2]
    towards_elbow = (elbow - wrist) / np.linalg.norm(elbow - wrist)
    cuff = wrist + hand.sleeve_start * towards_elbow
    arm_starts = np.stack([wrist, palm[0], wrist, cuff, cuff])
    arm_ends = np.stack([cuff, palm[1], palm.mean(axis=0), elbow, cuff + 0.12 * towards_elbow])
    digits_near = depths[_DIGIT_STARTS] + depths[_DIGIT_STARTS + 1] > 0
    return Strokes(
        starts=np.concatenate([arm_starts, joints[_DIGIT_STARTS]]),
        ends=np.concatenate([arm_ends, joints[_DIGIT_STARTS + 1]]),
        start_radii=hand.size * np.concatenate([_ARM_START_RADII, _DIGIT_RADII]),
        end_radii=hand.size * np.concatenate([_ARM_END_RADII, 0.94 * _DIGIT_RADII]),
        colors=[hand.skin] * 3 + [hand.sleeve, hand.cuff] + [hand.skin] * len(_DIGIT_STARTS),
        roundness=_ROUNDNESS,
        near=np.concatenate([[hand.azimuth > 0.1] * 5, digits_near]),
        groups=np.concatenate([_ARM_GROUPS, 3 + _DIGIT_GROUPS]),
    )


def draw_strokes(canvas: np.ndarray, camera: Camera, parts: Strokes, *, near: bool, light: np.ndarray) -> None:
    """Draw what lies before (near) or behind the cup: dark outline, body, highlight towards `light` [2] on the canvas."""
    keep = parts.near == near
    starts, start_scale = camera.project_with_scale(parts.starts[keep])
    ends, end_scale = camera.project_with_scale(parts.ends[keep])
    start_radii, end_radii = parts.start_radii[keep] * start_scale, parts.end_radii[keep] * end_scale
    roundness = parts.roundness[keep]
    outline = painting.capsules(starts, ends, start_radii, end_radii, roundness)
    body = painting.capsules(starts, ends, 0.84 * start_radii, 0.84 * end_radii, 0.9 * roundness)
    shift_start, shift_end = 0.3 * start_radii[:, None] * light, 0.3 * end_radii[:, None] * light
    shine = painting.capsules(starts + shift_start, ends + shift_end, 0.4 * start_radii, 0.4 * end_radii)
    colors = [color for color, kept in zip(parts.colors, keep) if kept]
    groups = parts.groups[keep]
    for group in np.unique(groups):
        members = np.flatnonzero(groups == group)
        for shapes, factor in ((outline, 0.55), (body, 1.0), (shine, 1.2)):
            for member in members:
                painting.fill(canvas, shapes[member], painting.shade(colors[member], factor))


def shadow_shapes(camera: Camera, parts: Strokes, slant: Tuple[float, float]) -> np.ndarray:
    """Outlines [N, 16, 2] of the strokes' shadows on the table, for light that moves (x, z) by `slant` per height."""
    starts, start_scale = camera.project_with_scale(cast(parts.starts, slant))
    ends, end_scale = camera.project_with_scale(cast(parts.ends, slant))
    return painting.capsules(starts, ends, parts.start_radii * start_scale, parts.end_radii * end_scale)


def cast(points: np.ndarray, slant: Tuple[float, float]) -> np.ndarray:
    """Where the shadows of points [..., 3] fall on the table."""
    x = points[..., 0] + slant[0] * points[..., 1]
    z = points[..., 2] + slant[1] * points[..., 1]
    return np.stack([x, np.zeros_like(x), z], axis=-1)
