"""Clips' frames and labels together in one shard. The encoded frames are copied in blocks, never decoded or held."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path
from typing import Any, BinaryIO, Dict, Iterator, List, Mapping, Optional, Tuple, Union

import google_crc32c

from tcc.errors import LabelError, ShardError
from tcc.progress import Progress, silent
from tcc.sequences import UNLABELLED
from tcc.video import sequence_example as proto
from tcc.video.clip_labels import Labels
from tcc.video.files import atomic_file
from tcc.video.shards import ClipRecord, clip_of_context, index_entry, record_head
from tcc.video.tfrecord import check_payload, damaged, open_records, read_blocks, read_length, write_record


class FramesFile:
    """One file of `write_frames`, opened: what it says of its clip, and its frames as they are stored.

    Attributes:
      record: name, timestamps and so on, with empty frames and no labels.
      body_length: bytes of the stored frames.
    Raises: ShardError if the file is damaged or holds something else.
    """

    def __init__(self, path: Union[str, Path]) -> None:
        self.path = Path(path)
        self._file: BinaryIO = open_records(path)
        try:
            self.record, self.body_length, self._crc = self._read_head()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> FramesFile:
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()

    def _read_head(self) -> Tuple[ClipRecord, int, int]:
        length = read_length(self._file, self.path, 0)
        if length < 0:
            raise damaged(self.path, 0, "is missing")
        head = bytearray()
        try:
            context = self._content(head, self._enter(head, 1))
            self._enter(head, 2)
            self._enter(head, 1)
            key = self._content(head, self._enter(head, 1))
            body_length = self._enter(head, 2)
            record = clip_of_context(proto.parse_context(context))
        except proto.DAMAGED as error:
            raise damaged(self.path, 0, f"is not one clip's frames ({error})") from error
        if key != b"video" or len(head) + body_length != length:
            raise damaged(self.path, 0, "is not one clip's frames (it holds other lists)")
        return record, body_length, google_crc32c.value(bytes(head))

    def _enter(self, head: bytearray, number: int) -> int:
        """Step over the head of field `number`; the length of what follows."""
        found, length, read = proto.read_field_head(self._file)
        head += read
        if found != number:
            raise ValueError(f"field {found} where {number} belongs")
        return length

    def _content(self, head: bytearray, length: int) -> bytes:
        content = self._file.read(length)
        head += content
        return content

    def blocks(self) -> Iterator[bytes]:
        """The stored frames in blocks; once, and at the end the checksum is compared."""
        crc, left = self._crc, self.body_length
        for block in read_blocks(self._file, self.body_length):
            crc = google_crc32c.extend(crc, block)
            left -= len(block)
            yield block
        check_payload(self._file, self.path, 0, crc, complete=left == 0)


def check_frames_file(path: Union[str, Path]) -> ClipRecord:
    """Read a whole file of frames and return what it says of its clip.

    Raises: ShardError if it is damaged.
    """
    with FramesFile(path) as frames:
        for _ in frames.blocks():
            pass
        return frames.record


def write_shard(
    path: Union[str, Path],
    frames_files: Mapping[str, Union[str, Path]],
    *,
    labels: Optional[Labels] = None,
    label: int = UNLABELLED,
    progress: Progress = silent,
) -> List[Dict[str, Any]]:
    """Write one TFRecord shard from files of frames, in the order of the clips' names.

    Args:
      path: the shard; it appears when it is whole.
      frames_files: {clip: its file from `write_frames`}; may be empty.
      labels: of the clips; a frame's label is the index into their phases. None, and clips without any: unlabelled.
      label: class of all clips, for readers that want one.
    Returns: for each clip {"clip", "num_frames", "labelled_frames", "offset", "bytes"}, in the order of the records.
    Raises: ShardError if a file of frames is damaged or of another clip; LabelError for an unknown phase.
    """
    index: List[Dict[str, Any]] = []
    with atomic_file(path) as file:
        for done, name in enumerate(sorted(frames_files)):
            progress(done / len(frames_files), f"{done} of {len(frames_files)} clips written")
            with FramesFile(frames_files[name]) as frames:
                record = _labelled(frames, name, labels, label)
                head = record_head(record, frames.body_length, labelled=True)
                length = len(head) + frames.body_length
                index.append(index_entry(record, file.tell(), length))
                write_record(file, length, itertools.chain([head], frames.blocks()))
    progress(1.0, f"{len(index)} clips written")
    return index


def _labelled(frames: FramesFile, name: str, labels: Optional[Labels], label: int) -> ClipRecord:
    record = frames.record
    if record.name != name:
        raise ShardError(
            f"{frames.path}: holds clip {record.name!r}, not {name!r}; run the stage that decodes it again"
        )
    if labels is None:
        return dataclasses.replace(record, label=label)
    try:
        frame_labels = labels.label_frames(name, record.timestamps, record.source_frames)
    except LabelError as error:
        raise LabelError(f"clip {name!r}: {error}") from error
    return dataclasses.replace(record, frame_labels=frame_labels, label=label)
