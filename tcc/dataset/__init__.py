"""From clips to batches, every step: sampling, augmentation, batches. NumPy and OpenCV, on the host, from (seed, step)."""

from tcc.dataset.batches import (
    Batch,
    Clips,
    FeatureClips,
    FrameClips,
    Share,
    draw_batch,
    draw_clips,
    draw_views,
    prefetch,
)
from tcc.dataset.sampling import (
    context_indices,
    positive_indices,
    sample_frame_indices,
    sample_segments,
    sample_stride,
    sample_two_views,
)

__all__ = [
    "Batch",
    "Clips",
    "FeatureClips",
    "FrameClips",
    "Share",
    "context_indices",
    "draw_batch",
    "draw_clips",
    "draw_views",
    "positive_indices",
    "prefetch",
    "sample_frame_indices",
    "sample_segments",
    "sample_stride",
    "sample_two_views",
]
