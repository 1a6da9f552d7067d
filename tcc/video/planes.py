"""Decoded frames as the planes they are stored in, made small before they are converted.

Converting a whole frame to BGR and that to a small picture costs about as much as decoding does. Here each plane is made
small first; what is left to convert is the range (limited: luma 16..235; full: 0..255) and the matrix (BT.601 is a
JPEG's own; BT.709 and others differ), both linear:

    y' = range (y + a (u - 128) + b (v - 128))      u' = range (c (u - 128) + d (v - 128)) + 128      v' likewise

A frame that names no matrix is taken as BT.601, one that names no range as limited, as FFmpeg and OpenCV do.
"""

from __future__ import annotations

import functools
from typing import Any, Dict, List, Tuple

import cv2
import numpy as np

from tcc.video.pictures import View, YuvPicture
from tcc.video.resize import fit, placement, upright

# Pixel formats whose planes are read as they are, with their bits.
_BITS = {
    **{f"yuv{letter}{chroma}p": 8 for letter in ("", "j") for chroma in ("420", "422", "444")},
    **{f"yuv{chroma}p10le": 10 for chroma in ("420", "422", "444")},
    "nv12": 8,
}
# The shares of red and blue in luma, by the number that streams name the matrix with (ISO/IEC 23091-2).
_BT601 = (0.299, 0.114)
_MATRICES: Dict[int, Tuple[float, float]] = {
    1: (0.2126, 0.0722),  # BT.709
    2: _BT601,  # unspecified
    4: (0.30, 0.11),  # FCC
    5: _BT601,
    6: _BT601,
    7: (0.212, 0.087),  # SMPTE 240M
    9: (0.2627, 0.0593),  # BT.2020
}
_FULL_RANGE = 2


def has_planes(frame: Any) -> bool:
    """Whether a frame of PyAV can be read by its planes: YUV of 8 or 10 bits, with a known matrix, without alpha."""
    known = frame.format.name in _BITS and int(frame.colorspace) in _MATRICES
    return known and all(plane.line_size > 0 for plane in frame.planes)


def is_bt601(frame: Any) -> bool:
    """Whether a frame's colors are those of BT.601, or it does not tell."""
    return _MATRICES.get(int(frame.colorspace)) == _BT601


def read_planes(frame: Any, view: View, rotation: int) -> YuvPicture:
    """A frame of PyAV that `has_planes`, made small and upright."""
    where = placement(frame.width, frame.height, view.pixels, view.resize)
    bits, full = _BITS[frame.format.name], frame.color_range == _FULL_RANGE or frame.format.name.startswith("yuvj")
    luma, *color = _views(frame, bits)
    small = [fit(luma, where)]
    for plane in color:
        small += cv2.split(fit(plane, where, bar=128 << bits - 8, size=view.chroma_size(rotation)))
    if bits > 8:
        small = [cv2.convertScaleAbs(plane, alpha=0.5 ** (bits - 8)) for plane in small]
    converted = _converted(small, full, _MATRICES[int(frame.colorspace)])
    return YuvPicture(*(upright(plane, rotation) for plane in converted))


def _views(frame: Any, bits: int) -> List[np.ndarray]:
    """The planes as they lie in memory, without the padding of their lines."""
    views: List[np.ndarray] = []
    for plane in frame.planes:
        lines = np.frombuffer(plane, np.uint8 if bits == 8 else np.dtype("<u2"))
        lines = lines.reshape(plane.height, -1)
        if frame.format.name == "nv12" and views:
            views.append(lines[:, : 2 * plane.width].reshape(plane.height, plane.width, 2))
        else:
            views.append(lines[:, : plane.width])
    return views


def _converted(small: List[np.ndarray], full: bool, matrix: Tuple[float, float]) -> List[np.ndarray]:
    """Small planes in full range and BT.601."""
    if matrix != _BT601:
        return _changed_matrix(small, full, matrix)
    if full:
        return small
    luma, *color = small
    return [_linear(luma, 255 / 219, 16.0, 0.0), *(_linear(plane, 255 / 224, 128.0, 128.0) for plane in color)]


def _linear(plane: np.ndarray, factor: float, zero: float, becomes: float) -> np.ndarray:
    """`becomes` + factor (plane - zero), rounded and kept within 8 bits."""
    return cv2.addWeighted(plane, factor, plane, 0.0, becomes - factor * zero)


def _changed_matrix(small: List[np.ndarray], full: bool, matrix: Tuple[float, float]) -> List[np.ndarray]:
    y, u, v = small
    weights = _weights(matrix)
    (luma_range, black), color_range = ((1.0, 0.0), 1.0) if full else ((255 / 219, 16.0), 255 / 224)
    luma_u, luma_v = weights[0] * color_range
    # Kept around 128, as color planes are: it fits into 8 bits for every matrix above.
    change = _sum(u, luma_u, v, luma_v)
    change = cv2.resize(change, (y.shape[1], y.shape[0]), interpolation=cv2.INTER_LINEAR)
    luma = cv2.addWeighted(y, luma_range, change, 1.0, -128.0 - luma_range * black)
    return [luma, *(_sum(u, color_range * row[0], v, color_range * row[1]) for row in weights[1:])]


def _sum(u: np.ndarray, u_weight: float, v: np.ndarray, v_weight: float) -> np.ndarray:
    return cv2.addWeighted(u, u_weight, v, v_weight, 128.0 * (1 - u_weight - v_weight))


@functools.lru_cache(maxsize=8)
def _weights(matrix: Tuple[float, float]) -> np.ndarray:
    """What u and v (from -128 to 127) of a matrix add to y, u and v of BT.601, float64 [3, 2]."""
    return (_to_yuv(_BT601) @ np.linalg.inv(_to_yuv(matrix)))[:, 1:]


def _to_yuv(matrix: Tuple[float, float]) -> np.ndarray:
    """RGB to y, u, v: y the weighted mean, u and v what blue and red exceed it by, scaled to -0.5..0.5."""
    red, blue = matrix
    luma = np.array([red, 1 - red - blue, blue])
    return np.array([luma, ([0, 0, 1] - luma) / (2 - 2 * blue), ([1, 0, 0] - luma) / (2 - 2 * red)])
