"""Clips of a shard whose frames stay in the file until they are asked for. No TensorFlow."""

from __future__ import annotations

import dataclasses
import os
from array import array
from pathlib import Path
from typing import Any, BinaryIO, Dict, Iterator, List, Optional, Sequence, Tuple, Union

import google_crc32c
import numpy as np

from tcc.errors import ShardError
from tcc.sequences import UNLABELLED
from tcc.video import sequence_example as proto
from tcc.video.shards import ClipRecord, clip_of_context
from tcc.video.tfrecord import check_payload, damaged, open_records, read_blocks, read_length


class StoredFrames(Sequence[bytes]):
    """JPEG images in a file, read one by one, from any thread. Of each only its place, 16 bytes, is in memory."""

    def __init__(self, file: _OpenFile, starts: Sequence[int], lengths: Sequence[int]):
        self._file, self._starts, self._lengths = file, starts, lengths

    def __len__(self) -> int:
        return len(self._starts)

    def __getitem__(self, frame: Any) -> Any:
        if isinstance(frame, slice):
            return [self[place] for place in range(*frame.indices(len(self)))]
        return self._file.read(self._starts[frame], self._lengths[frame])


class _OpenFile:
    """A file that is open as long as somebody can read from it."""

    def __init__(self, file: BinaryIO):
        self._name = file.name
        self._descriptor = os.dup(file.fileno())

    def read(self, start: int, length: int) -> bytes:
        content = os.pread(self._descriptor, length, start)
        if len(content) != length:
            raise ShardError(f"{self._name}: has become shorter while it was read; run the stage that writes it again")
        return content

    def __del__(self) -> None:
        os.close(self._descriptor)


def stored_records(path: Union[str, Path], *, expected: Optional[int] = None) -> Iterator[ClipRecord]:
    """Clips of a shard that this package wrote, as `read_records` has them, with `StoredFrames`.

    Each record is read through once, in blocks, to compare its checksum.

    Args:
      expected: see `read_records`.
    Raises: ShardError naming file and record if it is damaged, of another schema, or fewer than expected.
    """
    number = 0
    with open_records(path) as file:
        frames_file = _OpenFile(file)
        while True:
            length = read_length(file, path, number)
            if length < 0:
                break
            start = file.tell()
            _compare_checksum(file, path, number, length)
            after = file.tell()
            try:
                record = _read_record(file, start, length, frames_file)
            except proto.DAMAGED as error:
                raise damaged(path, number, f"is not a clip in the reference's schema ({error})") from error
            yield record
            file.seek(after)
            number += 1
    if expected is not None and number != expected:
        raise ShardError(f"{path}: holds {number} records, expected {expected}; delete it and run its stage again")


def _compare_checksum(file: BinaryIO, path: Union[str, Path], number: int, length: int) -> None:
    crc, left = 0, length
    for block in read_blocks(file, length):
        crc, left = google_crc32c.extend(crc, block), left - len(block)
    check_payload(file, path, number, crc, complete=left == 0)


def _read_record(file: BinaryIO, start: int, length: int, frames_file: _OpenFile) -> ClipRecord:
    context: Dict[str, Any] = {}
    labels: List[int] = []
    starts, lengths = array("q"), array("q")
    for number, end in _fields(file, start, start + length):
        if number == 1:
            context.update(proto.parse_context(file.read(end - file.tell())))
        elif number == 2:
            for _, entry_end in _fields(file, file.tell(), end):
                key, value_end = _enter_entry(file)
                if key == b"video":
                    starts, lengths = _places_of_frames(file, value_end)
                elif key == b"frame_labels":
                    labels = proto.parse_labels(file.read(value_end - file.tell()))
                file.seek(entry_end)
    record = clip_of_context(context, num_frames=len(starts))
    frame_labels = np.array(labels, np.int64) if labels else np.full(len(starts), UNLABELLED, np.int64)
    return dataclasses.replace(record, frames=StoredFrames(frames_file, starts, lengths), frame_labels=frame_labels)


def _fields(file: BinaryIO, start: int, end: int) -> Iterator[Tuple[int, int]]:
    """Number and end of each field between two places in the file, which stands at the field's content."""
    while start < end:
        file.seek(start)
        number, length, _ = proto.read_field_head(file)
        start = file.tell() + length
        if start > end:
            raise ValueError("a field is longer than its message")
        yield number, start


def _enter_entry(file: BinaryIO) -> Tuple[bytes, int]:
    """Key of a map's entry and the end of its value, at which the file then stands."""
    _, length, _ = proto.read_field_head(file)
    key = file.read(length)
    _, length, _ = proto.read_field_head(file)
    return key, file.tell() + length


def _places_of_frames(file: BinaryIO, end: int) -> Tuple[array[int], array[int]]:
    starts, lengths = array("q"), array("q")
    for _, feature_end in _fields(file, file.tell(), end):
        for _, list_end in _fields(file, file.tell(), feature_end):
            for _, value_end in _fields(file, file.tell(), list_end):
                starts.append(file.tell())
                lengths.append(value_end - file.tell())
    return starts, lengths
