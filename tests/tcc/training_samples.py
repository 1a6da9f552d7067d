"""Small clips and networks for the tests of training and embedding. No pytest in here: other interpreters import it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Dict

import numpy as np

from tcc.config import EmbedderConfig, SamplingConfig, ScheduleConfig, TrainingConfig
from tcc.dataset import FeatureClips
from tcc.embedding import embed_clips
from tcc.evaluation import kendalls_tau, phase_classification, retrieval
from tcc.models import Encoder, build_embedder
from tcc.sequences import ClipSequence
from tcc.training import restore_encoder, train

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


def sampling_of(kind: str) -> SamplingConfig:
    """How an embedder of this kind is trained: those over whole sequences take no context frames."""
    return SAMPLING if kind == "conv" else dataclasses.replace(SAMPLING, num_context_frames=1)


def sample_encoder(
    *, seed: int = 0, channels=(4, 4), dropout: float = 0.25, kind: str = "conv", convolution: str = "late"
) -> Encoder:
    """An encoder that trains in milliseconds and has every part: standardization, batch norm, dropout."""
    config = EmbedderConfig(
        kind=kind,
        convolution=convolution,
        channels=channels,
        dense=(5,),
        gru_units=(5, 6),
        transformer_layers=2,
        transformer_heads=2,
        transformer_width=6,
        transformer_feed_forward=7,
        embedding_size=6,
        dropout=dropout,
    )
    return Encoder(None, build_embedder(config, sampling=sampling_of(kind), feature_channels=CHANNELS, seed=seed))


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


def train_here(directory, num_steps, kind="conv"):
    """The encoder after so many steps; its embeddings of the sample clips are left beside the checkpoints."""
    encoder = sample_encoder(kind=kind)
    training = dataclasses.replace(TRAINING, num_steps=num_steps)
    train(sample_clips(), encoder, directory, sampling=sampling_of(kind), training=training)
    np.save(Path(directory) / "embeddings.npy", embeddings_of(encoder, kind))
    return encoder


def evaluate_here(directory, step):
    """Value of some metrics of a checkpoint, read from its files alone; left beside it as JSON."""
    encoder = sample_encoder(seed=1)
    restore_encoder(directory, step, encoder)
    clips = embed_clips(sample_clips(), encoder, sampling=SAMPLING, batch_frames=7)
    names = [clip.name for clip in clips]
    found = (
        kendalls_tau(clips, frame_stride=1),
        retrieval(clips, phases=names, num_frames=(1, 3)),
        phase_classification(clips, clips, phases=names, train_fractions=(1.0,)),
    )
    values = {one.metric: one.value for one in found}
    (Path(directory) / "metrics.json").write_text(json.dumps(values))
    return values


def embeddings_of(encoder, kind):
    """Embeddings of all sample clips, one after another."""
    clips = embed_clips(sample_clips(), encoder, sampling=sampling_of(kind), batch_frames=7)
    return np.concatenate([clip.values for clip in clips])
