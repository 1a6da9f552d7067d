"""Videos -> embeddings by a trained model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Iterator, List, Optional, Sequence

import numpy as np

from tcc.at_work.model_folder import TrainedModel
from tcc.at_work.videos import Video, decode_videos
from tcc.config import ExecutionConfig
from tcc.dataset import Clips, FeatureClips, FrameClips
from tcc.embedding import embed_clips
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
    """Embeddings of decoded clips, float32 [T, D] each, as EmbedTask computes them: the same to the bit on one machine.

    Raises: DeviceError if no device is open; ShardError if a frame is no JPEG.
    """
    if not records:
        return []
    settings = model.settings
    return embed_clips(
        _source(model, records),
        model.networks.encoder,
        sampling=settings.sampling,
        batch_frames=settings.embedding.batch_frames,
        precision=settings.embedding.precision,
    )


def _source(model: TrainedModel, records: Sequence[ClipRecord]) -> Clips:
    settings = model.settings
    if settings.backbone.trained != "frozen":
        return FrameClips(records)
    clips = [_features(model, record) for record in records]
    return FeatureClips(map(center, clips) if settings.features.center else clips)


def _features(model: TrainedModel, record: ClipRecord) -> ClipSequence:
    options = model.settings.features
    parts = compute_features(
        [record],
        model.networks.backbone,
        grid=options.grid,
        batch_frames=options.batch_frames,
        precision=options.precision,
    )
    return ClipSequence(record.name, record.timestamps, record.frame_labels, np.concatenate(list(parts)))


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
