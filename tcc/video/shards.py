"""Clips in TFRecord files, in the schema of the reference: one tf.train.SequenceExample per clip. No TensorFlow.

context        name (bytes), len (int64), label (int64)                                     as the reference
               timestamps_ns (int64, T), clip_sha256 (bytes), source_fps (float), decoder (bytes),      ours
               source_frames (int64, T), brightest (float)
feature lists  frame_labels (int64), video (bytes: JPEG)                                    as the reference
"""

from __future__ import annotations

import dataclasses
import itertools
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Dict, Iterable, Iterator, List, Optional, Sequence, Tuple, Type, Union

import numpy as np
import simplejpeg

from tcc.errors import ShapeError, ShardError, VideoError
from tcc.sequences import UNLABELLED
from tcc.video import sequence_example as proto
from tcc.video.files import atomic_file
from tcc.video.tfrecord import HEAD_BYTES, TAIL_BYTES, damaged, read_blocks, read_payloads, write_record

# Protocol buffers end at 2 GiB; a record beyond could be written here and read by nobody.
MAX_RECORD_BYTES = (1 << 31) - (1 << 20)
# Of 255; the noise of a sensor with its lid on stays below.
BLACK_LEVEL = 8.0
_SPOOL_BYTES = 32 << 20


@dataclass(frozen=True)
class ClipRecord:
    """One clip of T frames.

    Attributes:
      name: relative to its folder, with forward slashes.
      frames: T JPEG images, in memory or as `tcc.video.stored_frames.StoredFrames`.
      timestamps: float64 [T], seconds since the clip's first frame, whole nanoseconds; repeats where a slow source was
        sampled faster. Of a record without our features: frame number / fps of the reader.
      frame_labels: int64 [T], index of the phase; UNLABELLED (-1) where there is none.
      label: class of the whole clip; UNLABELLED if it has none.
      source_fps: of the video, in single precision; 0 if the record does not tell, timestamps are then made up.
      sha256: of the video file; empty if the record does not tell.
      decoder: that read the video; empty if the record does not tell.
      source_frames: int64 [T], number of the source's frame, in display order, that each frame shows; None if the
        record does not tell.
      brightest: highest mean level (luma, 0 to 255) of any frame, in single precision; None if the record does not
        tell. A clip below BLACK_LEVEL is black.
      missing_frames: frames of the source that could not be decoded.
    """

    name: str
    frames: Sequence[bytes]
    timestamps: np.ndarray
    frame_labels: np.ndarray
    label: int = UNLABELLED
    source_fps: float = 0.0
    sha256: str = ""
    decoder: str = ""
    source_frames: Optional[np.ndarray] = None
    brightest: Optional[float] = None
    missing_frames: int = 0

    def __post_init__(self) -> None:
        lengths = (len(self.frames), len(self.timestamps), len(self.frame_labels))
        if len(set(lengths)) != 1:
            raise ShapeError(f"clip {self.name}: frames, timestamps and frame_labels differ in length: {lengths}")
        if self.source_frames is not None and len(self.source_frames) != len(self.frames):
            raise ShapeError(
                f"clip {self.name}: source_frames has {len(self.source_frames)} entries for {len(self.frames)} frames"
            )

    @property
    def frame_numbers(self) -> np.ndarray:
        """Number of each frame in its video, int64 [T]; its place in the clip where the record does not tell."""
        return np.arange(len(self.frames)) if self.source_frames is None else self.source_frames

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def black(self) -> bool:
        """Whether no frame shows anything; False if the record does not tell."""
        return self.brightest is not None and self.brightest < BLACK_LEVEL


def write_records(path: Union[str, Path], records: Iterable[ClipRecord]) -> List[Dict[str, Any]]:
    """Write clips to a TFRecord file that appears when it is whole; the same clips give the same bytes.

    Returns: for each record {"clip", "num_frames", "labelled_frames", "offset", "bytes"}.
    Raises: VideoError if a clip is too long for one record.
    """
    index: List[Dict[str, Any]] = []
    with atomic_file(path) as file:
        for record in records:
            body = b"".join(frame_entry(frame) for frame in record.frames)
            head = record_head(record, len(body), labelled=True)
            index.append(index_entry(record, file.tell(), len(head) + len(body)))
            write_record(file, len(head) + len(body), [head, body])
    return index


def index_entry(record: ClipRecord, offset: int, length: int) -> Dict[str, Any]:
    """What an index says of the record of `length` bytes that starts at `offset`."""
    return {
        "clip": record.name,
        "num_frames": len(record.timestamps),
        "labelled_frames": int(np.count_nonzero(record.frame_labels != UNLABELLED)),
        "offset": offset,
        "bytes": HEAD_BYTES + length + TAIL_BYTES,
    }


def frame_entry(jpeg: bytes) -> bytes:
    """One frame in the body of a record's video list."""
    return proto.field(1, proto.bytes_feature([jpeg]))


def record_head(record: ClipRecord, body_length: int, *, labelled: bool) -> bytes:
    """All of a record before its frames, which are `body_length` bytes of `frame_entry` and end it."""
    video = proto.map_entry_head("video", body_length)
    labels = b""
    if labelled:
        values = b"".join(proto.field(1, proto.int64_feature([label])) for label in record.frame_labels)
        labels = proto.map_entry("frame_labels", values)
    head = _context(record) + proto.field_head(2, len(labels) + len(video) + body_length) + labels + video
    if len(head) + body_length > MAX_RECORD_BYTES:
        raise VideoError(
            f"{record.name}: {len(record.timestamps)} frames take {body_length} bytes, a record holds"
            f" {MAX_RECORD_BYTES}; lower fps, image_pixels or jpeg_quality, or cut the video"
        )
    return head


def _context(record: ClipRecord) -> bytes:
    features = {
        "name": proto.bytes_feature([record.name.encode("utf-8", "surrogateescape")]),
        "len": proto.int64_feature([len(record.timestamps)]),
        "label": proto.int64_feature([record.label]),
        "timestamps_ns": proto.int64_feature(np.round(np.asarray(record.timestamps) * 1e9).astype(np.int64).tolist()),
        "source_fps": proto.float_feature([record.source_fps]),
        "clip_sha256": proto.bytes_feature([record.sha256.encode()]),
        "decoder": proto.bytes_feature([record.decoder.encode()]),
    }
    if record.source_frames is not None:
        features["source_frames"] = proto.int64_feature(np.asarray(record.source_frames).tolist())
    if record.missing_frames:
        features["missing_frames"] = proto.int64_feature([record.missing_frames])
    if record.brightest is not None:
        features["brightest"] = proto.float_feature([record.brightest])
    return proto.context(features)


def read_records(
    path: Union[str, Path], *, expected: Optional[int] = None, fps_if_unknown: float = 1.0
) -> Iterator[ClipRecord]:
    """Read clips one at a time, also of shards that the reference wrote; checksums are checked.

    Args:
      expected: number of records that the file must hold; a file cut between two records has no other sign.
      fps_if_unknown: gives times to records without timestamps; 1 makes them frame numbers.
    Raises: ShardError naming file and record if it is damaged, of another schema, or fewer than expected.
    """
    number = -1
    for number, payload in enumerate(read_payloads(path)):
        try:
            features, lists = proto.parse(payload)
            record = _record(features, lists, fps_if_unknown)
        except proto.DAMAGED as error:
            raise damaged(path, number, f"is not a clip in the reference's schema ({error})") from error
        yield record
    if expected is not None and number + 1 != expected:
        raise ShardError(f"{path}: holds {number + 1} records, expected {expected}; delete it and run its stage again")


def _record(features: Dict[str, Any], lists: Dict[str, List[Any]], fps_if_unknown: float) -> ClipRecord:
    frames = [frame for (frame,) in lists["video"]]
    if lists.get("frame_labels"):
        labels = np.array([label for (label,) in lists["frame_labels"]], np.int64)
    else:
        labels = np.full(len(frames), UNLABELLED, np.int64)
    record = clip_of_context(features, fps_if_unknown, len(frames))
    return dataclasses.replace(record, frames=frames, frame_labels=labels)


def clip_of_context(
    features: Dict[str, Any], fps_if_unknown: float = 1.0, num_frames: Optional[int] = None
) -> ClipRecord:
    """The record whose context this is, with empty frames and no labels; `num_frames` is checked where it is given."""
    count = _first(features, "len", num_frames)
    if num_frames is not None and count != num_frames:
        raise ValueError(f"len is {count}, but there are {num_frames} frames")
    nanoseconds = features.get("timestamps_ns")
    times = np.arange(count) / fps_if_unknown if nanoseconds is None else np.array(nanoseconds, np.int64) / 1e9
    numbers, brightest = features.get("source_frames"), features.get("brightest")
    return ClipRecord(
        name=_first(features, "name").decode("utf-8", "surrogateescape"),
        frames=[b""] * count,
        timestamps=times,
        frame_labels=np.full(count, UNLABELLED, np.int64),
        label=_first(features, "label", UNLABELLED),
        source_fps=_shortest(_first(features, "source_fps", 0.0)),
        sha256=_first(features, "clip_sha256", b"").decode(),
        decoder=_first(features, "decoder", b"").decode(),
        source_frames=np.array(numbers, np.int64) if numbers else None,
        brightest=_shortest(brightest[0]) if brightest else None,
        missing_frames=_first(features, "missing_frames", 0),
    )


def _shortest(number: float) -> float:
    """The shortest text that means the same single-precision number: 29.97 comes back as 29.97."""
    return float(str(np.float32(number)))


def _first(features: Dict[str, Any], key: str, default: Any = None) -> Any:
    values = features.get(key)
    if values:
        return values[0]
    if default is None:
        raise KeyError(f"no feature {key}")
    return default


def decode_jpegs(frames: Sequence[bytes]) -> np.ndarray:
    """Decode JPEG images of one size, uint8 RGB [T, H, W, 3].

    Raises: ShardError naming the frame that is no JPEG or of another size, or if there is none.
    """
    if not frames:
        raise ShardError("no frames to decode; a clip has at least one")
    height, width = jpeg_size(frames[0], number=0)
    images = np.empty((len(frames), height, width, 3), np.uint8)
    for number, frame in enumerate(frames):
        decode_jpeg(frame, images[number], number=number)
    return images


def decode_jpeg(frame: bytes, image: np.ndarray, *, number: int) -> None:
    """Decode one JPEG image into `image`, uint8 RGB [H, W, 3], contiguous.

    Raises: ShardError naming the frame by its number if it is no JPEG or of another size.
    """
    size, expected = jpeg_size(frame, number=number), image.shape[:2]
    if size != expected:
        raise ShardError(
            f"frame {number} has {size[1]}x{size[0]} pixels, expected {expected[1]}x{expected[0]} as the first; "
            "write the shard again"
        )
    try:
        # As tf.image.decode_jpeg does it by default, so that the reference's frames come out the same bit for bit.
        simplejpeg.decode_jpeg(frame, colorspace="RGB", fastdct=True, fastupsample=False, buffer=image)
    except ValueError as error:
        raise ShardError(f"frame {number} is no JPEG ({error}); write the shard again") from error


def jpeg_size(frame: bytes, *, number: int) -> Tuple[int, int]:
    """Height and width of a JPEG image, from its head.

    Raises: ShardError naming the frame by its number if it is none.
    """
    try:
        height, width = simplejpeg.decode_jpeg_header(frame)[:2]
    except ValueError as error:
        raise ShardError(f"frame {number} is no JPEG ({error}); write the shard again") from error
    return height, width


class ClipWriter:
    """Write one clip to a file of its own, frame by frame; memory does not grow with its length.

    Use as a context manager: the file appears at the end, or not at all if an exception ends the block. The system may not
    have put it on disk yet: `tcc.video.files.sync_file` waits for that.
    """

    def __init__(self, path: Union[str, Path], *, name: str, source_fps: float, sha256: str, decoder: str) -> None:
        self.path = Path(path)
        self.timestamps: List[float] = []
        self._source_frames: List[int] = []
        self._brightest: Optional[float] = None
        self._missing_frames = 0
        self._about = {"name": name, "source_fps": source_fps, "sha256": sha256, "decoder": decoder}
        # Closed by __exit__.
        self._body: Any = tempfile.SpooledTemporaryFile(_SPOOL_BYTES, dir=str(self.path.parent))  # noqa: SIM115

    def add(
        self, seconds: float, jpeg: bytes, *, source_frame: Optional[int] = None, brightness: Optional[float] = None
    ) -> None:
        """Append a frame; what is known of it must be known of all frames of the clip.

        Args:
          source_frame: its number in the source, in display order.
          brightness: its mean level, 0 to 255.
        """
        self.timestamps.append(seconds)
        if source_frame is not None:
            self._source_frames.append(source_frame)
        if brightness is not None:
            self._brightest = max(brightness, self._brightest or 0.0)
        self._body.write(frame_entry(jpeg))

    def set_missing_frames(self, count: int) -> None:
        """Tell how many frames of the source could not be decoded."""
        self._missing_frames = count

    def __enter__(self) -> ClipWriter:
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], traceback: Optional[TracebackType]
    ) -> None:
        with self._body:
            if kind is None:
                self._finish()

    def _finish(self) -> None:
        count, length = len(self.timestamps), self._body.tell()
        about: Dict[str, Any] = self._about
        record = ClipRecord(
            frames=[b""] * count,
            timestamps=np.array(self.timestamps),
            frame_labels=np.full(count, UNLABELLED),
            source_frames=np.array(self._source_frames, np.int64) if self._source_frames else None,
            brightest=None if self._brightest is None else round(self._brightest, 2),
            missing_frames=self._missing_frames,
            **about,
        )
        head = record_head(record, length, labelled=False)
        self._body.seek(0)
        with atomic_file(self.path, sync=False) as file:
            write_record(file, len(head) + length, itertools.chain([head], read_blocks(self._body, length)))
