"""EvalTask: the metrics on the test split, each beside its baselines."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, Dict, Tuple

from pipeline.base import Job, Made, StageTask
from pipeline.embedding import EmbedTask, embeddings_file
from pipeline.features import features_tasks, is_frozen, load_features
from pipeline.provenance import write_json
from pipeline.results import Results
from pipeline.variants import LEFT_OUT, MODEL, SUPERVISED, UNTRAINED, has_ceiling, run_name
from pipeline.videos import VideosTask
from tcc.config import Settings
from tcc.progress import part


class EvalTask(StageTask):
    """Evaluate the embeddings of the test split, those of every seed; one JSON file per metric."""

    stage = "evaluations"
    version = 5

    @classmethod
    def upstream(cls, settings: Settings, **params: Any) -> Dict[str, Any]:
        seeds = settings.training.seeds
        tasks: Dict[str, Any] = {
            "embeddings": [EmbedTask(seed=seed, variant=MODEL) for seed in seeds],
            UNTRAINED: EmbedTask(seed=seeds[0], variant=UNTRAINED),
        }
        if settings.videos.source == "rendered":  # they tell the true progress
            tasks["videos"] = VideosTask()
        if has_ceiling(settings):
            tasks[SUPERVISED] = EmbedTask(seed=seeds[0], variant=SUPERVISED)
        if is_frozen(settings):
            tasks.update({f"{split}_features": features_tasks(settings, split) for split in ("train", "test")})
        return tasks

    @classmethod
    def own_settings(cls, settings: Settings, **params: Any) -> Dict[str, Any]:
        return {**dataclasses.asdict(settings.evaluation), "seeds": settings.training.seeds}

    @classmethod
    def readable(cls, settings: Settings, **params: Any) -> str:
        return run_name(settings)

    def make(self, job: Job) -> Made:
        from tcc.evaluation import combine_seeds, evaluate

        results, by_seed, num_clips = Results(self.root, fresh=job.rerun, progress=job.progress), {}, 0
        tasks = self.requires()["embeddings"]
        for done, task in enumerate(tasks):
            train, test, phases = _load(task.directory)
            by_seed[task.seed] = evaluate(
                train,
                test,
                phases=phases,
                split="test",
                config=job.settings.evaluation,
                truth=self._truth(test),
                baselines=self._baselines(job.settings, train, test) if done == 0 else {},
                recall=lambda depends_on, measure: results.recall({"task": self.version, **depends_on}, measure),
                progress=part(job.progress, done / len(tasks), (done + 1) / len(tasks)),
            )
            num_clips = len(test)
        combined = combine_seeds(by_seed)
        for metric, result in combined.items():
            write_json(job.directory / f"{metric}.json", result)
        undefined = sum(1 for result in combined.values() if result["value"] is None)
        counts = {"in": num_clips, "out": num_clips, "skipped": 0, "metrics": len(combined), "undefined": undefined}
        return Made(counts=counts)

    def _truth(self, test: Any) -> Any:
        """The true progress of the test clips where it is known."""
        from tcc.true_progress import read_progress

        videos = self.requires().get("videos")
        return read_progress(videos.directory / "progress.csv", test) if videos else None

    def _baselines(self, settings: Settings, train: Any, test: Any) -> Dict[str, Any]:
        """What the first seed is measured beside; those that are trained or initialized have its seed."""
        from tcc.evaluation import standard_baselines

        upstream, features = self.requires(), None
        if is_frozen(settings):
            features = (load_features(upstream["train_features"])[0], load_features(upstream["test_features"])[0])
        components = settings.evaluation.pca_components
        baselines = dict(standard_baselines(train, test, features=features, components=components))
        for name in (UNTRAINED, SUPERVISED):
            if name in upstream and LEFT_OUT not in upstream[name].manifest()["result"]:
                baselines[name] = _load(upstream[name].directory)[:2]
        return baselines


def _load(directory: Path) -> Tuple[Any, Any, Any]:
    """Embeddings of the training and the test clips, and the names of the phases."""
    from tcc.sequences import load_sequences

    train, phases = load_sequences(directory / embeddings_file("train"))
    test, _ = load_sequences(directory / embeddings_file("test"))
    return train, test, phases
