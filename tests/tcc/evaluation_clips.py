"""Clips with embeddings for the tests of the metrics."""

from __future__ import annotations

import numpy as np

from tcc.sequences import ClipSequence

PHASES = ("reach", "lift", "pour", "put", "leave")
TRIMS = {"trim_start_seconds": 3.0, "trim_end_seconds": 2.0, "seed": 0, "dtw_pairs": 400}


def clip_of(name, values, labels):
    """A clip at 10 frames a second."""
    labels = np.asarray(labels, dtype=np.int64)
    return ClipSequence(name, np.arange(len(labels)) / 10, labels, np.asarray(values))


def random_clips(*, seed, count, num_phases, size=8, noise=0.3, unlabelled=False):
    """Clips of 40 to 69 frames whose embeddings move through one place for each phase, lengths of phases random."""
    places = np.random.default_rng(99).normal(size=(num_phases, size))
    rng = np.random.default_rng([seed, 7])
    clips = []
    for index in range(count):
        length = int(rng.integers(40, 70))
        inner = np.sort(rng.choice(np.arange(1, length), size=num_phases - 1, replace=False))
        labels = np.searchsorted(inner, np.arange(length), side="right")
        values = places[labels] + noise * rng.normal(size=(length, size)) + 0.02 * np.arange(length)[:, None]
        if unlabelled:
            labels[:4] = -1
            labels[-3:] = -1
        clips.append(clip_of(f"clip{index}", values.astype(np.float32), labels))
    return clips
