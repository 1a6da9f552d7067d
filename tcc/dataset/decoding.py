"""JPEG frames of a batch: each decoded once, changed, and written where it belongs, in several threads.

Decoding is most of the work, so decoded frames are kept in memory while there is room for them. None is given up for
another: trainings draw all frames equally often, and then it does not matter which are kept.
"""

from __future__ import annotations

import functools
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Dict, List, Optional, Sequence, Tuple

import cv2
import numpy as np

from tcc.dataset.augment import FrameChange, FrameChanger
from tcc.errors import ShardError

_MOST_THREADS = 8
_FRAMES_PER_JOB = 8


@dataclass(frozen=True)
class FrameRequest:
    """Frames of one clip.

    Attributes:
      clip: position of the clip among those of its source.
      name: the clip's name.
      jpegs: all its frames as JPEG images.
      indices: int [...], which of them.
      change: what is done to them.
    """

    clip: int
    name: str
    jpegs: Sequence[bytes]
    indices: np.ndarray
    change: FrameChange


@dataclass(frozen=True)
class _Frame:
    """One frame of a request and the image [H, W, 3] it is written to.

    Attributes:
      decoded: the frame as the clip shows it, uint8 [H, W, 3]; None: there is no memory to keep it.
      is_decoded: whether `decoded` is filled already.
    """

    request: FrameRequest
    index: int
    image: np.ndarray
    changer: FrameChanger
    decoded: Optional[np.ndarray]
    is_decoded: bool


class FrameDecoder:
    """Decodes in threads of its own, which end with it. The result does not depend on their number.

    Args:
      threads: None: as many as there are processors, two to eight.
      memory_bytes: keep so many bytes of decoded frames at most.
    """

    def __init__(self, threads: Optional[int] = None, *, memory_bytes: int = 0):
        self._free_bytes = memory_bytes
        self._kept: Dict[Tuple[int, int], np.ndarray] = {}
        self._keeping = threading.Lock()
        self._pool = ThreadPoolExecutor(
            max_workers=threads or min(max(os.cpu_count() or 2, 2), _MOST_THREADS),
            thread_name_prefix="frames",
            # Without it OpenCV would start threads of its own for each frame.
            initializer=functools.partial(cv2.setNumThreads, 1),
        )

    def decode(self, requests: Sequence[FrameRequest]) -> np.ndarray:
        """Frames of several clips, whose indices have the same shape [...]: uint8 RGB [R, ..., H, W, 3].

        Raises: ShardError naming clip and frame if one is no JPEG, or not of the first one's size.
        """
        from tcc.video.shards import jpeg_size

        first = int(requests[0].indices.flat[0])
        height, width = jpeg_size(requests[0].jpegs[first], number=first)
        batch = np.empty((len(requests), *requests[0].indices.shape, height, width, 3), np.uint8)
        frames: List[_Frame] = []
        for request, images in zip(requests, batch):
            frames += self._frames_to_decode(request, images.reshape(-1, height, width, 3))
        jobs = [frames[start : start + _FRAMES_PER_JOB] for start in range(0, len(frames), _FRAMES_PER_JOB)]
        for _ in self._pool.map(_decode, jobs):
            pass
        self._keep(frames)
        for request, images in zip(requests, batch):
            _copy_repeats(request, images.reshape(-1, height, width, 3))
        return batch

    def _frames_to_decode(self, request: FrameRequest, images: np.ndarray) -> List[_Frame]:
        changer = FrameChanger(request.change, *images.shape[1:3])
        flat, (firsts, _) = request.indices.reshape(-1), _first_places(request.indices)
        return [self._frame(request, int(flat[place]), images[place], changer) for place in firsts]

    def _frame(self, request: FrameRequest, index: int, image: np.ndarray, changer: FrameChanger) -> _Frame:
        kept = self._kept.get((request.clip, index))
        if kept is not None:
            return _Frame(request, index, image, changer, kept, True)
        room = np.empty_like(image) if image.nbytes <= self._free_bytes else None
        return _Frame(request, index, image, changer, room, False)

    def _keep(self, frames: List[_Frame]) -> None:
        """Remember what was decoded, while there is room."""
        with self._keeping:
            for frame in frames:
                key = (frame.request.clip, frame.index)
                if frame.decoded is not None and key not in self._kept and frame.decoded.nbytes <= self._free_bytes:
                    self._kept[key] = frame.decoded
                    self._free_bytes -= frame.decoded.nbytes


def _first_places(indices: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """For each different index, in their order, and for each place: where it stands first."""
    _, firsts, which = np.unique(indices.reshape(-1), return_index=True, return_inverse=True)
    return firsts, firsts[which.reshape(-1)]


def _copy_repeats(request: FrameRequest, images: np.ndarray) -> None:
    for place, first in enumerate(_first_places(request.indices)[1]):
        if place != first:
            images[place] = images[first]


def _decode(frames: List[_Frame]) -> None:
    scratch = np.empty_like(frames[0].image)
    for frame in frames:
        decoded = frame.decoded
        if decoded is None:
            decoded = frame.image if frame.changer.changes_nothing else scratch
        if not frame.is_decoded:
            _decode_into(decoded, frame)
        if decoded is not frame.image:
            frame.changer(decoded, frame.image)


def _decode_into(image: np.ndarray, frame: _Frame) -> None:
    from tcc.video.shards import decode_jpeg

    try:
        decode_jpeg(frame.request.jpegs[frame.index], image, number=frame.index)
    except ShardError as error:
        raise ShardError(f"{frame.request.name}: {error}") from error
