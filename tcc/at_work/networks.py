"""The two networks that make embeddings of frames, built from settings alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict

from tcc.config import Settings
from tcc.models import Backbone, Encoder, build_backbone, build_embedder


@dataclass(frozen=True)
class Networks:
    """Backbone and embedder.

    Attributes:
      backbone: frames -> features.
      encoder: features, or where the backbone is trained frames, -> embeddings.
    """

    backbone: Backbone
    encoder: Encoder

    def named_variables(self) -> Dict[str, Any]:
        """Every variable of both by its key "<layer>/<weight>"."""
        return {**self.backbone.named_variables(), **self.encoder.embedder.named_variables()}


def build_networks(settings: Settings) -> Networks:
    """The networks of these settings, with random weights that others are to replace."""
    backbone = build_backbone(settings.backbone)
    embedder = build_embedder(
        settings.embedder, sampling=settings.sampling, feature_channels=backbone.feature_channels, seed=0
    )
    trained = settings.backbone.trained
    return Networks(backbone, Encoder(None if trained == "frozen" else backbone, embedder, trained=trained))
