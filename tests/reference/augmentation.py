"""Changes of frames in float64, pixel by pixel, each as its equation has it; nothing is rounded in between."""

from __future__ import annotations

import colorsys

import numpy as np


def change_frame(frame, change, part, noise):
    """All of a `FrameChange` in its order: crop, mirror, brightness, contrast, hue, saturation, clip, noise, clip.

    part: rows and columns that are kept. noise: [H, W, 3] in levels.
    """
    values = crop_and_resize(frame, part)
    values = values[:, ::-1] if change.flip else values
    values = adjust_contrast(values + 255 * change.brightness, change.contrast)
    values = adjust_colors(values, change.saturation, change.hue)
    return np.clip(np.clip(values, 0, 255) + noise, 0, 255)


def crop_and_resize(frame, part):
    """Bilinear with pixels' centers at halves, edges repeated."""
    height, width = frame.shape[:2]
    kept = frame[part].astype(np.float64)
    result = np.empty((height, width, 3))
    for row in range(height):
        for column in range(width):
            result[row, column] = _between(kept, row, column, height, width)
    return result


def _between(kept, row, column, height, width):
    rows, columns = kept.shape[:2]
    y = min(max((row + 0.5) * rows / height - 0.5, 0), rows - 1)
    x = min(max((column + 0.5) * columns / width - 0.5, 0), columns - 1)
    top, left = int(y), int(x)
    bottom, right = min(top + 1, rows - 1), min(left + 1, columns - 1)
    upper = (1 - x + left) * kept[top, left] + (x - left) * kept[top, right]
    lower = (1 - x + left) * kept[bottom, left] + (x - left) * kept[bottom, right]
    return (1 - y + top) * upper + (y - top) * lower


def adjust_contrast(values, factor):
    """Each channel's distance from its mean over the frame, times a factor."""
    result = np.empty(values.shape)
    for channel in range(3):
        mean = values[..., channel].mean()
        result[..., channel] = factor * (values[..., channel] - mean) + mean
    return result


def adjust_colors(values, saturation, hue):
    """Pixel by pixel: to YIQ, I and Q turned and stretched, and back."""
    result = np.empty(values.shape)
    for place in np.ndindex(*values.shape[:2]):
        red, green, blue = values[place]
        luma = 0.299 * red + 0.587 * green + 0.114 * blue
        in_phase = 0.596 * red - 0.274 * green - 0.322 * blue
        quadrature = 0.211 * red - 0.523 * green + 0.312 * blue
        turned = saturation * complex(in_phase, quadrature) * np.exp(2j * np.pi * hue)
        result[place] = _to_rgb(luma, turned.real, turned.imag)
    return result


def _to_rgb(luma, in_phase, quadrature):
    to_yiq = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
    return np.linalg.inv(to_yiq) @ (luma, in_phase, quadrature)


def hsv_hue(color):
    """Hue of an RGB color, in turns: which way colors go around."""
    return colorsys.rgb_to_hsv(*(np.asarray(color) / 255))[0]
