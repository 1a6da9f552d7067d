"""EvalTask: the metrics on the test split, each beside its baselines."""

from __future__ import annotations

import dataclasses
from typing import Any, Dict

from pipeline.base import Job, Made, StageTask
from pipeline.embedding import EmbedTask, embeddings_file
from pipeline.features import features_tasks, is_frozen, load_features
from pipeline.provenance import write_json
from pipeline.training import run_name
from tcc.config import Settings


class EvalTask(StageTask):
    """Evaluate the embeddings of the test split; one JSON file per metric."""

    stage = "evaluations"
    version = 3

    @classmethod
    def upstream(cls, settings: Settings, **params: Any) -> Dict[str, Any]:
        features = {}
        if is_frozen(settings):
            features = {f"{split}_features": features_tasks(settings, split) for split in ("train", "test")}
        return {"embeddings": EmbedTask(), **features}

    @classmethod
    def own_settings(cls, settings: Settings, **params: Any) -> Dict[str, Any]:
        return dataclasses.asdict(settings.evaluation)

    @classmethod
    def readable(cls, settings: Settings, **params: Any) -> str:
        return run_name(settings)

    def make(self, job: Job) -> Made:
        from tcc.evaluation import evaluate, standard_baselines
        from tcc.sequences import load_sequences

        upstream, config = self.requires(), job.settings.evaluation
        folder = upstream["embeddings"].directory
        train, phases = load_sequences(folder / embeddings_file("train"))
        test, _ = load_sequences(folder / embeddings_file("test"))
        features = None
        if is_frozen(job.settings):
            features = (load_features(upstream["train_features"])[0], load_features(upstream["test_features"])[0])
        results = evaluate(
            train,
            test,
            phases=phases,
            split="test",
            config=config,
            baselines=standard_baselines(train, test, features=features, components=config.pca_components),
            progress=job.progress,
        )
        for metric, result in results.items():
            write_json(job.directory / f"{metric}.json", result)
        undefined = sum(1 for result in results.values() if result["value"] is None)
        counts = {"in": len(test), "out": len(test), "skipped": 0, "metrics": len(results), "undefined": undefined}
        return Made(counts=counts)
