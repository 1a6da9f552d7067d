"""The command of the Ascend port of TCC: `python -m tcc.train`, or as a file, with its flags, data layout and log lines.

    python -m tcc.train --data_path=DIR --batch_size=2 --logdir=output/0/ckpt

trains as the reference does on Pouring (ResNet50V2 of which batch normalization is trained, 2 clips of 20 frames, regression
with variance, 150000 steps) from DIR/tmp/pouring_tfrecords and DIR/tmp/resnet50v2*notop.h5. It is the library's training under
the port's names; the pipeline's recipe for the same is examples/recipes/pouring_as_published.cfg. docs/ascend_port.md has all flags.
"""

from __future__ import annotations

import os
import sys

if not __package__:  # run as a file: Python looked for modules beside it
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

import argparse
import dataclasses
import logging
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

from tcc.config import (
    AugmentationConfig,
    BackboneConfig,
    DeviceConfig,
    EmbedderConfig,
    SamplingConfig,
    TrainingConfig,
)
from tcc.device import open_device, tensorflow_environment
from tcc.errors import SettingsError, TargetError, TccError, WeightsError, explain

_log = logging.getLogger("tcc.train")
_STEPS_AVERAGED = 100
_OF_AN_NPU = ("precision_mode", "over_dump", "data_dump_flag", "profiling", "mixlist_file", "fusion_off_file")
_WITHOUT_EFFECT = ("defun", "debug", "visualize", "num_parallel_calls", "alsologtostderr")

SAMPLING = SamplingConfig(
    strategy="offset_uniform", num_frames=20, num_context_frames=2, context_stride=15, random_offset=1
)
EMBEDDER = EmbedderConfig(
    convolution="conv3d", channels=(512, 512), dense=(512, 512), embedding_size=128, standardize=False, normalize=False
)


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Parse the flags, train, return the exit code."""
    flags = _parser().parse_args(arguments)
    _log_as_absl()
    try:
        _train(flags)
    except TccError as error:
        _log.error("error: %s", explain(error))
        return 1
    _log.info("finally OKKKKKKKK")
    return 0


def device_config(flags: argparse.Namespace) -> DeviceConfig:
    """The flags of the port as settings of [device].

    Raises: SettingsError for --autotune, and for what cannot be.
    """
    if flags.autotune:
        raise SettingsError("--autotune: the plugin has no such option any more; leave it out")
    mixed = flags.precision_mode == "allow_mix_precision"
    config = DeviceConfig(
        kind="npu",
        precision_mode=flags.precision_mode,
        mixlist_file=flags.mixlist_file if mixed and flags.use_mixlist else "",
        fusion_switch_file=flags.fusion_off_file,
        data_dump=flags.data_dump_flag,
        data_dump_step=flags.data_dump_step if flags.data_dump_flag else "",
        overflow_dump=flags.over_dump,
        profiling=flags.profiling,
    )
    return DeviceConfig(flags.device) if flags.device in ("cpu", "gpu") else dataclasses.replace(config, kind=flags.device)


def training_config(flags: argparse.Namespace) -> TrainingConfig:
    """The reference's training, with the flags' length and batch."""
    return TrainingConfig(
        method="tcc_regression_variance",
        num_steps=flags.max_iters,
        batch_size=flags.batch_size,
        learning_rate=1e-4,
        weight_decay=1e-5,
        clip_norm=0.0,
        tcn_weight=0.0,
        similarity="negative_squared_l2",
        normalize_embeddings=False,
        checkpoint_every=min(1000, flags.max_iters),
    )


def _train(flags: argparse.Namespace) -> None:
    config, training, logdir = device_config(flags), training_config(flags), Path(flags.logdir)
    _refuse_to_overwrite(logdir, flags.force_train)
    for name, value in tensorflow_environment().items():
        os.environ.setdefault(name, value)
    folders = {"dumps": flags.over_dump_path if flags.over_dump else flags.data_dump_path}
    device = open_device(config, folder={**folders, "profiles": flags.profiling_dump_path})
    _log.info("npu_device loaded" if device.kind == "npu" else f"device: {device.description}")
    given = [f"--{name}" for name in _WITHOUT_EFFECT if getattr(flags, name) is not None]
    if device.kind != "npu":
        given += [f"--{name}" for name in _OF_AN_NPU if getattr(flags, name)]
    if given:
        _log.info("without effect: %s", ", ".join(given))
    _run(flags, training, logdir)


def _run(flags: argparse.Namespace, training: TrainingConfig, logdir: Path) -> None:
    from tcc.training import train

    root = Path(flags.data_path) / "tmp"
    lines = _Lines(training)
    train(
        _clips(root / "pouring_tfrecords"),
        _encoder(root, flags.seed),
        logdir,
        sampling=SAMPLING,
        training=training,
        augmentation=AugmentationConfig(),
        on_step=lines,
    )
    _log.info("Checkpoint saved at iter %d", training.num_steps)


def _clips(folder: Path) -> Any:
    from tcc.dataset import FrameClips
    from tcc.video.ready_made import find_shards
    from tcc.video.shards import read_records

    shards = [shard for shard in find_shards(folder) if shard.split == "train"]
    return FrameClips(record for shard in shards for record in read_records(folder / shard.name))


def _encoder(root: Path, seed: int) -> Any:
    from tcc import weights
    from tcc.models.backbone import build_backbone
    from tcc.models.embedder import build_embedder
    from tcc.models.encoder import Encoder

    files = sorted(root.glob("resnet50v2*notop.h5"))
    if not files:
        raise WeightsError(
            f"{root}: no resnet50v2_weights_tf_dim_ordering_tf_kernels_notop.h5; put Keras' file there (docs/data.md)"
        )
    backbone = build_backbone(BackboneConfig(name="resnet50v2"))
    weights.load_into(backbone, files[0])
    embedder = build_embedder(EMBEDDER, sampling=SAMPLING, feature_channels=backbone.feature_channels, seed=seed)
    return Encoder(backbone, embedder, trained="batch_norm")


def _refuse_to_overwrite(logdir: Path, force: bool) -> None:
    if not force and logdir.is_dir() and any(logdir.iterdir()):
        raise TargetError(
            f"{logdir}: holds a training already; give --force_train to go on with it, or another --logdir"
        )


@dataclass
class _Lines:
    """Writes the port's line for each step.

    Seconds are the average of the last steps, up to 100, without the first, which compiles.
    """

    training: TrainingConfig
    ends: List[float] = field(default_factory=lambda: [time.monotonic()])

    def __call__(self, step: int, losses: Dict[str, float]) -> None:
        self.ends.append(time.monotonic())
        if len(self.ends) == 3:
            del self.ends[0]
        del self.ends[: -_STEPS_AVERAGED - 1]
        seconds = (self.ends[-1] - self.ends[0]) / (len(self.ends) - 1)
        _log.info("Iter[%d/%d], %.6fs/iter, Loss: %.6f", step, self.training.num_steps, seconds, losses["loss"])
        if step % self.training.checkpoint_every == 0:
            _log.info("Checkpoint saved at iter %d.", step)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tcc.train", description=__doc__.split("\n")[0], allow_abbrev=False)

    def switch(name: str, default: Any, text: str) -> None:
        parser.add_argument(f"--{name}", type=_boolean, nargs="?", const=True, default=default, metavar="BOOL", help=text)
        parser.add_argument(f"--no{name}", dest=name, action="store_false", help=argparse.SUPPRESS)

    add = parser.add_argument
    add("--data_path", "--data_dir", default=".", metavar="DIR", help="folder with tmp/pouring_tfrecords and the weights")
    add("--logdir", default="tmp/alignment_logs", metavar="DIR", help="checkpoints, losses, summaries")
    add("--batch_size", type=int, default=2, metavar="N", help="clips in a step")
    add("--max_iters", type=int, default=150000, metavar="N", help="steps")
    add("--seed", type=int, default=0, metavar="N", help="of weights and draws")
    add("--device", default="auto", choices=("auto", "npu", "gpu", "cpu"), help="where to train")
    switch("force_train", False, "go on although the log folder holds a training")
    add("--precision_mode", default="", metavar="MODE", help="NPU: what the engine lowers precision to; empty: its default")
    switch("over_dump", False, "NPU: dump operations that overflow")
    add("--over_dump_path", default="output/overflow_dump", metavar="DIR", help="where")
    switch("data_dump_flag", False, "NPU: dump inputs and outputs of operations")
    add("--data_dump_step", default="10", metavar="STEPS", help="NPU: which steps, such as 0|3-5|10")
    add("--data_dump_path", default="output/data_dump", metavar="DIR", help="where")
    switch("profiling", False, "NPU: write profiles")
    add("--profiling_dump_path", default="output/profiling", metavar="DIR", help="where")
    switch("use_mixlist", True, "NPU: with allow_mix_precision, read --mixlist_file where one is given")
    add("--mixlist_file", default="", metavar="FILE", help="NPU: JSON file of a mixed precision's lists")
    add("--fusion_off_file", default="", metavar="FILE", help="NPU: JSON file that switches fusion passes")
    switch("autotune", False, "refused where true: the plugin has it no more")
    for name in _WITHOUT_EFFECT:
        if name == "num_parallel_calls":
            add("--num_parallel_calls", type=int, default=None, metavar="N", help="without effect")
        else:
            switch(name, None, "without effect")
    return parser


def _boolean(text: str) -> bool:
    if text.lower() not in ("true", "false", "1", "0"):
        raise argparse.ArgumentTypeError(f"must be True or False, got {text!r}")
    return text.lower() in ("true", "1")


class _AbslFormatter(logging.Formatter):
    """I1124 22:23:11.956568 140495288101760 train.py:193] message."""

    def format(self, record: logging.LogRecord) -> str:
        at = time.strftime("%m%d %H:%M:%S", time.localtime(record.created))
        micros = int(record.created % 1 * 1_000_000)
        where = f"{record.thread} {record.filename}:{record.lineno}]"
        return f"{record.levelname[0]}{at}.{micros:06d} {where} {record.getMessage()}"


def _log_as_absl() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_AbslFormatter())
    _log.handlers[:] = [handler]
    _log.setLevel(logging.INFO)
    _log.propagate = False


if __name__ == "__main__":
    sys.exit(main())
