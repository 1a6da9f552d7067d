"""Small videos of an action in three phases, and a model with random weights, for the tests of a trained model at work.

Each phase shows a picture of its own, which also random networks tell apart; clips differ in how long the phases take.
"""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path
from typing import List, Tuple

from tcc.at_work.embed import embed_videos
from tcc.at_work.model_folder import TrainedModel, load_model, save_model
from tcc.at_work.networks import build_networks
from tcc.at_work.thresholds import Thresholds
from tcc.at_work.videos import find_videos
from tcc.config import (
    BackboneConfig,
    ClipsConfig,
    EmbedderConfig,
    ExecutionConfig,
    FeaturesConfig,
    FramesConfig,
    SamplingConfig,
    Settings,
)
from tcc.sequences import ClipSequence
from tcc.video.labels import read_labels
from tests.tcc.video_samples import times_at, write_video

PHASES = ("reach", "pour", "leave")
PICTURES = (0b00001111, 0b11110000, 0b01010101)
FPS = 15
# Frames of each phase.
DURATIONS = {
    "train_0.mp4": (9, 12, 15),
    "train_1.mp4": (15, 9, 12),
    "train_2.mp4": (12, 15, 9),
    "train_3.mp4": (12, 12, 12),
    "test_0.mp4": (15, 15, 6),
    "test_1.mp4": (6, 18, 18),
}
EXECUTION = ExecutionConfig(decode_workers=1)


def sample_settings(*, trained: str = "frozen", center: bool = True) -> Settings:
    """Networks that run in milliseconds."""
    return Settings(
        clips=ClipsConfig(min_frames=3),
        frames=FramesConfig(fps=5, image_pixels=48),
        backbone=BackboneConfig(name="convnet", trained=trained),
        features=FeaturesConfig(grid=2, center=center, batch_frames=8),
        sampling=SamplingConfig(num_frames=4, context_stride=2),
        embedder=EmbedderConfig(channels=(8, 8), dense=(8,), embedding_size=8),
    )


def sample_videos(folder: Path) -> Path:
    """Four clips train_*.mp4 and two test_*.mp4, 15 frames a second, with labels.csv beside their folder, which is returned."""
    rows = []
    for clip, frames in DURATIONS.items():
        numbers = [number for number, count in zip(PICTURES, frames) for _ in range(count)]
        write_video(folder / "videos" / clip, times_at(FPS, len(numbers)), numbers=numbers, rate=FPS)
        ends = [sum(frames[: phase + 1]) / FPS for phase in range(len(frames))]
        rows += [[clip, *segment] for segment in zip([0.0, *ends], ends, PHASES)]
    with open(folder / "labels.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["clip", "start_seconds", "end_seconds", "phase"], *rows])
    return folder / "videos"


def embed_folder(model: TrainedModel, videos: Path, prefix: str) -> List[ClipSequence]:
    """The videos whose names begin with `prefix`, embedded, with their labels."""
    labels = read_labels(videos.parent / "labels.csv")
    chosen = [video for video in find_videos([videos]) if video.name.startswith(prefix)]
    clips = []
    for one in embed_videos(model, chosen, scratch=videos.parent, execution=EXECUTION):
        assert one.record is not None and one.clip is not None, one.problem
        found = labels.label_frames(one.clip.name, one.record.timestamps, one.record.source_frames)
        clips.append(dataclasses.replace(one.clip, labels=found))
    return clips


def bare_model(settings: Settings) -> TrainedModel:
    """Random weights, and no clips to compare with."""
    return TrainedModel("bare", 0, "", settings, (), Thresholds(None, None, 0), (), build_networks(settings))


def sample_model(folder: Path, videos: Path, settings: Settings) -> Tuple[Path, TrainedModel]:
    """A model whose references are the training videos; its folder, and the model read back."""
    bare = bare_model(settings)
    references = embed_folder(bare, videos, "train")
    options = {"settings": settings, "phases": PHASES, "name": "sample", "step": 7, "fingerprint": "0123"}
    save_model(folder, bare.networks, references, **options)
    return folder, load_model(folder)
