"""tf.train.SequenceExample in bytes: the few protocol buffer messages that it is made of, without TensorFlow.

    SequenceExample { Features context = 1; FeatureLists feature_lists = 2; }
    Features        { map<string, Feature> feature = 1; }
    FeatureLists    { map<string, FeatureList> feature_list = 1; }
    FeatureList     { repeated Feature feature = 1; }
    Feature         { oneof { BytesList bytes_list = 1; FloatList float_list = 2; Int64List int64_list = 3; } }
    ...List         { repeated ... value = 1; }              numbers packed; a map is repeated { key = 1; value = 2; }

Map entries are written in the order of their keys, so that the same content gives the same bytes. Malformed input
raises one of DAMAGED; callers add file and record.
"""

from __future__ import annotations

import struct
from typing import BinaryIO, Dict, Iterator, List, Sequence, Tuple, Union

import numpy as np

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_UNSIGNED64 = (1 << 64) - 1
# What comes of reading malformed input, here or by who takes the values for a clip.
DAMAGED = (ValueError, LookupError, TypeError, ArithmeticError, AttributeError, MemoryError, struct.error)
Values = Union[List[bytes], List[float], List[int]]


def varint(number: int) -> bytes:
    """A non-negative integer in groups of seven bits, lowest first."""
    groups = bytearray()
    while number > 127:
        groups.append(number & 127 | 128)
        number >>= 7
    groups.append(number)
    return bytes(groups)


def field(number: int, content: bytes) -> bytes:
    """A length-delimited field."""
    return field_head(number, len(content)) + content


def field_head(number: int, length: int) -> bytes:
    """What stands before `length` bytes of a length-delimited field."""
    return varint(number << 3 | _BYTES) + varint(length)


def bytes_feature(values: Sequence[bytes]) -> bytes:
    """A Feature of byte strings."""
    return field(1, b"".join(field(1, value) for value in values))


def float_feature(values: Sequence[float]) -> bytes:
    """A Feature of single-precision numbers."""
    return field(2, field(1, np.asarray(values, "<f4").tobytes()))


def int64_feature(values: Sequence[int]) -> bytes:
    """A Feature of integers."""
    return field(3, field(1, b"".join(varint(int(value) & _UNSIGNED64) for value in values)))


def map_entry(key: str, value: bytes) -> bytes:
    """One entry of a map."""
    return map_entry_head(key, len(value)) + value


def map_entry_head(key: str, length: int) -> bytes:
    """What stands before a map entry's value of `length` bytes."""
    inside = field(1, key.encode()) + field_head(2, length)
    return field_head(1, len(inside) + length) + inside


def context(features: Dict[str, bytes]) -> bytes:
    """The context field of a SequenceExample."""
    return field(1, b"".join(map_entry(key, features[key]) for key in sorted(features)))


def parse(payload: bytes) -> Tuple[Dict[str, Values], Dict[str, List[Values]]]:
    """Context features and feature lists of a SequenceExample; fields of other numbers are passed over."""
    features: Dict[str, Values] = {}
    lists: Dict[str, List[Values]] = {}
    for number, content in _fields(payload):
        if number == 1:
            features.update(parse_context(content))
        elif number == 2:
            entries = (_key_and_value(entry) for inner, entry in _fields(content) if inner == 1)
            lists.update((key, [_feature(item) for n, item in _fields(value) if n == 1]) for key, value in entries)
    return features, lists


def parse_context(content: bytes) -> Dict[str, Values]:
    """The features of a context field."""
    entries = (_key_and_value(entry) for number, entry in _fields(content) if number == 1)
    return {key: _feature(value) for key, value in entries}


def parse_labels(content: bytes) -> List[int]:
    """The first integer of each feature of a feature list."""
    return [int(_feature(item)[0]) for number, item in _fields(content) if number == 1]


def _key_and_value(entry: bytes) -> Tuple[str, bytes]:
    parts = dict(_fields(entry))
    return parts.get(1, b"").decode(), parts.get(2, b"")


def _feature(content: bytes) -> Values:
    for kind, values in _fields(content):
        if kind == 1:
            return [value for number, value in _fields(values) if number == 1]
        if kind == 2:
            return [number for chunk in _numbers(values, _FIXED32) for number in chunk]
        if kind == 3:
            return [_signed(number) for chunk in _numbers(values, _VARINT) for number in chunk]
    return []


def _numbers(content: bytes, wire: int) -> Iterator[Sequence]:
    """Numbers of a list, packed or one by one."""
    at = 0
    while at < len(content):
        tag, at = _read_varint(content, at)
        if tag & 7 == _BYTES:
            length, at = _read_varint(content, at)
            packed = _slice(content, at, length)
            yield struct.unpack(f"<{length // 4}f", packed) if wire == _FIXED32 else list(_varints(packed))
            at += length
        elif tag & 7 == _FIXED32:
            yield struct.unpack("<f", _slice(content, at, 4))
            at += 4
        else:
            number, at = _read_varint(content, at)
            yield [number]


def _varints(content: bytes) -> Iterator[int]:
    at = 0
    while at < len(content):
        number, at = _read_varint(content, at)
        yield number


def _signed(number: int) -> int:
    return number - (1 << 64) if number >> 63 else number


def _fields(content: bytes) -> Iterator[Tuple[int, bytes]]:
    """Length-delimited fields of a message; others are passed over."""
    at = 0
    while at < len(content):
        tag, at = _read_varint(content, at)
        wire = tag & 7
        if wire == _BYTES:
            length, at = _read_varint(content, at)
            yield tag >> 3, _slice(content, at, length)
            at += length
        elif wire == _VARINT:
            _, at = _read_varint(content, at)
        elif wire in (_FIXED64, _FIXED32):
            at += 8 if wire == _FIXED64 else 4
        else:
            raise ValueError(f"unknown wire type {wire}")


def _slice(content: bytes, at: int, length: int) -> bytes:
    if at + length > len(content):
        raise ValueError("a field is longer than its message")
    return content[at : at + length]


def _read_varint(content: bytes, at: int) -> Tuple[int, int]:
    number = shift = 0
    while True:
        group = content[at]
        at += 1
        number |= (group & 127) << shift
        if group < 128:
            return number, at
        shift += 7
        if shift > 63:
            raise ValueError("a varint is too long")


def read_field_head(file: BinaryIO) -> Tuple[int, int, bytes]:
    """Number and length of the length-delimited field that starts here in a file, and the bytes read."""
    tag, first = _file_varint(file)
    if tag & 7 != _BYTES:
        raise ValueError(f"unexpected wire type {tag & 7}")
    length, second = _file_varint(file)
    return tag >> 3, length, first + second


def _file_varint(file: BinaryIO) -> Tuple[int, bytes]:
    read = b""
    while not read or read[-1] & 128:
        read += file.read(1) or _end()
    return _read_varint(read, 0)[0], read


def _end() -> bytes:
    raise ValueError("the record ends too early")
