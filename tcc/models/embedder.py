"""The embedders by name: sequences of features -> embeddings."""

from __future__ import annotations

from tcc.config import EmbedderConfig, SamplingConfig
from tcc.models.conv_embedder import Embedder
from tcc.models.conv_gru_embedder import ConvGRUEmbedder
from tcc.models.embedder_base import SequenceEmbedder
from tcc.models.transformer_embedder import TransformerEmbedder


def build_embedder(
    config: EmbedderConfig, *, sampling: SamplingConfig, feature_channels: int, seed: int
) -> SequenceEmbedder:
    """The embedder that `config.kind` names, with random weights that follow from `seed`.

    Args:
      config: its settings.
      sampling: how it is trained: number of context frames, and of frames in a sequence.
      feature_channels: C, channels of the features.
      seed: of the training.
    Raises: SettingsError if an embedder over whole sequences is to see context frames besides.
    """
    context = sampling.num_context_frames
    if config.kind == "conv_gru":
        return ConvGRUEmbedder(config, num_context_frames=context, feature_channels=feature_channels, seed=seed)
    if config.kind == "transformer":
        return TransformerEmbedder(
            config,
            num_context_frames=context,
            feature_channels=feature_channels,
            num_frames=sampling.num_frames,
            seed=seed,
        )
    return Embedder(config, num_context_frames=context, feature_channels=feature_channels, seed=seed)
