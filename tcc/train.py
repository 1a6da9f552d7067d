"""`python -m tcc.train`, also `python tcc/train.py`: training by the flags of the Ascend port; see docs/ascend_port.md.

A thin command over `tcc.training.train`. For anything beyond that one recipe there is the pipeline.
"""

from __future__ import annotations

import os
import sys

if __name__ == "__main__" and not __package__:
    # As a file: Python then looks for modules in tcc/ itself.
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

import argparse
import dataclasses
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Tuple

from tcc import weights
from tcc.ascend_port.log_lines import LOG, iteration_line, log_to_stderr
from tcc.ascend_port.options import ineffective, parse
from tcc.ascend_port.run_folder import claim
from tcc.ascend_port.settings import NpuOptions, npu_options, training_settings
from tcc.config import DeviceConfig, Settings
from tcc.device import Device, open_device, tensorflow_environment
from tcc.errors import TccError, WeightsError, explain
from tcc.progress import Interrupted
from tcc.video.ready_made import find_shards
from tcc.video.shards import read_records

if TYPE_CHECKING:
    from tcc.training import StepDone

SHARDS, TMP = "pouring_tfrecords", "tmp"
EXIT_REFUSED, EXIT_INTERRUPTED = 2, 143
_SECTIONS = ("backbone", "sampling", "augmentation", "embedder", "training", "optimizer", "schedule")
# The reference's records tell no times; nothing here depends on them.
_FPS = 30.0


def main(arguments: Optional[List[str]] = None) -> int:
    """Parse the flags and train; the exit code: 0, 2 with one line that says what was wrong, 143 when stopped."""
    log_to_stderr()
    try:
        options = parse(arguments)
        _train(options)
    except Interrupted as stop:
        LOG.warning("%s (with --force_train)", stop)
        return EXIT_INTERRUPTED
    except (TccError, OSError) as error:
        print(f"error: {explain(error)}", file=sys.stderr)
        return EXIT_REFUSED
    LOG.info("finally OKKKKKKKK")
    return 0


def _train(options: argparse.Namespace) -> None:
    settings, npu = training_settings(options), npu_options(options)
    shards, pretrained = _inputs(options.data_path)
    claim(options.logdir, _described(settings, shards, pretrained), go_on=options.force_train)
    # Before TensorFlow is imported, as in the pipeline's stages: the same inputs give the same bits.
    for name, value in tensorflow_environment().items():
        os.environ.setdefault(name, value)
    device = _open_device(options.device, npu)
    for line in ineffective(options):
        LOG.info(line)
    _run(settings, device, shards, pretrained, options)


def _inputs(data_path: Path) -> Tuple[List[Path], Path]:
    """The training shards and the file of weights, in the port's layout."""
    tmp = data_path / TMP
    folder = tmp / SHARDS
    shards = [folder / shard.name for shard in find_shards(folder) if shard.split == "train"]
    pretrained = weights.find_published("resnet50v2", [tmp])
    if pretrained is None:
        known = weights.published("resnet50v2")
        assert known is not None
        raise WeightsError(f"{tmp}: holds no {' or '.join(known.file_names)}; fetch it from {known.url}")
    return shards, pretrained


def _described(settings: Settings, shards: List[Path], pretrained: Path) -> Dict[str, Dict[str, Any]]:
    """All that the weights depend on, for the folder of the training."""
    return {
        **{name: dataclasses.asdict(getattr(settings, name)) for name in _SECTIONS},
        "weights": {"sha256": weights.sha256_of(pretrained)},
        "shards": {path.name: weights.sha256_of(path) for path in shards},
    }


def _open_device(kind: str, npu: NpuOptions) -> Device:
    """Open the device with the flags for an NPU; on another than an NPU say which flags have no effect."""
    config = DeviceConfig(kind) if kind in ("cpu", "gpu") else dataclasses.replace(npu.device, kind=kind)
    device = open_device(config, folder=npu.folders)
    if device.kind == "npu":
        LOG.info("npu_device loaded")
    else:
        LOG.info("device: %s; without effect on it: %s", device.description, ", ".join(npu.given()))
    return device


def _run(settings: Settings, device: Device, shards: List[Path], pretrained: Path, options: argparse.Namespace) -> None:
    from tcc.dataset import FrameClips
    from tcc.models import Encoder, build_backbone, build_embedder
    from tcc.training import train

    records = [record for path in shards for record in read_records(path, fps_if_unknown=_FPS)]
    LOG.info("%d clips, %d frames to train on", len(records), sum(map(len, records)))
    source = FrameClips(
        sorted(records, key=lambda record: record.name),
        threads=options.num_parallel_calls,
        memory_bytes=settings.training.frame_memory_mb * 1_000_000,
    )
    source.forget_labels()
    backbone = build_backbone(settings.backbone)
    weights.load_into(backbone, pretrained)
    embedder = build_embedder(
        settings.embedder,
        sampling=settings.sampling,
        feature_channels=backbone.feature_channels,
        seed=settings.training.seed,
    )
    stop = _stop_on_signal()
    result = train(
        source,
        Encoder(backbone, embedder, trained=settings.backbone.trained),
        options.logdir,
        sampling=settings.sampling,
        training=settings.training,
        optimizer=settings.optimizer,
        schedule=settings.schedule,
        augmentation=settings.augmentation,
        should_stop=stop.is_set,
        on_step=lambda done: _log_step(done, settings.training.num_steps),
    )
    for warning in result.warnings:
        LOG.warning(warning)
    LOG.info("Checkpoint saved at iter %d", result.steps)


def _log_step(done: StepDone, num_steps: int) -> None:
    LOG.info(iteration_line(done.step, num_steps, seconds=done.seconds, loss=done.losses["loss"]))
    if done.saved and done.step < num_steps:
        LOG.info("Checkpoint saved at iter %d.", done.step)


def _stop_on_signal() -> threading.Event:
    """Set by SIGTERM and Ctrl-C: the training then ends with a checkpoint."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


if __name__ == "__main__":
    sys.exit(main())
