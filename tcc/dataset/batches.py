"""Clips, in memory or on disk, and the batches drawn from them.

A batch follows from (seed, step) alone: it can be drawn in any order, in any process, and a training that resumes at a
step needs no other state. Each purpose has a generator of its own, so that one more draw for one moves no other.
"""

from __future__ import annotations

import collections
import dataclasses
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Callable, Deque, Dict, Generator, Iterable, List, Optional, Sequence, Tuple

import numpy as np

from tcc.config import AugmentationConfig, SamplingConfig
from tcc.dataset.augment import FrameChange, draw_channels, draw_flip, draw_frame_change, flatten_channels
from tcc.dataset.decoding import FrameDecoder, FrameRequest
from tcc.dataset.sampling import (
    View,
    context_indices,
    draw_frame_indices,
    positive_indices,
    random_order,
    sample_two_views,
)
from tcc.errors import SettingsError, ShapeError
from tcc.sequences import UNLABELLED, ClipSequence

# What a generator is for; part of its seed. Never zero: NumPy's seeds ignore trailing zeros.
ORDER, FRAMES, POSITIVES, CHANNELS, DROPOUT, TRIPLETS, CYCLES = 1, 2, 3, 4, 5, 6, 7


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

    def draw_changes(
        self, clips: Sequence[int], augmentation: AugmentationConfig, *, seed: int, step: int
    ) -> List[Any]:
        """For each of the clips a random change, for `gather_batch`, that leaves its action as it is.

        A clip that is named twice, for two views, gets two.
        """
        raise NotImplementedError

    def gather_batch(self, clips: Sequence[int], indices: Sequence[np.ndarray], changes: Sequence[Any]) -> np.ndarray:
        """Values of frames of several clips, changed: B indices of one shape [...] -> [B, ..., h, w, C].

        Args:
          changes: for each clip what `draw_changes` made; None leaves its values as they are.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class FeatureChange:
    """One change of a clip's features: from the mirrored set, and which channels [C] are flattened, if any."""

    mirrored: bool
    flattened: Optional[np.ndarray]


class FeatureClips(Clips):
    """Clips as features of a frozen backbone, [T, h, w, C] each, as they are stored (float16).

    They are arrays, or on disk (`tcc.stored_values.StoredValues`) and read when they are asked for.

    Args:
      clips: the features.
      mirrored: features of the same clips with every frame mirrored, which `[augmentation] flip` draws from.
    Raises: ShapeError if there is no clip, they differ in the shape of a frame's features, or the mirrored clips are others.
    """

    def __init__(self, clips: Iterable[ClipSequence], mirrored: Optional[Iterable[ClipSequence]] = None):
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
        self.mirrored_values = None if mirrored is None else self._mirrored_values(list(mirrored))

    def gather(self, clip: int, indices: np.ndarray) -> np.ndarray:
        return self.values[clip][indices]

    def draw_changes(
        self, clips: Sequence[int], augmentation: AugmentationConfig, *, seed: int, step: int
    ) -> List[Any]:
        augmentation.check_for_features()
        share, rng = augmentation.channel_dropout, seeded_generator(seed, step, CHANNELS)
        return [
            FeatureChange(
                mirrored=self.mirrored_values is not None
                and draw_flip(augmentation, seed=seed, step=step, clip=clip, view=view),
                flattened=draw_channels(self.feature_channels, share, rng=rng) if share else None,
            )
            for clip, view in zip(clips, _views(clips))
        ]

    def gather_batch(self, clips: Sequence[int], indices: Sequence[np.ndarray], changes: Sequence[Any]) -> np.ndarray:
        return np.stack([self._changed(*request) for request in zip(clips, indices, changes)])

    def _changed(self, clip: int, indices: np.ndarray, change: Optional[FeatureChange]) -> np.ndarray:
        if change is None:
            return self.gather(clip, indices)
        values = self.mirrored_values if change.mirrored and self.mirrored_values is not None else self.values
        chosen = values[clip][indices]
        return chosen if change.flattened is None else flatten_channels(chosen, change.flattened)

    def _mirrored_values(self, mirrored: List[ClipSequence]) -> List[np.ndarray]:
        values = [clip.values for clip in mirrored]
        same_names = [clip.name for clip in mirrored] == self.names
        if not same_names or [one.shape for one in values] != [one.shape for one in self.values]:
            raise ShapeError(
                "mirrored: must be the same clips in the same order and of the same shapes as clips; "
                "compute both sets from the same shards with the same backbone"
            )
        return values


class FrameClips(Clips):
    """Clips as JPEG frames; only the frames that are asked for are decoded, each once per call, in several threads.

    Values are uint8 RGB [..., H, W, 3].

    Args:
      records: objects with name, timestamps, frame_labels and frames (a sequence of JPEG bytes), as
        `read_records` and `stored_records` of `tcc.video` yield them.
      threads: that decode and change frames; None: as many as there are processors, two to eight. The result is the same.
      memory_bytes: keep so many bytes of decoded frames at most, so that these are not decoded again; 0: none.
    """

    def __init__(self, records: Iterable[Any], *, threads: Optional[int] = None, memory_bytes: int = 0):
        records = list(records)
        super().__init__(
            [record.name for record in records],
            [record.timestamps for record in records],
            [record.frame_labels for record in records],
        )
        self._jpegs = [record.frames for record in records]
        self._decoder = FrameDecoder(threads, memory_bytes=memory_bytes)

    def gather(self, clip: int, indices: np.ndarray) -> np.ndarray:
        return self.gather_batch([clip], [np.asarray(indices)], [None])[0]

    def draw_changes(
        self, clips: Sequence[int], augmentation: AugmentationConfig, *, seed: int, step: int
    ) -> List[Any]:
        return [
            draw_frame_change(augmentation, seed=seed, step=step, clip=clip, view=view)
            for clip, view in zip(clips, _views(clips))
        ]

    def gather_batch(self, clips: Sequence[int], indices: Sequence[np.ndarray], changes: Sequence[Any]) -> np.ndarray:
        return self._decoder.decode(
            [
                FrameRequest(clip, self.names[clip], self._jpegs[clip], frames, change or FrameChange())
                for clip, frames, change in zip(clips, indices, changes)
            ]
        )


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
      first_row: inputs and dropout masks may be those of some rows alone, from this one on; all else is of all rows.
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
    first_row: int = 0

    def clips_of_rows(self) -> np.ndarray:
        """For each row the clip that it shows, int64: `clips`, or each of them twice for views."""
        return _clips_of_rows(self.clips, len(self.frame_indices))


@dataclass(frozen=True)
class Share:
    """Which clips of a batch are loaded: those of the replicas of one process.

    Attributes:
      first, last: of `count` equal parts of the clips those from the first to the one before the last.
    """

    first: int = 0
    last: int = 1
    count: int = 1

    def of(self, rows: int) -> slice:
        """Those of a batch's rows, or of anything that each of them has equally many of."""
        return slice(self.first * rows // self.count, self.last * rows // self.count)


def draw_batch(
    source: Clips,
    step: int,
    *,
    seed: int,
    sampling: SamplingConfig,
    batch_size: int,
    positive_window: int = 0,
    augmentation: Optional[AugmentationConfig] = None,
    share: Share = Share(),
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
      share: which rows' inputs are loaded.
    Raises: SettingsError if there are fewer clips than `batch_size`.
    """
    clips = draw_clips(len(source), step, seed=seed, batch_size=batch_size)
    frames_rng, positives_rng = (seeded_generator(seed, step, purpose) for purpose in (FRAMES, POSITIVES))
    shown, chosen = [], []
    for clip in clips:
        length = int(source.lengths[clip])
        anchors = draw_frame_indices(length, sampling, frames_rng)
        chosen.append(anchors)
        if positive_window:
            positives = positive_indices(anchors, window=positive_window, rng=positives_rng)
            anchors = np.concatenate([anchors, positives])
        shown.append(anchors)
    settings: Dict[str, Any] = {"seed": seed, "sampling": sampling, "augmentation": augmentation, "share": share}
    inputs = _inputs(source, step, clips, shown, **settings)
    return _batch(source, step, clips, inputs, chosen, share)


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
    share: Share = Share(),
) -> Batch:
    """Two views of each clip of one step; it depends on nothing but the arguments.

    Args:
      source, step, seed, batch_size: see `draw_batch`.
      sampling: how many frames, and their context; its strategy is not used.
      region, overlap: see `tcc.dataset.sampling.sample_two_views`.
      augmentation: change each view at random; None: leave them as they are.
      share: see `draw_batch`.
    Returns: rows 2i and 2i + 1 are the views of clips[i].
    Raises: SettingsError if there are fewer clips than `batch_size`.
    """
    clips = draw_clips(len(source), step, seed=seed, batch_size=batch_size)
    rng = seeded_generator(seed, step, FRAMES)
    views: List[View] = []
    for clip in clips:
        length = int(source.lengths[clip])
        views += sample_two_views(length, sampling.num_frames, region=region, overlap=overlap, rng=rng)
    shown = [view.frames for view in views]
    settings: Dict[str, Any] = {"seed": seed, "sampling": sampling, "augmentation": augmentation, "share": share}
    inputs = _inputs(source, step, clips, shown, **settings)
    valid = np.stack([view.valid for view in views]).astype(np.float32)
    return dataclasses.replace(_batch(source, step, clips, inputs, shown, share), valid=valid)


def _inputs(
    source: Clips,
    step: int,
    clips: np.ndarray,
    shown: Sequence[np.ndarray],
    *,
    seed: int,
    sampling: SamplingConfig,
    augmentation: Optional[AugmentationConfig],
    share: Share,
) -> np.ndarray:
    """For each row of the share its frames with their context, changed by one draw a row; clips have equally many rows."""
    rows = _clips_of_rows(clips, len(shown)).tolist()
    windows = [clip_windows(frames, int(source.lengths[clip]), sampling) for clip, frames in zip(rows, shown)]
    changes: List[Any] = [None] * len(rows)
    if augmentation:
        changes = source.draw_changes(rows, augmentation, seed=seed, step=step)
    own = share.of(len(rows))
    return source.gather_batch(rows[own], windows[own], changes[own])


def _batch(
    source: Clips, step: int, clips: np.ndarray, inputs: np.ndarray, frame_indices: List[np.ndarray], share: Share
) -> Batch:
    """Rows of inputs, the same number for each clip, with what belongs to them."""
    rows = _clips_of_rows(clips, len(frame_indices))
    return Batch(
        step=step,
        clips=clips,
        inputs=inputs,
        frame_indices=np.stack(frame_indices).astype(np.int32),
        sequence_lengths=source.lengths[rows].astype(np.int32),
        labels=np.stack([source.labels[clip][frames] for clip, frames in zip(rows, frame_indices)]).astype(np.int32),
        first_row=share.of(len(rows)).start,
    )


def _views(clips: Sequence[int]) -> List[int]:
    """For each row of a batch, which view of its clip it is: how often the clip came before."""
    return [clips[:row].count(clip) for row, clip in enumerate(clips)]


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
