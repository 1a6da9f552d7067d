"""JPEG frames of a batch: each decoded once, changed, and written where it belongs, in several threads."""

from __future__ import annotations

import functools
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import List, Optional, Sequence, Tuple

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
      name: the clip's name.
      jpegs: all its frames as JPEG images.
      indices: int [...], which of them.
      change: what is done to them.
    """

    name: str
    jpegs: Sequence[bytes]
    indices: np.ndarray
    change: FrameChange


@dataclass(frozen=True)
class _Frame:
    """One frame of a request and the image [H, W, 3] it is decoded to."""

    request: FrameRequest
    index: int
    image: np.ndarray
    changer: FrameChanger


class FrameDecoder:
    """Decodes in threads of its own, which end with it. The result does not depend on their number.

    Args:
      threads: None: as many as there are processors, two to eight.
    """

    def __init__(self, threads: Optional[int] = None):
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
            frames += _frames_to_decode(request, images.reshape(-1, height, width, 3))
        jobs = [frames[start : start + _FRAMES_PER_JOB] for start in range(0, len(frames), _FRAMES_PER_JOB)]
        for _ in self._pool.map(_decode, jobs):
            pass
        for request, images in zip(requests, batch):
            _copy_repeats(request, images.reshape(-1, height, width, 3))
        return batch


def _first_places(indices: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """For each different index, in their order, and for each place: where it stands first."""
    _, firsts, which = np.unique(indices.reshape(-1), return_index=True, return_inverse=True)
    return firsts, firsts[which.reshape(-1)]


def _frames_to_decode(request: FrameRequest, images: np.ndarray) -> List[_Frame]:
    changer = FrameChanger(request.change, *images.shape[1:3])
    flat, (firsts, _) = request.indices.reshape(-1), _first_places(request.indices)
    return [_Frame(request, int(flat[place]), images[place], changer) for place in firsts]


def _copy_repeats(request: FrameRequest, images: np.ndarray) -> None:
    for place, first in enumerate(_first_places(request.indices)[1]):
        if place != first:
            images[place] = images[first]


def _decode(frames: List[_Frame]) -> None:
    from tcc.video.shards import decode_jpeg

    scratch = np.empty_like(frames[0].image)
    for frame in frames:
        target = frame.image if frame.changer.changes_nothing else scratch
        try:
            decode_jpeg(frame.request.jpegs[frame.index], target, number=frame.index)
        except ShardError as error:
            raise ShardError(f"{frame.request.name}: {error}") from error
        if not frame.changer.changes_nothing:
            frame.changer(scratch, frame.image)
