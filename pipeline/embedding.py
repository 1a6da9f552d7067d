"""EmbedTask: embeddings of whole videos."""

from __future__ import annotations

from typing import Any, Dict

import luigi

from pipeline.base import Job, Made
from pipeline.device import npu_settings, open_device_of
from pipeline.features import input_tasks, open_source
from pipeline.selection import SelectTask, chosen_step
from pipeline.training import TrainTask, build_encoder
from pipeline.variants import LEFT_OUT, MODEL, SUPERVISED, UNTRAINED, VariantTask, left_out, variant_settings
from pipeline.weights import WeightsTask
from tcc.config import SPLITS, Settings
from tcc.parquet import check_pyarrow


class EmbedTask(VariantTask):
    """Embed every frame of every clip with the selected checkpoint."""

    stage = "embeddings"
    uses_device = True
    version = 3

    variant = luigi.ChoiceParameter(
        choices=(MODEL, SUPERVISED, UNTRAINED),
        default=MODEL,
        description="supervised: of the network trained with labels; untrained: of the network before its first step",
    )

    @classmethod
    def upstream(cls, settings: Settings, **params: Any) -> Dict[str, Any]:
        inputs = {split: input_tasks(settings, split) for split in SPLITS}
        if params["variant"] == UNTRAINED:
            return {"weights": WeightsTask(), **inputs}
        return {"training": TrainTask(**params), "selection": SelectTask(**params), "weights": WeightsTask(), **inputs}

    @classmethod
    def own_settings(cls, settings: Settings, **params: Any) -> Dict[str, Any]:
        """What training does not say; an untrained network has no other task to be told apart by."""
        if settings.embedding.parquet:
            check_pyarrow()
        own = {
            "precision": settings.embedding.precision,
            "parquet": settings.embedding.parquet,
            **npu_settings(settings),
        }
        if params["variant"] != UNTRAINED:
            return own
        training = TrainTask.own_settings(settings, seed=params["seed"], variant=MODEL)
        return {**own, **{name: training[name] for name in ("sampling", "embedder", "center")}}

    @classmethod
    def clips_needed(cls, settings: Settings) -> Dict[str, int]:
        return dict.fromkeys(SPLITS, 1)

    def make(self, job: Job) -> Made:
        from tcc.embedding import embed_clips
        from tcc.parquet import write_parquet
        from tcc.sequences import save_sequences

        upstream, settings = self.requires(), variant_settings(job.settings, **self.params)
        why_not = upstream["training"].manifest()["result"].get(LEFT_OUT) if "training" in upstream else None
        if why_not:
            return left_out(why_not)
        device, config = open_device_of(job), settings.embedding
        sources = {split: open_source(settings, upstream[split]) for split in SPLITS}
        encoder, step = self._encoder(settings, sources["train"][0])
        counts = {"in": 0, "out": 0, "skipped": 0, "frames": 0}
        for done, (split, (source, phases)) in enumerate(sources.items()):
            job.progress(done / len(SPLITS), split)
            clips = embed_clips(
                source,
                encoder,
                sampling=settings.sampling,
                batch_frames=config.batch_frames,
                precision=config.precision,
            )
            path = job.directory / embeddings_file(split)
            save_sequences(path, clips, phases=phases, fingerprint=self.fingerprint)
            if config.parquet:
                write_parquet(path.with_suffix(".parquet"), clips, phases=phases, fingerprint=self.fingerprint)
            counts["in"] += len(source)
            counts["out"] += len(clips)
            counts["frames"] += sum(len(clip) for clip in clips)
        return Made(counts=counts, details={"step": step}, device=device.name)

    def _encoder(self, settings: Settings, train_source: Any) -> Any:
        """The network, and the step that it was trained to."""
        from tcc.training.checkpoints import restore_encoder
        from tcc.training.standardization import standardize

        upstream = self.requires()
        encoder = build_encoder(settings, upstream["weights"], train_source)
        if self.variant == UNTRAINED:
            standardize(encoder, train_source)
            return encoder, 0
        step = chosen_step(upstream["selection"].directory)
        restore_encoder(upstream["training"].directory, step, encoder)
        return encoder, step


def embeddings_file(split: str) -> str:
    """Name of a split's file inside the target."""
    return f"embeddings-{split}.npz"
