"""Folders of images as clips: an image a frame, in the order of the file names, at a rate that the caller gives."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Iterator, List, Union

import cv2
import numpy as np

from tcc.config import check_at_least
from tcc.video.container import UnusableVideo, VideoIndex, error_text
from tcc.video.inventory import image_names

if TYPE_CHECKING:
    from tcc.video.probe import ClipInfo

IMAGES_DECODER = "images"
_CODECS = {".bmp": "bmp", ".jpeg": "jpeg", ".jpg": "jpeg", ".png": "png"}
_MIN_FPS = 1e-3
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_COLOR_TYPE_AT = 25
_PNG_COLOR_TYPES_WITH_ALPHA = (4, 6)


def read_image_index(path: Union[str, Path], fps: float) -> VideoIndex:
    """The images of a folder as the frames of a clip: image k is shown at k / fps seconds. No image is opened.

    Raises: UnusableVideo if the folder cannot be read or holds no image, SettingsError if fps is not positive.
    """
    check_at_least("fps", fps, _MIN_FPS)
    names = _names(path)
    seconds = np.round(np.arange(len(names)) / fps * 1e9) / 1e9
    codecs = {_CODECS[Path(name).suffix.lower()] for name in names}
    return VideoIndex(
        timestamps=seconds,
        stream_offset_seconds=0.0,
        origin_seconds=0.0,
        counts_only=True,
        missing_frames=0,
        period_seconds=float(np.median(np.diff(seconds))) if len(seconds) > 1 else 0.0,
        codec=codecs.pop() if len(codecs) == 1 else "mixed",
        average_fps=float(fps),
    )


def _names(path: Union[str, Path]) -> List[str]:
    try:
        names = image_names(path)
    except OSError as error:
        raise UnusableVideo(path, f"cannot be read as a folder of images ({error_text(error)})") from error
    if not names:
        raise UnusableVideo(path, "holds no image")
    return names


class ImageReader:
    """Images by name, each opened only when it is asked for; a broken one among the others is not noticed.

    Images of one clip may differ in size and kind.

    Raises: UnusableVideo if the folder cannot be read or holds no image.
    """

    only_counts = False
    rotation = 0  # EXIF orientation is applied while decoding

    def __init__(self, path: Union[str, Path], index: VideoIndex) -> None:
        self._folder = path
        self._names = _names(path)
        self._timestamps = index.timestamps
        self._name = self._names[0]

    def times(self) -> Iterator[float]:
        """Step from image to image; yields its time in seconds since the first one."""
        for name, seconds in zip(self._names, self._timestamps):
            self._name = name
            yield float(seconds)

    def retrieve(self) -> np.ndarray:
        """The image just stepped to, uint8 BGR [H, W, 3], upright.

        Gray becomes three equal channels, 16 bits become 8, and what a PNG makes transparent becomes black.

        Raises: UnusableVideo, naming the image, if it cannot be decoded.
        """
        try:
            return _decode(Path(self._folder, self._name).read_bytes())
        except (OSError, ValueError, cv2.error) as error:
            # OpenCV's whole message names lines of its source.
            reason = f"OpenCV: {error.err}" if isinstance(error, cv2.error) else error_text(error)
            raise UnusableVideo(
                self._folder, f"image {self._name} cannot be decoded ({reason}); replace or remove it"
            ) from error

    def close(self) -> None:
        """Nothing is held open."""


def _decode(data: bytes) -> np.ndarray:
    if not data:
        raise ValueError("the file is empty")
    stored = np.frombuffer(data, np.uint8)
    image = cv2.imdecode(stored, cv2.IMREAD_UNCHANGED) if _has_alpha(data) else None
    if image is not None and image.ndim == 3 and image.shape[2] == 4:
        return _over_black(image)
    image = cv2.imdecode(stored, cv2.IMREAD_COLOR)
    if image is None:
        raise ValueError("not a whole image of a known kind")
    return image


def _has_alpha(data: bytes) -> bool:
    """Whether a PNG has transparency; the fourth channel of a BMP is often meaningless, and a JPEG has none."""
    if not data.startswith(_PNG_SIGNATURE):
        return False
    return data[_PNG_COLOR_TYPE_AT] in _PNG_COLOR_TYPES_WITH_ALPHA or b"tRNS" in data[: data.find(b"IDAT")]


def _over_black(image: np.ndarray) -> np.ndarray:
    most = np.iinfo(image.dtype).max
    opacity = image[..., 3:].astype(np.float32) / most
    return np.round(image[..., :3] * opacity * (255 / most)).astype(np.uint8)


def probe_image_folder(path: Union[str, Path], fps: float) -> ClipInfo:
    """Describe a folder of images shown at `fps`: size and kind of the first one, and the count of all.

    Whatever is wrong becomes `problem`, never an exception; only the first image is opened.
    """
    # probe.py reaches this module through the readers.
    from tcc.video.probe import ClipInfo

    try:
        index = read_image_index(path, fps)
        reader = ImageReader(path, index)
        height, width = reader.retrieve().shape[:2]
    except UnusableVideo as error:
        return ClipInfo(problem=error.reason)
    except Exception as error:
        return ClipInfo(problem=f"cannot be read as images ({type(error).__name__}: {error_text(error)})")
    return ClipInfo(
        num_frames=len(index),
        fps=round(index.average_fps, 6),
        width=width,
        height=height,
        duration_seconds=round(index.duration_seconds, 6),
        codec=index.codec,
        decoder=IMAGES_DECODER,
    )
