"""Small pictures, as BGR or as the planes of a JPEG: brightness, pixels, JPEG."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Tuple, Union

import cv2
import numpy as np
import simplejpeg

# BT.601, the luma of JPEG; in the order of BGR.
_LUMA = (0.114, 0.587, 0.299)


@dataclass(frozen=True)
class View:
    """What is asked of a picture: side of the square, how it is filled, color resolution of its JPEG (FramesConfig)."""

    pixels: int
    resize: str = "stretch"
    chroma: str = "420"

    def chroma_size(self, rotation: int) -> Tuple[int, int]:
        """(width, height) of a color plane of a picture that is turned by `rotation` afterwards."""
        half = (self.pixels + 1) // 2
        width, height = {"420": (half, half), "422": (half, self.pixels), "444": (self.pixels, self.pixels)}[
            self.chroma
        ]
        return (width, height) if rotation % 180 == 0 else (height, width)


@dataclass(frozen=True)
class BgrPicture:
    """uint8 [P, P, 3]."""

    image: np.ndarray

    def bgr(self) -> np.ndarray:
        """Pixels, uint8 BGR [P, P, 3]."""
        return self.image

    def brightness(self) -> float:
        """Mean luma, 0 to 255."""
        return float(np.dot(_LUMA, cv2.mean(self.image)[:3]))

    def jpeg(self, quality: int, chroma: str) -> bytes:
        """Encoded; `chroma` 420, 422 or 444. 420 is what the reference's encoder does at any quality."""
        return simplejpeg.encode_jpeg(
            self.image, quality=quality, colorspace="BGR", colorsubsampling=chroma, fastdct=False
        )


@dataclass(frozen=True)
class YuvPicture:
    """What a JPEG stores: luma and color differences of BT.601, full range. uint8: y [P, P]; u, v that or half."""

    y: np.ndarray
    u: np.ndarray
    v: np.ndarray

    def bgr(self) -> np.ndarray:
        """Pixels, uint8 BGR [P, P, 3]."""
        height, width = self.y.shape
        u, v = (cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR) for plane in (self.u, self.v))
        return cv2.cvtColor(cv2.merge([self.y, v, u]), cv2.COLOR_YCrCb2BGR)

    def brightness(self) -> float:
        """Mean luma, 0 to 255."""
        return cv2.mean(self.y)[0]

    def jpeg(self, quality: int, chroma: str) -> bytes:
        """Encoded; the color resolution is that of the planes."""
        return simplejpeg.encode_jpeg_yuv_planes(self.y, self.u, self.v, quality=quality, fastdct=False)


Picture = Union[BgrPicture, YuvPicture]
