"""Changes of a training clip that leave its action as it is: drawn once per clip and step, the same for all its frames.

Frames are changed in the order of the reference: crop, mirror, brightness, contrast, hue and saturation, and noise last.
Everything from brightness to saturation is one affine map of a pixel's color, so it is one pass over bytes, rounded and
clipped at its end alone:

    x' = M (c (x - m) + m + 255 b)        M = T^-1 diag(1, s R(2 pi h)) T

with brightness b, contrast c, m the mean of each channel over the frame (as TensorFlow's adjust_contrast), saturation s and
hue h (in turns). T takes RGB to YIQ and R rotates the plane of I and Q: luma stays as it is. TensorFlow's adjust_hue and
adjust_saturation work on HSV instead, and are not linear.

What is drawn follows from (seed, step, clip, view), each kind of change from a generator of its own: switching one on moves no
other. Only `draw_views` shows a clip in two views.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, List, Optional, Tuple

import cv2
import numpy as np

from tcc.config import AugmentationConfig
from tcc.errors import ShapeError

# What a clip's generator is for; part of its seed. Never zero: NumPy's seeds ignore trailing zeros.
FLIP, CROP, BRIGHTNESS, CONTRAST, SATURATION, HUE, NOISE = 1, 2, 3, 4, 5, 6, 7

RGB_TO_YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
_LARGEST_ASPECT = 4 / 3


@dataclass(frozen=True)
class FrameChange:
    """One change of all frames of a clip; the defaults leave them as they are.

    Attributes:
      flip: mirror left to right.
      crop: top, left, height, width of the part that is kept, as shares of the frame's height and width; the part is
        resized to the frame's size. None: all of it.
      brightness: is added, as a share of 255.
      contrast: factor of the distance from each channel's mean over the frame.
      saturation: factor of the distance from gray.
      hue: rotation of the colors, in turns.
      noise: standard deviation of the Gaussian noise that is added, as a share of 255; the same noise for all frames.
      noise_seed: the noise follows from it.
    """

    flip: bool = False
    crop: Optional[Tuple[float, float, float, float]] = None
    brightness: float = 0.0
    contrast: float = 1.0
    saturation: float = 1.0
    hue: float = 0.0
    noise: float = 0.0
    noise_seed: int = 0


def clip_generator(seed: int, step: int, clip: int, view: int, purpose: int) -> np.random.Generator:
    """The generator of one kind of change of one view of a clip at one step of a training."""
    return np.random.default_rng([seed, step, clip, view, purpose])


def draw_flip(augmentation: AugmentationConfig, *, seed: int, step: int, clip: int, view: int = 0) -> bool:
    """Whether a view of a clip is mirrored at a step."""
    return bool(clip_generator(seed, step, clip, view, FLIP).random() < augmentation.flip)


def draw_frame_change(
    augmentation: AugmentationConfig, *, seed: int, step: int, clip: int, view: int = 0
) -> FrameChange:
    """The change of a view of a clip at a step; it depends on nothing but the arguments."""

    def generator(purpose: int) -> np.random.Generator:
        return clip_generator(seed, step, clip, view, purpose)

    def around(center: float, width: float, purpose: int) -> float:
        return float(generator(purpose).uniform(center - width, center + width)) if width else center

    noise_rng = generator(NOISE)
    return FrameChange(
        flip=draw_flip(augmentation, seed=seed, step=step, clip=clip, view=view),
        crop=draw_crop(augmentation.crop_min_area, rng=generator(CROP)),
        brightness=around(0.0, augmentation.brightness, BRIGHTNESS),
        contrast=around(1.0, augmentation.contrast, CONTRAST),
        saturation=around(1.0, augmentation.saturation, SATURATION),
        hue=around(0.0, augmentation.hue, HUE),
        noise=float(noise_rng.uniform(0, augmentation.noise)),
        noise_seed=int(noise_rng.integers(1 << 63)),
    )


def draw_crop(min_area: float, *, rng: np.random.Generator) -> Optional[Tuple[float, float, float, float]]:
    """A part of a frame for `FrameChange.crop`: area uniform in [min_area, 1], aspect ratio log-uniform.

    The aspect ratio, relative to the frame's, lies within 3/4 and 4/3, and so that the part fits into the frame.
    """
    if min_area >= 1:
        return None
    area = rng.uniform(min_area, 1)
    limit = np.log(min(_LARGEST_ASPECT, 1 / area))
    aspect = np.exp(rng.uniform(-limit, limit))
    height, width = np.sqrt(area / aspect), np.sqrt(area * aspect)
    top, left = rng.random(2) * (1 - height, 1 - width)
    return float(top), float(left), float(height), float(width)


def change_frames(frames: np.ndarray, change: FrameChange) -> np.ndarray:
    """Change all frames of a clip: uint8 RGB [..., H, W, 3] -> the same shape.

    Raises: ShapeError if it is something else.
    """
    if frames.dtype != np.uint8 or frames.ndim < 3 or frames.shape[-1] != 3:
        raise ShapeError(f"frames: expected uint8 [..., H, W, 3], got {frames.dtype} {list(frames.shape)}")
    changer = FrameChanger(change, frames.shape[-3], frames.shape[-2])
    flat = np.ascontiguousarray(frames).reshape(-1, *frames.shape[-3:])
    changed = np.empty_like(flat)
    for frame, out in zip(flat, changed):
        changer(frame, out)
    return changed.reshape(frames.shape)


class FrameChanger:
    """A `FrameChange` prepared for frames of one size: what is the same for all of them is computed once."""

    def __init__(self, change: FrameChange, height: int, width: int):
        self._passes: List[Callable[[np.ndarray, Optional[np.ndarray]], np.ndarray]] = []
        if change.crop is not None:
            part = pixels_of_crop(change.crop, height, width)
            self._passes.append(lambda frame, out: crop_and_resize(frame, part, out))
        if (change.brightness, change.contrast, change.saturation, change.hue) != (0, 1, 1, 0):
            colors = color_matrix(change.saturation, change.hue)
            self._passes.append(lambda frame, out: map_colors(frame, color_map(frame, change, colors), out))
        if change.flip:
            self._passes.append(lambda frame, out: cv2.flip(frame, 1, dst=out))
        if change.noise:
            noise = draw_noise((height, width, 3), change.noise, rng=np.random.default_rng(change.noise_seed))
            self._passes.append(lambda frame, out: add_noise(frame, noise, out))

    @property
    def changes_nothing(self) -> bool:
        """Whether frames stay as they are."""
        return not self._passes

    def __call__(self, frame: np.ndarray, out: np.ndarray) -> None:
        """Write the changed frame to `out`; both uint8 [H, W, 3] and contiguous, and not the same."""
        if self.changes_nothing:
            out[...] = frame
            return
        for change in self._passes[:-1]:
            frame = change(frame, None)
        self._passes[-1](frame, out)


def pixels_of_crop(crop: Tuple[float, float, float, float], height: int, width: int) -> Tuple[slice, slice]:
    """Rows and columns of the part of a frame that `FrameChange.crop` names, at least one each."""
    top, left, part_height, part_width = crop
    rows, columns = max(1, round(part_height * height)), max(1, round(part_width * width))
    first_row, first_column = min(round(top * height), height - rows), min(round(left * width), width - columns)
    return slice(first_row, first_row + rows), slice(first_column, first_column + columns)


def crop_and_resize(frame: np.ndarray, part: Tuple[slice, slice], out: Optional[np.ndarray] = None) -> np.ndarray:
    """The part of a frame, bilinearly resized to the whole frame's size with pixels' centers at halves."""
    height, width = frame.shape[:2]
    return cv2.resize(frame[part], (width, height), dst=out, interpolation=cv2.INTER_LINEAR)


def color_matrix(saturation: float, hue: float) -> np.ndarray:
    """M [3, 3] of RGB columns: colors moved from gray by the factor `saturation` and turned by `hue` turns, luma kept."""
    cosine, sine = saturation * np.cos(2 * np.pi * hue), saturation * np.sin(2 * np.pi * hue)
    turned = np.array([[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]])
    return np.linalg.solve(RGB_TO_YIQ, turned @ RGB_TO_YIQ)


def color_map(frame: np.ndarray, change: FrameChange, colors: np.ndarray) -> np.ndarray:
    """The change of a frame's colors as one affine map [3, 4], with `colors` from `color_matrix`."""
    shift = np.full(3, 255 * change.brightness)
    if change.contrast != 1:
        shift += (1 - change.contrast) * np.array(cv2.mean(frame)[:3])
    return np.hstack([change.contrast * colors, (colors @ shift)[:, np.newaxis]])


def map_colors(frame: np.ndarray, affine: np.ndarray, out: Optional[np.ndarray] = None) -> np.ndarray:
    """A frame's colors x as A x + t, rounded and clipped to 0..255; affine [3, 4] is A and t."""
    # Too small to change a level, and no zero: some versions of OpenCV are ten times slower with diagonal matrices.
    return cv2.transform(frame, np.where(affine == 0, 1e-6, affine), dst=out)


def draw_noise(shape: Tuple[int, ...], deviation: float, *, rng: np.random.Generator) -> np.ndarray:
    """Gaussian noise in whole levels, int16; `deviation` is a share of 255."""
    return np.rint(255 * deviation * rng.standard_normal(shape, np.float32)).astype(np.int16)


def add_noise(frame: np.ndarray, noise: np.ndarray, out: Optional[np.ndarray] = None) -> np.ndarray:
    """A frame with noise, clipped to 0..255."""
    return cv2.add(frame, noise, dst=out, dtype=cv2.CV_8U)


def draw_channels(num_channels: int, share: float, *, rng: np.random.Generator) -> np.ndarray:
    """Which channels `flatten_channels` flattens, bool [C]: each with probability `share`."""
    return rng.random(num_channels) < share


def flatten_channels(features: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Replace the chosen channels of a clip's features [..., C] by their mean over the clip.

    They tell nothing of time any more, which keeps an embedder from relying on few channels.
    """
    means = features.reshape(-1, features.shape[-1]).mean(axis=0, dtype=np.float32).astype(features.dtype)
    return np.where(chosen, means, features)
