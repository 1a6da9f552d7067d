"""The settings that turn a video into embeddings: what a trained model must know, and nothing of paths or machines."""

from __future__ import annotations

import dataclasses
from typing import Any, Dict, Mapping

from tcc.config import EmbedderConfig, FramesConfig, Settings

_KEPT = {
    "clips": ("min_frames",),
    "frames": tuple(field.name for field in dataclasses.fields(FramesConfig)),
    "backbone": ("name", "trained"),
    "features": ("grid", "center", "batch_frames", "precision"),
    "sampling": ("num_frames", "num_context_frames", "context_stride"),
    "embedder": tuple(field.name for field in dataclasses.fields(EmbedderConfig)),
    "training": ("method",),
    "embedding": ("batch_frames", "precision"),
    "evaluation": ("distance",),
}


def kept_settings(settings: Settings) -> Dict[str, Dict[str, Any]]:
    """Section -> option -> value, of what a trained model keeps; for JSON."""
    whole = settings.as_dict()
    return {section: {name: whole[section][name] for name in names} for section, names in _KEPT.items()}


def settings_of(kept: Mapping[str, Mapping[str, Any]]) -> Settings:
    """The settings again, also after a round trip through JSON; what was not kept has its default.

    Raises: TypeError or KeyError for options or sections that are not known; SettingsError for illegal values.
    """
    return Settings.from_dict({section: dict(options) for section, options in kept.items()})
