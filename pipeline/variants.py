"""Which training a task belongs to: its seed, and whether it is the model or what the model is compared with."""

from __future__ import annotations

import dataclasses
from typing import Any, Dict

import luigi

from pipeline import settings as settings_module
from pipeline.base import Made, StageTask
from pipeline.catalog import catalog, set_name
from tcc.config import Settings

MODEL = "model"
SUPERVISED = "supervised"  # the same network, trained with labels
UNTRAINED = "untrained"  # the same network before its first step
LEFT_OUT = "left_out"  # in a manifest: why there is no such training


class VariantTask(StageTask):
    """A stage that is done for each training: once for each seed, and for the networks that the model is compared with."""

    seed = luigi.OptionalIntParameter(default=None, description="one of [training] seeds; left out: the first")
    variant = luigi.ChoiceParameter(
        choices=(MODEL, SUPERVISED), default=MODEL, description="supervised: the same network, trained with labels"
    )

    @classmethod
    def own_defaults(cls, values: Dict[str, Any]) -> Dict[str, Any]:
        return {"seed": settings_module.current().training.seed} if values["seed"] is None else {}

    @classmethod
    def readable(cls, settings: Settings, **params: Any) -> str:
        return variant_name(settings, **params)


def left_out(reason: str) -> Made:
    """An empty target, with the reason in its manifest."""
    return Made(counts={"in": 0, "out": 0, "skipped": 0}, details={LEFT_OUT: reason})


def variant_settings(settings: Settings, *, seed: int, variant: str) -> Settings:
    """The settings of one training alone."""
    training = dataclasses.replace(settings.training, seeds=(seed,))
    if variant != SUPERVISED:
        return dataclasses.replace(settings, training=training)
    return dataclasses.replace(
        settings,
        training=dataclasses.replace(training, method="supervised"),
        selection=dataclasses.replace(settings.selection, rule="phase_classification"),
    )


def variant_name(settings: Settings, *, seed: int, variant: str) -> str:
    """What a person would call one training."""
    untrained = f"-{UNTRAINED}" if variant == UNTRAINED else ""
    method = variant_settings(settings, seed=seed, variant=variant).training.method
    return f"{set_name(settings)}-{method}{untrained}-seed{seed}"


def run_name(settings: Settings) -> str:
    """What a person would call all trainings of these settings together."""
    seeds = "_".join(str(seed) for seed in settings.training.seeds)
    return f"{set_name(settings)}-{settings.training.method}-seed{seeds}"


def has_ceiling(settings: Settings) -> bool:
    """Whether a network is also trained with labels; False where it is known that there are none, or the model is that."""
    if not settings.evaluation.ceiling or settings.training.method == "supervised":
        return False
    videos = settings.videos
    return videos.source == "rendered" or videos.ready_made or catalog(settings).labels is not None
