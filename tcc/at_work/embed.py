"""Videos -> embeddings by a trained model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Iterator, List, Optional, Sequence, Tuple

import numpy as np

from tcc.at_work.model_folder import TrainedModel
from tcc.at_work.videos import Video, decode_videos
from tcc.config import ExecutionConfig
from tcc.dataset import Clips, FeatureClips, FrameClips
from tcc.embedding import embed_clips
from tcc.errors import SettingsError
from tcc.features import compute_features
from tcc.progress import Progress, silent
from tcc.sequences import ClipSequence, center
from tcc.video.probe import ClipInfo
from tcc.video.shards import ClipRecord


@dataclass(frozen=True)
class EmbeddedVideo:
    """What became of a video: its frames and their embeddings, or why there are none.

    Attributes:
      video, info: the file, and what was found in it.
      record: the frames that were embedded, with their times and numbers in the video; None if it was skipped.
      clip: embeddings float32 [T, D] of those frames; None if it was skipped.
      problem: why it was skipped; else empty.
    """

    video: Video
    info: ClipInfo
    record: Optional[ClipRecord] = None
    clip: Optional[ClipSequence] = None
    problem: str = ""


def embed_records(model: TrainedModel, records: Sequence[ClipRecord]) -> List[ClipSequence]:
    """Embeddings of decoded clips, float32 [T, D] each, as EmbedTask computes them, but for rounding.

    Raises: DeviceError if no device is open; ShardError if a frame is no JPEG.
    """
    if not records:
        return []
    return _embed(model, _source(model, records))


def embed_parts(model: TrainedModel, record: ClipRecord, parts: Sequence[Tuple[int, int]]) -> List[ClipSequence]:
    """Parts of one clip, frames start .. end - 1, each embedded as a clip of its own; frozen backbones only.

    With [features] center a frame's embedding depends on the mean over its clip, so that an action inside a longer clip is
    another than the action alone. The backbone sees every frame once, however many parts it belongs to.

    Raises: SettingsError if the backbone is trained.
    """
    settings = model.settings
    if settings.backbone.trained != "frozen":
        raise SettingsError("embed_parts: takes the features of a frozen backbone; embed the whole clip")
    (whole,) = _features(model, [record])
    cut = [whole.take(slice(start, end)) for start, end in parts]
    return _embed(model, FeatureClips(map(center, cut) if settings.features.center else cut))


def _embed(model: TrainedModel, source: Clips) -> List[ClipSequence]:
    options = model.settings.embedding
    return embed_clips(
        source,
        model.networks.encoder,
        sampling=model.settings.sampling,
        batch_frames=options.batch_frames,
        precision=options.precision,
    )


def _features(model: TrainedModel, records: Sequence[ClipRecord]) -> List[ClipSequence]:
    """Of all clips in one go: the backbone is compiled once."""
    options = model.settings.features
    parts = compute_features(
        records,
        model.networks.backbone,
        grid=options.grid,
        batch_frames=options.batch_frames,
        precision=options.precision,
    )
    ends = np.cumsum([len(record) for record in records])
    values = np.split(np.concatenate(list(parts)), ends[:-1])
    return [ClipSequence(one.name, one.timestamps, one.frame_labels, value) for one, value in zip(records, values)]


def _source(model: TrainedModel, records: Sequence[ClipRecord]) -> Clips:
    if model.settings.backbone.trained != "frozen":
        return FrameClips(records)
    clips = _features(model, records)
    return FeatureClips(map(center, clips) if model.settings.features.center else clips)


def embed_videos(
    model: TrainedModel,
    videos: Sequence[Video],
    *,
    scratch: Path,
    execution: ExecutionConfig,
    progress: Progress = silent,
) -> Iterator[EmbeddedVideo]:
    """Decode and embed videos, a few at a time; each comes back once, in order. The arguments are `decode_videos`'."""
    decoding = decode_videos(videos, model.settings, scratch=scratch, execution=execution, progress=progress)
    for group in decoding:
        clips = iter(embed_records(model, [one.record for one in group if one.record is not None]))
        for one in group:
            clip = None if one.record is None else next(clips)
            yield EmbeddedVideo(one.video, one.info, one.record, clip, one.problem)
