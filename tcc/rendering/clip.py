"""One rendered clip: every frame is a function of (seed, name, frame number), and the truth about it is known."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Iterator, List, Tuple

import cv2
import numpy as np

from tcc.config import RenderingConfig
from tcc.errors import SettingsError
from tcc.rendering import painting, vessels
from tcc.rendering.camera import Camera, Drift, canvas_to_frame, draw_camera, draw_drift
from tcc.rendering.distractors import Distractor, draw_distractors
from tcc.rendering.hand import Hand, cast, draw_hand, draw_strokes, shadow_shapes, strokes
from tcc.rendering.light import Light, draw_light
from tcc.rendering.motion import Course, Pose, Timeline, draw_timeline
from tcc.rendering.scene import Slant, draw_backdrop

RENDERING_VERSION = 1  # raise it when the same settings give other bytes

# One stream of random numbers per subject, so that a change in one leaves the others as they were.
_TIMELINE, _CAMERA, _SCENE, _ACTION, _DISTRACTORS, _LIGHT, _NOISE, _ENCODING = range(8)


def stream(config: RenderingConfig, name: str, *subject: int) -> np.random.Generator:
    """The random numbers of one subject of one clip; they depend on the seed and the name alone."""
    return np.random.default_rng([config.seed, zlib.crc32(name.encode("utf-8")), *subject])


def clip_names(config: RenderingConfig) -> List[Tuple[str, str]]:
    """(name, split) of every clip of the set; clip i of a split is the same however many there are."""
    counts = (("train", config.num_train), ("val", config.num_val), ("test", config.num_test))
    return [(f"{split}_{index:03d}.mp4", split) for split, count in counts for index in range(count)]


def clip_timeline(config: RenderingConfig, name: str) -> Timeline:
    """The course of one clip, without drawing anything."""
    return draw_timeline(
        stream(config, name, _TIMELINE),
        fps=config.fps,
        min_seconds=config.min_seconds,
        max_seconds=config.max_seconds,
    )


def clip_crf(config: RenderingConfig, name: str) -> int:
    """How hard the clip is compressed: constant rate factor of H.264."""
    return int(stream(config, name, _ENCODING).integers(21, 31))


@dataclass(frozen=True)
class RenderedClip:
    """A clip that draws its frames when asked.

    Attributes:
      name: as in `clip_names`.
      timeline: phase and progress of every frame, boundaries in seconds.
      action: whether hand, cup, second vessel and liquid are drawn, or only what surrounds them.
    """

    name: str
    timeline: Timeline
    action: bool
    _config: RenderingConfig
    _stage: _Stage

    @property
    def num_frames(self) -> int:
        """T."""
        return self.timeline.num_frames

    @property
    def fps(self) -> float:
        """Frames per second."""
        return self.timeline.fps

    @property
    def boundaries_seconds(self) -> np.ndarray:
        """float64 [K + 1]: where each phase starts, and where the clip ends."""
        return self.timeline.boundaries_seconds

    @property
    def phases(self) -> np.ndarray:
        """int64 [T]: index into PHASES."""
        return self.timeline.phases

    @property
    def progress(self) -> np.ndarray:
        """float64 [T]: share of the action that is done, 0 at the first frame and 1 at the last; still in a pause."""
        return self.timeline.progress

    def frame(self, index: int) -> np.ndarray:
        """Frame number `index` as uint8 [height, width, 3], blue, green, red."""
        pose = self._stage.course.pose(int(self.phases[index]), float(self.timeline.shares[index]))
        noise = stream(self._config, self.name, _NOISE, index)
        return self._stage.frame(index / self.fps, pose if self.action else None, noise)

    def frames(self) -> Iterator[np.ndarray]:
        """All frames in order; see `frame`."""
        return (self.frame(index) for index in range(self.num_frames))


@dataclass(frozen=True)
class _Stage:
    """What one clip is made of, ready to be drawn at any moment."""

    size: Tuple[int, int]
    camera: Camera
    drift: Drift
    light: Light
    slant: Slant
    backdrop: np.ndarray
    distractors: List[Distractor]
    course: Course
    hand: Hand
    grip_height: float
    target_outside: np.ndarray
    shine: np.ndarray  # towards the light, on the canvas

    def frame(self, seconds: float, pose, rng: np.random.Generator) -> np.ndarray:
        canvas = self.backdrop.copy()
        for draw in self.distractors:
            draw(canvas, seconds)
        if pose is not None:
            self._draw_action(canvas, pose)
        warp = canvas_to_frame(self.camera, self.size, self.drift.offsets(seconds))
        frame = cv2.warpPerspective(canvas, warp, self.size, borderMode=cv2.BORDER_REPLICATE)
        return self.light.apply(frame, seconds, rng)

    def _draw_action(self, canvas: np.ndarray, pose: Pose) -> None:
        course, camera = self.course, self.camera
        cup_rings = vessels.place(course.cup.rings, pose.cup, pose.tilt)
        outside = camera.project(cup_rings.reshape(-1, 3)).reshape(cup_rings.shape[:2] + (2,))
        pixels = float(camera.focal / np.linalg.norm(camera.position - pose.cup))
        arm = self._arm(pose)
        self._draw_shadows(canvas, cup_rings, arm, pixels)
        vessels.draw_back(canvas, self.target_outside, course.target)
        self._draw_stream(canvas, pose, pixels)
        vessels.draw_liquid(canvas, camera, course.target, course.target_position, 0.0, pose.target_fill)
        self._draw_splash(canvas, pose, pixels)
        vessels.draw_front(canvas, self.target_outside, course.target, pixels, 5)
        draw_strokes(canvas, camera, arm, near=False, light=self.shine)
        vessels.draw_back(canvas, outside, course.cup)
        vessels.draw_liquid(canvas, camera, course.cup, pose.cup, pose.tilt, pose.cup_fill)
        vessels.draw_front(canvas, outside, course.cup, pixels, 5)
        draw_strokes(canvas, camera, arm, near=True, light=self.shine)

    def _arm(self, pose: Pose):
        carried = pose.cup - self.course.rest
        elbow = self.course.rest + self.hand.elbow + 0.25 * carried + 0.75 * (pose.hand - pose.cup)
        radius = self.course.cup.outer_radius(self.grip_height)
        return strokes(self.hand, pose.hand, pose.tilt, self.grip_height, radius, pose.grip, elbow)

    def _draw_shadows(self, canvas: np.ndarray, cup_rings: np.ndarray, arm, pixels: float) -> None:
        cup = self.camera.project(cast(cup_rings.reshape(-1, 3), self.slant))
        shapes = [(shape, 0.42) for shape in shadow_shapes(self.camera, arm, self.slant)]
        painting.soft_shadow(canvas, [(cup, 0.34), *shapes], 0.12 * pixels)

    def _draw_stream(self, canvas: np.ndarray, pose: Pose, pixels: float) -> None:
        head, tail = pose.stream
        if head <= tail:
            return
        points = self.camera.project(self._stream_path(pose, np.linspace(tail, head, 7)))
        liquid = self.course.cup.liquid
        painting.stroke(canvas, points, liquid, 0.21 * pixels)
        painting.stroke(canvas, points - [0.02 * pixels, 0], painting.shade(liquid, 1.4), 0.06 * pixels)

    def _stream_path(self, pose: Pose, share: np.ndarray) -> np.ndarray:
        """Points [N, 3] of the stream at shares (0 to 1) of its way from the lip to the liquid in the target."""
        course = self.course
        lip = pose.cup + vessels.place(course.cup.lip, np.zeros(3), pose.tilt)
        surface = course.target_position[1] + course.target.level(pose.target_fill, 0.0)
        x, y = lip[0] - 0.2 * np.sqrt(share), lip[1] + share**1.4 * (surface - lip[1])
        return np.stack([x, y, np.full(len(share), lip[2])], axis=1)

    def _draw_splash(self, canvas: np.ndarray, pose: Pose, pixels: float) -> None:
        """Foam and drops where the stream meets the liquid."""
        head, tail = pose.stream
        if head < 1 or tail >= 1:
            return
        center = self.camera.project(self._stream_path(pose, np.ones(1)))[0]
        bright = painting.shade(self.course.cup.liquid, 1.65)
        painting.fill(canvas, painting.ellipse(center, (0.24 * pixels, 0.08 * pixels)), bright)
        rise = (40 * pose.cup_fill + np.array([0.0, 0.35, 0.7])) % 1.0
        for side, height in zip((-0.22, 0.02, 0.2), rise):
            painting.disc(canvas, center + pixels * np.array([side, -0.25 * height]), 0.045 * pixels, bright)


def render_clip(config: RenderingConfig, name: str, *, action: bool = True) -> RenderedClip:
    """Prepare one clip; the same (seed, name) gives the same pixels.

    Args:
      config: size, frame rate, length and seed; the numbers of clips do not matter.
      name: one of `clip_names`; any other string gives a clip of its own.
      action: False leaves out hand, vessels, liquid and their shadows, and keeps all else as it was.
    Raises: SettingsError if the frame size is odd.
    """
    if config.width % 2 or config.height % 2:
        raise SettingsError(
            f"width, height: H.264 stores colour for blocks of 2 x 2 pixels, got {config.width} x {config.height}; "
            "choose even numbers"
        )
    return RenderedClip(name, clip_timeline(config, name), action, config, _stage(config, name, action))


def _stage(config: RenderingConfig, name: str, with_action: bool) -> _Stage:
    size = (config.width, config.height)
    view, scene, action = (stream(config, name, subject) for subject in (_CAMERA, _SCENE, _ACTION))
    camera = draw_camera(view, size)
    slant = (scene.uniform(-0.55, 0.55), scene.uniform(-0.4, 0.25))
    backdrop = draw_backdrop(scene, camera, slant)
    course, hand = _course(action)
    placed = course.target.rings + course.target_position
    if with_action:
        painting.soft_shadow(backdrop, [(camera.project(cast(placed.reshape(-1, 3), slant)), 0.34)], 8)
    return _Stage(
        size=size,
        camera=camera,
        drift=draw_drift(view),
        light=draw_light(stream(config, name, _LIGHT), size),
        slant=slant,
        backdrop=backdrop,
        distractors=draw_distractors(stream(config, name, _DISTRACTORS), camera),
        course=course,
        hand=hand,
        grip_height=course.cup.height * action.uniform(0.46, 0.56),
        target_outside=camera.project(placed.reshape(-1, 3)).reshape(placed.shape[:2] + (2,)),
        shine=np.array([-np.sign(slant[0]) * 0.7, -0.7]),
    )


def _course(rng: np.random.Generator) -> Tuple[Course, Hand]:
    liquid = painting.hsv(rng.random(), rng.uniform(0.75, 1.0), rng.uniform(0.35, 0.85))
    cup = _action_vessel(rng, "cup", liquid, height=rng.uniform(1.05, 1.25), radius=rng.uniform(0.36, 0.44))
    # A wide bowl: with two vessels alike, a mirrored clip would begin as another one ends.
    target = _action_vessel(rng, "bowl", liquid, height=rng.uniform(0.62, 0.8), radius=rng.uniform(0.6, 0.72))
    hand = draw_hand(rng)
    rest = np.array([rng.uniform(0.78, 0.98), 0.0, rng.uniform(-0.1, 0.15)])
    stands = np.array([-rng.uniform(0.78, 0.98), 0.0, rng.uniform(-0.1, 0.15)])
    lip_x = stands[0] + rng.uniform(0.0, 0.5) * target.radius + 0.1
    course = Course(
        cup=cup,
        target=target,
        rest=rest,
        target_position=stands,
        pour_point=np.array([lip_x, target.height + rng.uniform(0.25, 0.4), stands[2]]),
        cup_fills=(rng.uniform(0.78, 0.92), 0.0),
        target_fills=(0.0, rng.uniform(0.7, 0.92)),
        away=rng.uniform(2.9, 3.3) * hand.direction + [0.0, rng.uniform(0.0, 0.5), 0.0],
        arcs=(rng.uniform(0.0, 0.3), rng.uniform(0.3, 0.55), rng.uniform(0.3, 0.55)),
    )
    return course, hand


def _action_vessel(rng: np.random.Generator, kind: str, liquid: painting.Color, *, height: float, radius: float):
    return vessels.make_vessel(
        rng,
        kind,
        height=height,
        radius=radius,
        glass=painting.hsv(rng.random(), rng.uniform(0.0, 0.2), rng.uniform(0.8, 1.0)),
        liquid=liquid,
        glass_opacity=rng.uniform(0.2, 0.4),
        band=painting.hsv(rng.random(), rng.random(), rng.random()) if rng.random() < 0.15 else None,
    )
