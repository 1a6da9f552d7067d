"""Changes of a training clip that leave its action as it is: drawn once per clip, the same for all its frames."""

from __future__ import annotations

import numpy as np


def flatten_channels(features: np.ndarray, *, share: float, rng: np.random.Generator) -> np.ndarray:
    """Replace some channels of a clip's features [..., C] by their mean over the clip: they tell nothing of time any more.

    Each channel with probability `share`, the same for all frames. It keeps an embedder from relying on few channels.
    """
    chosen = rng.random(features.shape[-1]) < share
    means = features.reshape(-1, features.shape[-1]).mean(axis=0, dtype=np.float32).astype(features.dtype)
    return np.where(chosen, means, features)


def flip_horizontally(frames: np.ndarray, *, rng: np.random.Generator) -> np.ndarray:
    """Mirror all frames [..., H, W, C] of a clip, or none: each with probability 1/2."""
    return frames[..., ::-1, :] if rng.random() < 0.5 else frames
