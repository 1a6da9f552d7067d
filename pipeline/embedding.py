"""EmbedTask: embeddings of whole videos."""

from __future__ import annotations

from typing import Any, Dict

from pipeline.base import Job, Made, StageTask
from pipeline.features import input_tasks, open_source
from pipeline.selection import SelectTask, chosen_step
from pipeline.training import TrainTask, build_encoder, run_name
from pipeline.weights import WeightsTask
from tcc.config import SPLITS, Settings


class EmbedTask(StageTask):
    """Embed every frame of every clip with the selected checkpoint."""

    stage = "embeddings"
    version = 1

    @classmethod
    def upstream(cls, settings: Settings, **params: Any) -> Dict[str, Any]:
        return {
            "training": TrainTask(),
            "selection": SelectTask(),
            "weights": WeightsTask(),
            **{split: input_tasks(settings, split) for split in SPLITS},
        }

    @classmethod
    def readable(cls, settings: Settings, **params: Any) -> str:
        return run_name(settings)

    @classmethod
    def clips_needed(cls, settings: Settings) -> Dict[str, int]:
        return dict.fromkeys(SPLITS, 1)

    def make(self, job: Job) -> Made:
        from tcc.device import open_device
        from tcc.embedding import embed_clips
        from tcc.sequences import save_sequences
        from tcc.training.checkpoints import restore_encoder

        device = open_device(job.settings.device.kind)
        upstream = self.requires()
        step = chosen_step(upstream["selection"].directory)
        encoder = None
        counts = {"in": 0, "out": 0, "skipped": 0, "frames": 0}
        for done, split in enumerate(SPLITS):
            job.progress(done / len(SPLITS), split)
            source, phases = open_source(job.settings, upstream[split])
            if encoder is None:
                encoder = build_encoder(job.settings, upstream["weights"], source)
                restore_encoder(upstream["training"].directory, step, encoder)
            batch = job.settings.embedding.batch_frames
            clips = embed_clips(source, encoder, sampling=job.settings.sampling, batch_frames=batch)
            save_sequences(job.directory / embeddings_file(split), clips, phases=phases, identity=self.fingerprint)
            counts["in"] += len(source)
            counts["out"] += len(clips)
            counts["frames"] += sum(len(clip) for clip in clips)
        return Made(counts=counts, details={"step": step}, device=device.name)


def embeddings_file(split: str) -> str:
    """Name of a split's file inside the target."""
    return f"embeddings-{split}.npz"
