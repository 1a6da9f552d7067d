"""Small clips and networks for the tests of training and embedding. No pytest in here: other interpreters import it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Dict

import numpy as np

from tcc.config import EmbedderConfig, SamplingConfig, ScheduleConfig, TrainingConfig
from tcc.dataset import FeatureClips
from tcc.models import Embedder, Encoder
from tcc.sequences import ClipSequence

CHANNELS, GRID = 3, 2
SAMPLING = SamplingConfig(num_frames=4, num_context_frames=2, context_stride=2, random_offset=1)
TRAINING = TrainingConfig(num_steps=7, batch_size=2, checkpoint_every=3, log_every=2)
SCHEDULE = ScheduleConfig(warmup_steps=2)


def sample_clips(*, num_clips: int = 5, seed: int = 0) -> FeatureClips:
    """Clips of unequal length, the first shorter than a step's frames, with noise around a drift."""
    rng = np.random.default_rng(seed)
    clips = []
    for index in range(num_clips):
        length = 3 + 4 * index
        drift = np.linspace(0, 3, length)[:, np.newaxis, np.newaxis, np.newaxis]
        values = (drift + rng.standard_normal((length, GRID, GRID, CHANNELS))).astype(np.float16)
        clips.append(ClipSequence(f"clip{index}", np.arange(length) / 10, np.full(length, index), values))
    return FeatureClips(clips)


def sample_encoder(*, seed: int = 0, channels=(4, 4), dropout: float = 0.25) -> Encoder:
    """An encoder that trains in milliseconds and has every part: standardization, batch norm, dropout."""
    config = EmbedderConfig(channels=channels, dense=(5,), embedding_size=6, dropout=dropout)
    return Encoder(None, Embedder(config, num_context_frames=2, feature_channels=CHANNELS, seed=seed))


def hashes(directory: Path) -> Dict[str, str]:
    """SHA-256 of every file of a training but the event files."""
    return {
        str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(Path(directory).rglob("*"))
        if path.is_file() and "summaries" not in path.parts
    }


def weights(encoder: Encoder) -> Dict[str, np.ndarray]:
    """Every variable of an encoder as an array."""
    return {name: variable.numpy() for name, variable in encoder.named_variables().items()}
