"""Clips dealt to chunks and shards: evenly by size, and so that one clip more leaves nearly all others where they were."""

from __future__ import annotations

import hashlib
import math
from typing import Dict, List, Mapping

# How much fuller than the mean a bucket may become. Less would move more clips when one comes.
_SLACK = 1.1
_STEPS_PER_DOUBLING = 4


def deal(sizes: Mapping[str, int], buckets: int, salt: str = "") -> Dict[str, int]:
    """A bucket in [0, buckets) for each name, by hashing with bounded loads (Mirrokni et al. 2018).

    Each name prefers buckets in an order of its own and takes the first that has room. Sizes are rounded to steps of 41 %
    and the room to steps of 19 %, so that replacing a clip by a similar one, or adding one, changes no other's place unless a
    bucket overflows. No bucket holds more than 1.31 times the mean of the rounded sizes, or its largest clip.

    Args:
      sizes: name -> bytes, or any other measure of work; below 1 counts as 1.
      salt: another one deals differently.
    """
    rounded = {name: _rounded(size) for name, size in sizes.items()}
    room = _room(sum(rounded.values()) / buckets)
    loads = [0.0] * buckets
    dealt = {}
    for name in sorted(rounded, key=lambda name: _digest(salt, name)):
        order = _preferences(salt, name, buckets)
        free = (bucket for bucket in order if loads[bucket] + rounded[name] <= room)
        bucket = next(free, min(order, key=lambda bucket: loads[bucket]))
        loads[bucket] += rounded[name]
        dealt[name] = bucket
    return dealt


def _rounded(size: int) -> float:
    return float(2 ** (round(2 * math.log2(max(size, 1))) / 2))


def _room(mean: float) -> float:
    if mean <= 0:
        return 0.0
    return float(2 ** (math.ceil(_STEPS_PER_DOUBLING * math.log2(_SLACK * mean)) / _STEPS_PER_DOUBLING))


def _preferences(salt: str, name: str, buckets: int) -> List[int]:
    return sorted(range(buckets), key=lambda bucket: _digest(f"{salt} {bucket}", name))


def _digest(salt: str, name: str) -> bytes:
    return hashlib.sha256(f"{salt}\0{name}".encode("utf-8", "surrogateescape")).digest()
