"""Changes of a training clip that leave its action as it is: drawn once per clip, the same for all its frames."""

from __future__ import annotations

import numpy as np


def flip_horizontally(frames: np.ndarray, *, rng: np.random.Generator) -> np.ndarray:
    """Mirror all frames [..., H, W, C] of a clip, or none: each with probability 1/2."""
    return frames[..., ::-1, :] if rng.random() < 0.5 else frames
