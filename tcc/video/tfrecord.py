"""The framing of TFRecord files: length, checksum of the length, payload, checksum of the payload.

A checksum is CRC-32C, rotated right by 15 bits, plus a constant; all numbers are little endian.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO, Iterable, Iterator, Union

import google_crc32c

from tcc.errors import ShardError

HEAD_BYTES = 12
TAIL_BYTES = 4
BLOCK_BYTES = 1 << 20
_MASK_DELTA = 0xA282EAD8


def masked(crc: int) -> int:
    """The form in which TFRecord stores a CRC-32C."""
    return ((crc >> 15 | crc << 17) + _MASK_DELTA) & 0xFFFFFFFF


def write_record(file: BinaryIO, length: int, parts: Iterable[bytes]) -> None:
    """Append one record of `length` bytes that come in parts; they are never held together."""
    head = struct.pack("<Q", length)
    file.write(head + struct.pack("<I", masked(google_crc32c.value(head))))
    crc, written = 0, 0
    for part in parts:
        file.write(part)
        crc = google_crc32c.extend(crc, part)
        written += len(part)
    if written != length:
        raise ShardError(f"{file.name}: a record of {length} bytes was given {written}; nothing is kept of the file")
    file.write(struct.pack("<I", masked(crc)))


def read_payloads(path: Union[str, Path]) -> Iterator[bytes]:
    """The payload of each record, one at a time.

    Raises: ShardError naming file and record if one is cut off or its checksum is wrong.
    """
    with open_records(path) as file:
        number = 0
        while True:
            length = read_length(file, path, number)
            if length < 0:
                return
            payload = file.read(length)
            check_payload(file, path, number, google_crc32c.value(payload), complete=len(payload) == length)
            yield payload
            number += 1


def open_records(path: Union[str, Path]) -> BinaryIO:
    """Open a TFRecord file for reading; a missing one is a ShardError."""
    try:
        return open(path, "rb")
    except OSError as error:
        raise ShardError(
            f"{path}: cannot be read ({error.strerror}); correct the path, or run the stage that writes it"
        ) from error


def read_length(file: BinaryIO, path: Union[str, Path], number: int) -> int:
    """Length of the record that starts here, checked; -1 at the end of the file."""
    head = file.read(HEAD_BYTES)
    if not head:
        return -1
    if len(head) < HEAD_BYTES:
        raise damaged(path, number, "is cut off")
    length, crc = struct.unpack("<QI", head)
    # Checked before `length` is used: a damaged one would ask for any amount of memory.
    if masked(google_crc32c.value(head[:8])) != crc:
        raise damaged(path, number, "has a wrong checksum of its length")
    return length


def check_payload(file: BinaryIO, path: Union[str, Path], number: int, crc: int, *, complete: bool = True) -> None:
    """Read the checksum behind a payload and compare; raises ShardError."""
    tail = file.read(TAIL_BYTES)
    if not complete or len(tail) < TAIL_BYTES:
        raise damaged(path, number, "is cut off")
    if struct.unpack("<I", tail)[0] != masked(crc):
        raise damaged(path, number, "has a wrong checksum of its content")


def damaged(path: Union[str, Path], number: int, problem: str) -> ShardError:
    """The error for a bad record; `number` counts from 0."""
    return ShardError(
        f"{path}: record {number} {problem}; get the file again; if it is a target's, delete that folder and run again"
    )


def read_blocks(file: BinaryIO, length: int) -> Iterator[bytes]:
    """`length` bytes in blocks of bounded size; fewer at the end of the file."""
    while length > 0:
        block = file.read(min(length, BLOCK_BYTES))
        if not block:
            return
        length -= len(block)
        yield block
