"""Collapse: embeddings that no longer tell frames apart, whatever the loss says. NumPy only."""

from __future__ import annotations

from typing import Any, Dict, List, Sequence

import numpy as np

# Share of the mean square that is variance; and entropy as a share of ln T, where 0.2 of ln 20 is 1.8 frames.
SMALLEST_SPREAD, SMALLEST_ENTROPY = 1e-4, 0.2


def embedding_health(embeddings: Any) -> Dict[str, float]:
    """How far embeddings are from a collapse.

        embedding_variance   mean over the dimensions of the variance over all frames
        embedding_spread     embedding_variance / mean square; 0 where all frames are one point
        embedding_rank       (sum l)^2 / sum l^2 of the eigenvalues l of the covariance: dimensions in use
        neighbor_entropy     entropy of which frame is the nearest neighbor in another clip, over ln T, mean of the pairs;
                             0 where one frame is the neighbor of all, 1 where each frame is somebody's

    Args:
      embeddings: float [B, T, D], finite, B and T at least 2.
    """
    values = np.asarray(embeddings, np.float64)
    frames = values.reshape(-1, values.shape[-1])
    centered = frames - frames.mean(axis=0)
    variance, square = float(np.square(centered).mean()), float(np.square(frames).mean())
    return {
        "embedding_variance": variance,
        "embedding_spread": variance / square if square else 0.0,
        "embedding_rank": _rank(centered),
        "neighbor_entropy": _neighbor_entropy(values),
    }


def collapse_warnings(history: Sequence[Dict[str, Any]]) -> List[str]:
    """A sentence for each sign of a collapse in a training's history, with the step at which it was first seen."""
    signs = {
        "embedding_spread": (SMALLEST_SPREAD, "all frames have nearly the same embedding"),
        "neighbor_entropy": (SMALLEST_ENTROPY, "the nearest neighbor of most frames is one and the same frame"),
    }
    found = []
    for name, (smallest, meaning) in signs.items():
        steps = [line for line in history if name in line and line[name] < smallest]
        if steps:
            found.append(
                f"collapse: {meaning} ({name} {steps[0][name]:.2g} below {smallest} at step {steps[0]['step']}, "
                f"{len(steps)} times in all); lower learning_rate, or try another method or more clips"
            )
    return found


def _rank(centered: np.ndarray) -> float:
    # The eigenvalues' sums are those of the smaller of the two products.
    gram = centered @ centered.T if len(centered) < centered.shape[1] else centered.T @ centered
    squares = float(np.square(gram).sum())
    return float(np.trace(gram)) ** 2 / squares if squares else 0.0


def _neighbor_entropy(values: np.ndarray) -> float:
    num_clips, num_frames, size = values.shape
    frames = values.reshape(-1, size) - values.reshape(-1, size).mean(axis=0)
    norms = np.square(frames).sum(axis=1)
    distances = (norms[np.newaxis] - 2 * frames @ frames.T).reshape(num_clips, num_frames, num_clips, num_frames)
    nearest = distances.argmin(axis=3)
    pairs = [nearest[one, :, other] for one in range(num_clips) for other in range(num_clips) if one != other]
    return float(np.mean([_entropy(np.bincount(pair) / num_frames) for pair in pairs]) / np.log(num_frames))


def _entropy(shares: np.ndarray) -> float:
    present = shares[shares > 0]
    return float(-(present * np.log(present)).sum())
