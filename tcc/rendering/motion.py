"""When things happen: how long each phase takes, where it pauses, and where cup, liquid and hand are at each moment.

The five phases are those of the Pouring set. The times of the phases are independent of each other: each is the
shortest possible one times a number drawn evenly between 1 and max_seconds / min_seconds (4 by default).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import List, Tuple

import numpy as np

from tcc.rendering.vessels import Vessel, place

PHASES: Tuple[str, ...] = ("reach", "lift", "pour", "put_back", "leave")

_SHARES = np.array([0.2, 0.2, 0.24, 0.2, 0.16])  # of each phase in the shortest clip


@dataclass(frozen=True)
class Timeline:
    """The course of one clip.

    Attributes:
      fps: frames per second.
      starts: int64 [K + 1], first frame of each phase, and the number of frames.
      phases: int64 [T], phase of each frame.
      shares: float64 [T], how much of its phase is done at each frame, from 0 to 1; it stands still in a pause.
    """

    fps: float
    starts: np.ndarray
    phases: np.ndarray
    shares: np.ndarray

    @property
    def num_frames(self) -> int:
        """T."""
        return int(self.starts[-1])

    @property
    def boundaries_seconds(self) -> np.ndarray:
        """float64 [K + 1]: start of each phase and end of the clip."""
        return self.starts / self.fps

    @property
    def progress(self) -> np.ndarray:
        """float64 [T]: (phase + share) / K, from 0 at the first frame to 1 at the last."""
        return (self.phases + self.shares) / len(PHASES)


def draw_timeline(rng: np.random.Generator, *, fps: float, min_seconds: float, max_seconds: float) -> Timeline:
    """Random times, tempo and pauses for one clip."""
    seconds = _SHARES * (min_seconds + (max_seconds - min_seconds) * rng.random(len(PHASES)))
    starts = np.rint(np.concatenate([[0.0], np.cumsum(seconds)]) * fps).astype(np.int64)
    # At least one frame each, also at very low frame rates.
    starts = np.maximum.accumulate(np.maximum(starts - np.arange(len(starts)), 0)) + np.arange(len(starts))
    shares = [
        _shares(rng, int(end - start), last=k == len(PHASES) - 1) for k, (start, end) in enumerate(_pairs(starts))
    ]
    return Timeline(
        fps=fps,
        starts=starts,
        phases=np.repeat(np.arange(len(PHASES)), np.diff(starts)),
        shares=np.concatenate(shares),
    )


def _pairs(values: np.ndarray) -> List[Tuple[int, int]]:
    return list(zip(values[:-1], values[1:]))


def _shares(rng: np.random.Generator, count: int, *, last: bool) -> np.ndarray:
    """Share of the phase done at each of its frames: quickest near its ends, so that borders are seen, and perhaps a pause."""
    ease = rng.uniform(0.72, 1.0)
    pause_at, pause = rng.uniform(0.25, 0.75), rng.uniform(0.1, 0.25) * (rng.random() < 0.5)
    time = np.arange(count) / max(count - 1 if last else count, 1)
    if last and count == 1:
        return np.ones(1)
    moved = np.interp(time, [0, pause_at * (1 - pause), pause_at * (1 - pause) + pause, 1], [0, pause_at, pause_at, 1])
    return moved**ease / (moved**ease + (1 - moved) ** ease)


@dataclass(frozen=True)
class Pose:
    """Everything that the action has changed at one moment. Positions [3] in cup heights, angles in radians.

    Attributes:
      cup, tilt: position of the cup's floor, and how far it leans.
      cup_fill, target_fill: share of each vessel that is full.
      hand, grip: position of the hand (that of a cup it would hold), and 0 open to 1 closed.
      stream: (head, tail) of the stream, each 0 at the lip and 1 in the target; equal where nothing flows.
    """

    cup: np.ndarray
    tilt: float
    cup_fill: float
    target_fill: float
    hand: np.ndarray
    grip: float
    stream: Tuple[float, float]


@dataclass(frozen=True)
class Course:
    """The path of one clip's action.

    Attributes:
      cup, target: the vessels. rest, target_position: float64 [3], where they stand.
      pour_point: float64 [3], where the lip stays while pouring.
      cup_fills, target_fills: (before, after).
      away: float64 [3], offset of the hand before it comes and after it left.
      arcs: heights that the paths of hand, lift and return rise above a straight line.
    """

    cup: Vessel
    target: Vessel
    rest: np.ndarray
    target_position: np.ndarray
    pour_point: np.ndarray
    cup_fills: Tuple[float, float]
    target_fills: Tuple[float, float]
    away: np.ndarray
    arcs: Tuple[float, float, float]

    def pose(self, phase: int, share: float) -> Pose:
        """Where everything is when `share` (0 to 1) of phase number `phase` is done."""
        return (self._reach, self._lift, self._pour, self._put_back, self._leave)[phase](share)

    def _at_rest(self, approach: float, grip: float, *, after: bool) -> Pose:
        offset = (1 - approach) * self.away + [0.0, self.arcs[0] * np.sin(np.pi * approach), 0.0]
        cup_fill, target_fill = self.cup_fills[after], self.target_fills[after]
        return Pose(self.rest, 0.0, cup_fill, target_fill, self.rest + offset, grip, (0.0, 0.0))

    def _reach(self, share: float) -> Pose:
        return self._at_rest(min(share / 0.9, 1.0), _smooth((share - 0.8) / 0.2), after=False)

    def _leave(self, share: float) -> Pose:
        return self._at_rest(1 - max(share - 0.05, 0.0) / 0.95, 1 - _smooth(share / 0.12), after=True)

    def _pouring_position(self, tilt: float) -> np.ndarray:
        return self.pour_point - place(self.cup.lip, np.zeros(3), tilt)

    def _carried(self, share: float, tilt: float, pouring_tilt: float, arc: float, *, after: bool) -> Pose:
        """On the way, `share` of it from rest to the place of pouring."""
        position = self.rest + share * (self._pouring_position(pouring_tilt) - self.rest)
        position = position + [0.0, arc * np.sin(np.pi * share), 0.0]
        cup_fill, target_fill = self.cup_fills[after], self.target_fills[after]
        return Pose(position, tilt, cup_fill, target_fill, position, 1.0, (0.0, 0.0))

    def _lift(self, share: float) -> Pose:
        tilt = self.cup.spill_tilt(self.cup_fills[0])
        return self._carried(share, tilt * max(share - 0.65, 0.0) / 0.35, tilt, self.arcs[1], after=False)

    def _pour(self, share: float) -> Pose:
        cup_fill = self.cup_fills[0] + share * (self.cup_fills[1] - self.cup_fills[0])
        arrived = np.clip((share - 0.05) / 0.95, 0, 1)
        target_fill = self.target_fills[0] + arrived * (self.target_fills[1] - self.target_fills[0])
        tilt = self.cup.spill_tilt(cup_fill)
        position = self._pouring_position(tilt)
        stream = (float(np.clip(share / 0.05, 0, 1)), float(np.clip((share - 0.96) / 0.04, 0, 1)))
        return Pose(position, tilt, cup_fill, float(target_fill), position, 1.0, stream)

    def _put_back(self, share: float) -> Pose:
        tilt = self.cup.spill_tilt(self.cup_fills[1])
        return self._carried(1 - share, tilt * max(1 - share / 0.3, 0.0), tilt, self.arcs[2], after=True)


def _smooth(value: float) -> float:
    value = min(max(value, 0.0), 1.0)
    return value * value * (3 - 2 * value)
