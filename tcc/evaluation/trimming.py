"""Clips cut at random, so that time since the start no longer tells the phase."""

from __future__ import annotations

from typing import List, Sequence

import numpy as np

from tcc.errors import SettingsError
from tcc.sequences import ClipSequence

FEWEST_FRAMES = 5  # that a trimmed clip keeps; both cuts are shortened in proportion where they would leave fewer


def trim_clips(
    clips: Sequence[ClipSequence], start_seconds: float, end_seconds: float, *, seed: int
) -> List[ClipSequence]:
    """Each clip without a random part of its start (0 to `start_seconds`) and of its end (0 to `end_seconds`).

    The cuts of clip n come from default_rng([seed, n]): they depend on neither embeddings nor the other clips. At least
    FEWEST_FRAMES frames stay (all frames of a clip that has no more). Times stay those of the whole clip.
    """
    if start_seconds < 0 or end_seconds < 0:
        raise SettingsError(f"trim seconds: must be at least 0, got {start_seconds} and {end_seconds}")
    return [_trim(clip, start_seconds, end_seconds, np.random.default_rng([seed, n])) for n, clip in enumerate(clips)]


def _trim(clip: ClipSequence, start_seconds: float, end_seconds: float, rng: np.random.Generator) -> ClipSequence:
    start_cut, end_cut = rng.uniform(0, 1, size=2) * (start_seconds, end_seconds)
    if len(clip) <= FEWEST_FRAMES:
        return clip
    times = clip.timestamps
    first = int(np.searchsorted(times, times[0] + start_cut))
    dropped = len(clip) - int(np.searchsorted(times, times[-1] - end_cut, side="right"))
    allowed = len(clip) - FEWEST_FRAMES
    if first + dropped > allowed:
        first = first * allowed // (first + dropped)
        dropped = allowed - first
    return clip.take(slice(first, len(clip) - dropped))
