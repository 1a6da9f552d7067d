"""Clips in memory and the batches drawn from them.

A batch follows from (seed, step) alone: it can be drawn in any order, in any process, and a training that resumes at a
step needs no other state. Each purpose has a generator of its own, so that one more draw for one moves no other.
"""

from __future__ import annotations

import collections
import dataclasses
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Callable, Deque, Generator, Iterable, List, Optional, Sequence, Tuple

import numpy as np

from tcc.config import AugmentationConfig, SamplingConfig
from tcc.dataset.augment import flatten_channels, flip_horizontally
from tcc.dataset.sampling import (
    context_indices,
    draw_frame_indices,
    positive_indices,
    random_order,
    sample_two_views,
)
from tcc.errors import SettingsError, ShapeError
from tcc.sequences import UNLABELLED, ClipSequence

# What a generator is for; part of its seed. Never zero: NumPy's seeds ignore trailing zeros.
ORDER, FRAMES, POSITIVES, AUGMENTATION, DROPOUT, TRIPLETS, CYCLES = 1, 2, 3, 4, 5, 6, 7


def seeded_generator(seed: int, position: int, purpose: int) -> np.random.Generator:
    """The generator of one purpose at one step (or epoch) of a training."""
    return np.random.default_rng([seed, position, purpose])


class Clips:
    """A set of clips to draw from. A subclass says where the values of a frame come from.

    Attributes:
      names: name of each clip.
      lengths: int64 [N], frames of each clip.
      timestamps: for each clip float64 [T], seconds.
      labels: for each clip int64 [T].
    """

    def __init__(self, names: Sequence[str], timestamps: Sequence[np.ndarray], labels: Sequence[np.ndarray]):
        self.names: List[str] = list(names)
        self.timestamps = list(timestamps)
        self.labels = list(labels)
        self.lengths = np.array([len(times) for times in self.timestamps], dtype=np.int64)
        empty = [name for name, length in zip(self.names, self.lengths) if not length]
        if empty:
            raise ShapeError(f"clips without a frame: {', '.join(empty)}; leave them out")

    def __len__(self) -> int:
        return len(self.names)

    def forget_labels(self) -> None:
        """Make every frame unlabelled."""
        self.labels = [np.full_like(one, UNLABELLED) for one in self.labels]

    def gather(self, clip: int, indices: np.ndarray) -> np.ndarray:
        """Values of frames of one clip: indices of any shape [...] -> [..., h, w, C]."""
        raise NotImplementedError

    def augment(self, values: np.ndarray, augmentation: AugmentationConfig, rng: np.random.Generator) -> np.ndarray:
        """A random change of one clip's values [..., h, w, C] that leaves the action as it is."""
        raise NotImplementedError


class FeatureClips(Clips):
    """Clips as features of a frozen backbone, [T, h, w, C] each, as they are stored (float16).

    Raises: ShapeError if there is no clip, or they differ in the shape of a frame's features.
    """

    def __init__(self, clips: Iterable[ClipSequence]):
        clips = list(clips)
        super().__init__(
            [clip.name for clip in clips], [clip.timestamps for clip in clips], [clip.labels for clip in clips]
        )
        self.values = [clip.values for clip in clips]
        shapes = sorted({tuple(values.shape[1:]) for values in self.values})
        if len(shapes) != 1 or len(shapes[0]) != 3:
            raise ShapeError(f"clips: expected features [T, h, w, C] of one shape [h, w, C], got {shapes}")
        self.feature_shape = shapes[0]
        self.feature_channels = shapes[0][-1]

    def gather(self, clip: int, indices: np.ndarray) -> np.ndarray:
        return self.values[clip][indices]

    def augment(self, values: np.ndarray, augmentation: AugmentationConfig, rng: np.random.Generator) -> np.ndarray:
        share = augmentation.channel_dropout
        return flatten_channels(values, share=share, rng=rng) if share else values


class FrameClips(Clips):
    """Clips as JPEG frames; only the frames that are asked for are decoded, each once per call.

    Args:
      records: objects with name, timestamps, frame_labels and frames (a list of JPEG bytes), as
        `tcc.video.shards.read_records` yields them.
    """

    def __init__(self, records: Iterable[Any]):
        records = list(records)
        super().__init__(
            [record.name for record in records],
            [record.timestamps for record in records],
            [record.frame_labels for record in records],
        )
        self._jpegs = [record.frames for record in records]

    def gather(self, clip: int, indices: np.ndarray) -> np.ndarray:
        from tcc.video.shards import decode_jpegs

        indices = np.asarray(indices)
        needed, where = np.unique(indices.reshape(-1), return_inverse=True)
        frames = decode_jpegs([self._jpegs[clip][index] for index in needed])
        return frames[where.reshape(indices.shape)]

    def augment(self, values: np.ndarray, augmentation: AugmentationConfig, rng: np.random.Generator) -> np.ndarray:
        return flip_horizontally(values, rng=rng) if augmentation.flip else values


@dataclass(frozen=True)
class Batch:
    """What one training step works on.

    Drawn by `draw_views` it has two rows for each clip, its two views one after the other: read 2B for B below but in clips.

    Attributes:
      step: the step that it was drawn for.
      clips: int64 [B], positions of the clips in their source.
      inputs: [B, T, context, h, w, C]; with positives [B, 2T, ...]: T anchors, then the T positives.
      frame_indices: int32 [B, T], position of each anchor in its clip.
      sequence_lengths: int32 [B], frames of the whole clip.
      labels: int32 [B, T], phase of each anchor; -1 where there is none.
      triplets, triplet_labels: int32 [R, 3] and [R], see `tcc.losses.draw_triplets`; training adds them where needed.
      valid: float32 [B, T], 0 for frames that are padding; [0, 0]: there is no padding.
      cycles, cycle_starts: int32 [N, L + 1] and [N], see `tcc.losses.draw_cycles`; training adds them where needed.
      dropout_masks: what the embedder's dense layers are multiplied with; training adds them.
    """

    step: int
    clips: np.ndarray
    inputs: np.ndarray
    frame_indices: np.ndarray
    sequence_lengths: np.ndarray
    labels: np.ndarray
    triplets: np.ndarray = field(default_factory=lambda: np.zeros((0, 3), np.int32))
    triplet_labels: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int32))
    valid: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    cycles: np.ndarray = field(default_factory=lambda: np.zeros((0, 3), np.int32))
    cycle_starts: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int32))
    dropout_masks: Tuple[np.ndarray, ...] = ()

    def clips_of_rows(self) -> np.ndarray:
        """For each row of the inputs the clip that it shows, int64: `clips`, or each of them twice for views."""
        return _clips_of_rows(self.clips, len(self.inputs))


def draw_batch(
    source: Clips,
    step: int,
    *,
    seed: int,
    sampling: SamplingConfig,
    batch_size: int,
    positive_window: int = 0,
    augmentation: Optional[AugmentationConfig] = None,
) -> Batch:
    """The batch of one step; it depends on nothing but the arguments.

    Args:
      source: the clips.
      step: from 0 on.
      seed: of the training.
      sampling: how many frames, and their context.
      batch_size: B, different clips.
      positive_window: draw a positive for each frame, so many frames before it at most; 0: none.
      augmentation: change the clips at random; None: leave them as they are.
    Raises: SettingsError if there are fewer clips than `batch_size`.
    """
    clips = draw_clips(len(source), step, seed=seed, batch_size=batch_size)
    frames_rng, positives_rng, augmentation_rng = (
        seeded_generator(seed, step, purpose) for purpose in (FRAMES, POSITIVES, AUGMENTATION)
    )
    inputs, chosen = [], []
    for clip in clips:
        length = int(source.lengths[clip])
        anchors = draw_frame_indices(length, sampling, frames_rng)
        chosen.append(anchors)
        if positive_window:
            positives = positive_indices(anchors, window=positive_window, rng=positives_rng)
            anchors = np.concatenate([anchors, positives])
        inputs.append(_gather(source, clip, anchors, sampling, augmentation, augmentation_rng))
    return _batch(source, step, clips, inputs, chosen)


def draw_views(
    source: Clips,
    step: int,
    *,
    seed: int,
    sampling: SamplingConfig,
    batch_size: int,
    region: float,
    overlap: float,
    augmentation: Optional[AugmentationConfig] = None,
) -> Batch:
    """Two views of each clip of one step; it depends on nothing but the arguments.

    Args:
      source, step, seed, batch_size: see `draw_batch`.
      sampling: how many frames, and their context; its strategy is not used.
      region, overlap: see `tcc.dataset.sampling.sample_two_views`.
      augmentation: change each view at random; None: leave them as they are.
    Returns: rows 2i and 2i + 1 are the views of clips[i].
    Raises: SettingsError if there are fewer clips than `batch_size`.
    """
    clips = draw_clips(len(source), step, seed=seed, batch_size=batch_size)
    frames_rng, augmentation_rng = (seeded_generator(seed, step, purpose) for purpose in (FRAMES, AUGMENTATION))
    inputs, views = [], []
    for clip in clips:
        length = int(source.lengths[clip])
        for view in sample_two_views(length, sampling.num_frames, region=region, overlap=overlap, rng=frames_rng):
            inputs.append(_gather(source, clip, view.frames, sampling, augmentation, augmentation_rng))
            views.append(view)
    valid = np.stack([view.valid for view in views]).astype(np.float32)
    return dataclasses.replace(_batch(source, step, clips, inputs, [view.frames for view in views]), valid=valid)


def _gather(
    source: Clips,
    clip: int,
    frames: np.ndarray,
    sampling: SamplingConfig,
    augmentation: Optional[AugmentationConfig],
    rng: np.random.Generator,
) -> np.ndarray:
    """Inputs of some frames of one clip, changed by one draw."""
    values = source.gather(clip, clip_windows(frames, int(source.lengths[clip]), sampling))
    return source.augment(values, augmentation, rng) if augmentation else values


def _batch(
    source: Clips, step: int, clips: np.ndarray, inputs: List[np.ndarray], frame_indices: List[np.ndarray]
) -> Batch:
    """Rows of inputs, the same number for each clip, with what belongs to them."""
    rows = _clips_of_rows(clips, len(inputs))
    return Batch(
        step=step,
        clips=clips,
        inputs=np.stack(inputs),
        frame_indices=np.stack(frame_indices).astype(np.int32),
        sequence_lengths=source.lengths[rows].astype(np.int32),
        labels=np.stack([source.labels[clip][frames] for clip, frames in zip(rows, frame_indices)]).astype(np.int32),
    )


def _clips_of_rows(clips: np.ndarray, num_rows: int) -> np.ndarray:
    return np.repeat(clips, num_rows // len(clips))


def draw_clips(num_clips: int, step: int, *, seed: int, batch_size: int) -> np.ndarray:
    """Which clips a step works on: each epoch is a new order; what does not fill a batch at its end is left out.

    Returns: int64 [B], all different.
    Raises: SettingsError if there are fewer clips than `batch_size`.
    """
    steps_per_epoch = num_clips // batch_size
    if steps_per_epoch < 1:
        raise SettingsError(
            f"batch_size: {batch_size} different clips are needed for a batch and there are {num_clips}; "
            "lower batch_size or add clips"
        )
    epoch, place = divmod(step, steps_per_epoch)
    order = random_order(num_clips, seeded_generator(seed, epoch, ORDER))
    return order[place * batch_size : (place + 1) * batch_size]


def clip_windows(frame_indices: np.ndarray, length: int, sampling: SamplingConfig) -> np.ndarray:
    """Context windows [..., context] of frames of a clip, clamped to the clip."""
    return context_indices(
        frame_indices,
        num_context_frames=sampling.num_context_frames,
        context_stride=sampling.context_stride,
        length=length,
    )


def prefetch(draw: Callable[[int], Batch], steps: Iterable[int], *, ahead: int = 2) -> Generator[Batch, None, None]:
    """Batches of the given steps in their order, drawn in a thread of their own up to `ahead` steps early.

    What `draw` raises is raised here, at the step it belongs to.
    """
    pending: Deque[Any] = collections.deque()
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="batches") as pool:
        for step in steps:
            pending.append(pool.submit(draw, step))
            if len(pending) > ahead:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
