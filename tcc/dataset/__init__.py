"""From clips to batches, every step: sampling, augmentation, batches. NumPy and OpenCV, on the host, from (seed, step)."""

from tcc.dataset.batches import Batch, Clips, FeatureClips, FrameClips, draw_batch, draw_clips, prefetch
from tcc.dataset.sampling import context_indices, positive_indices, sample_frame_indices

__all__ = [
    "Batch",
    "Clips",
    "FeatureClips",
    "FrameClips",
    "context_indices",
    "draw_batch",
    "draw_clips",
    "positive_indices",
    "prefetch",
    "sample_frame_indices",
]
