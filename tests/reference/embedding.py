"""Embeddings of clips without any sharing of work: every window of frames goes through the whole network by itself."""

from __future__ import annotations

import numpy as np


def embed_clip(source, clip, encoder, sampling):
    """Embeddings [T, D] of one clip of frames or features, by a call of the encoder for the whole clip."""
    length, windows = int(source.lengths[clip]), []
    for frame in range(length):
        window = [
            max(frame - sampling.context_stride * back, 0) for back in reversed(range(sampling.num_context_frames))
        ]
        windows.append(np.stack([source.gather(clip, np.array([place]))[0] for place in window]))
    return encoder(np.stack(windows)[np.newaxis], training=False).numpy()[0]
