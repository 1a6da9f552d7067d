"""What the Ascend port trains with, as settings of this library, and its NPU flags under our names."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Dict, List

from tcc.config import (
    BackboneConfig,
    DeviceConfig,
    EmbedderConfig,
    FeaturesConfig,
    OptimizerConfig,
    SamplingConfig,
    ScheduleConfig,
    Settings,
    TrainingConfig,
)
from tcc.errors import SettingsError
from tcc.npu_options import changed_options, json_file

# Pouring as published; examples/recipes/pouring_as_published.cfg says the same to the pipeline.
PUBLISHED = Settings(
    backbone=BackboneConfig(name="resnet50v2", trained="batch_norm"),
    features=FeaturesConfig(center=False),
    sampling=SamplingConfig(num_frames=20, num_context_frames=2, context_stride=15, strategy="offset_uniform"),
    embedder=EmbedderConfig(
        convolution="conv3d", channels=(512, 512), dense=(512, 512), embedding_size=128, dropout=0.1, standardize=False
    ),
    training=TrainingConfig(
        method="tcc_regression_variance",
        num_steps=150000,
        batch_size=2,
        learning_rate=1e-4,
        clip_norm=0.0,
        tcn_weight=0.0,
        checkpoint_every=1000,
    ),
    optimizer=OptimizerConfig(kind="adam"),
    schedule=ScheduleConfig(kind="fixed"),
)


def training_settings(options: argparse.Namespace) -> Settings:
    """The published settings with what the flags change.

    Raises: SettingsError for a value that is not legal.
    """
    return replace(
        PUBLISHED,
        sampling=replace(PUBLISHED.sampling, num_frames=options.num_frames),
        training=replace(
            PUBLISHED.training, num_steps=options.max_iters, batch_size=options.batch_size, seeds=(options.seed,)
        ),
    )


@dataclass(frozen=True)
class NpuOptions:
    """The port's NPU flags.

    Attributes:
      device: as settings of [device].
      folders: where "dumps" and "profiles" go.
    """

    device: DeviceConfig
    folders: Dict[str, Path]

    def given(self) -> List[str]:
        """What was asked for, as "name = value"."""
        return [f"{name} = {value}" for name, value in changed_options(self.device).items()]


def npu_options(options: argparse.Namespace) -> NpuOptions:
    """The NPU flags as settings of [device].

    Raises: SettingsError for what the engine would refuse, before anything is imported.
    """
    dump = "over_dump" if options.over_dump else "data_dump"
    return NpuOptions(
        device=DeviceConfig(
            kind="npu",
            precision_mode=options.precision_mode,
            mixlist_file=_file(options, "use_mixlist", "mixlist_file", "mixlist_file"),
            fusion_switch_file=_file(options, "fusion_off_flag", "fusion_off_file", "fusion_switch_file"),
            data_dump=options.data_dump_flag,
            data_dump_step=options.data_dump_step if options.data_dump_flag else "",
            overflow_dump=options.over_dump,
            profiling=options.profiling,
        ),
        folders={
            "dumps": Path(
                getattr(options, f"{dump}_path") or options.logdir / dump.replace("over_dump", "overflow_dump")
            ),
            "profiles": Path(options.profiling_dump_path or options.logdir / "profiling"),
        },
    )


def _file(options: argparse.Namespace, switch: str, name: str, setting: str) -> str:
    """The file that a flag names for a setting, empty where it is not used."""
    used, path = getattr(options, switch), getattr(options, name)
    if used and not path:
        raise SettingsError(f"{switch}: needs {name}; give the file")
    return "" if used is False or not path else json_file(setting, path)
