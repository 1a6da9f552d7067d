"""Train an embedder on features of your own: the library alone, no Luigi, no luigi.cfg.

python examples/train_without_luigi.py
"""

from __future__ import annotations

import tempfile

import numpy as np

from tcc.config import EmbedderConfig, SamplingConfig, TrainingConfig
from tcc.dataset import FeatureClips
from tcc.device import open_device
from tcc.embedding import embed_clips
from tcc.evaluation import kendalls_tau
from tcc.models import Embedder, Encoder
from tcc.sequences import UNLABELLED, ClipSequence
from tcc.training import train


def made_up_clip(index: int) -> ClipSequence:
    """Features [T, 4, 4, 8] in which time moves a bump across the channels, at a pace of the clip's own."""
    rng = np.random.default_rng(index)
    length = int(rng.integers(40, 70))
    place = np.linspace(0, 7, length)[:, None] - np.arange(8)
    features = np.exp(-(place**2))[:, None, None, :] + 0.2 * rng.normal(size=(length, 4, 4, 8))
    return ClipSequence(
        f"clip{index}", np.arange(length) / 10, np.full(length, UNLABELLED), features.astype(np.float16)
    )


def main() -> None:
    """Train for 60 steps and say how well the clips' order of time is kept."""
    open_device("cpu")
    sampling = SamplingConfig(num_frames=10, context_stride=2)
    embedder = EmbedderConfig(channels=(16, 16), dense=(32,), embedding_size=16)
    clips = FeatureClips([made_up_clip(index) for index in range(8)])
    encoder = Encoder(None, Embedder(embedder, num_context_frames=2, feature_channels=8, seed=0))
    with tempfile.TemporaryDirectory() as directory:
        settings = TrainingConfig(num_steps=60, checkpoint_every=60)
        train(clips, encoder, directory, sampling=sampling, training=settings)
    embeddings = embed_clips(clips, encoder, sampling=sampling, batch_frames=64)
    print("Kendall's tau:", round(kendalls_tau(embeddings, frame_stride=2, split="train").value, 3))


if __name__ == "__main__":
    main()
