"""The flags of the Ascend port's train.py, spelled and read as there; see docs/ascend_port.md."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import List, Optional

from tcc.config import DEVICES
from tcc.errors import SettingsError

# The port's four values first, then the plugin's others.
PRECISION_MODES = (
    *("allow_fp32_to_fp16", "force_fp16", "must_keep_origin_dtype", "allow_mix_precision"),
    *(
        "force_fp32",
        "cube_fp16in_fp32out",
        "allow_mix_precision_fp16",
        "allow_mix_precision_bf16",
        "allow_fp32_to_bf16",
    ),
)
_TRUE, _FALSE = ("true", "t", "1", "yes", "y"), ("false", "f", "0", "no", "n")
_WITHOUT_EFFECT = {
    "defun": (True, "the training step is always compiled"),
    "debug": (False, "the losses of every step are in LOGDIR/history.jsonl"),
    "visualize": (False, "the loss curves are in LOGDIR/summaries, for TensorBoard"),
    "alsologtostderr": (False, "the log goes to standard error always"),
}


def parse(arguments: Optional[List[str]] = None) -> argparse.Namespace:
    """The flags; argparse ends the process where one is unknown or misspelt.

    Raises: SettingsError for what the port had and nobody has any more.
    """
    options = _parser().parse_args(arguments)
    if options.autotune:
        raise SettingsError(
            "autotune: the Ascend plugin has no automatic tuning under that name any more (auto_tune_mode); leave it out, "
            "or set the variable AOE_MODE of CANN"
        )
    return options


def ineffective(options: argparse.Namespace) -> List[str]:
    """For each flag that was given and changes nothing here, why."""
    return [
        f"{name} has no effect: {why}"
        for name, (default, why) in _WITHOUT_EFFECT.items()
        if getattr(options, name) is not default and name != "alsologtostderr"
    ]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tcc.train",
        allow_abbrev=False,
        description="Train on Pouring as the Ascend port of TCC does: its flags, its data layout, its log.",
    )
    _add_training_flags(parser)
    _add_npu_flags(parser)
    for name, (default, why) in _WITHOUT_EFFECT.items():
        _add_switch(parser, name, default=default, text=f"no effect: {why}")
    _add_switch(parser, "autotune", text="refused: the plugin has none any more")
    return parser


def _add_training_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        *("--data_path", "--data_dir"),
        type=Path,
        default=Path("."),
        metavar="DIR",
        help="holds tmp/pouring_tfrecords/ and tmp/resnet50v2_weights_tf_dim_ordering_tf_kernels_notop.h5",
    )
    add("--logdir", type=Path, default=Path("tmp/alignment_logs"), metavar="DIR", help="checkpoints and history")
    add("--batch_size", type=int, default=2, metavar="N", help="clips a step")
    add("--num_frames", type=int, default=20, metavar="N", help="frames a clip and step")
    add("--max_iters", type=int, default=150000, metavar="N", help="steps")
    add("--seed", type=int, default=0, metavar="N", help="weights, batches and dropout follow from it")
    add(
        "--num_parallel_calls", type=int, default=None, metavar="N", help="threads that decode; left out: by processors"
    )
    add("--device", default="auto", choices=DEVICES, help="auto: an NPU where there is one, else a GPU, else the CPU")
    _add_switch(parser, "force_train", text="go on with the training that LOGDIR holds")


def _add_npu_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--precision_mode", default="allow_mix_precision", choices=PRECISION_MODES, help="of the NPU's compiler")
    _add_switch(parser, "over_dump", text="dump operators that overflow")
    add("--over_dump_path", default="", metavar="DIR", help="left out: LOGDIR/overflow_dump")
    _add_switch(parser, "data_dump_flag", text="dump what operators take and give")
    add("--data_dump_step", default="10", metavar="STEPS", help="which steps: 10, 0|5|10, 0|3-5|10")
    add("--data_dump_path", default="", metavar="DIR", help="left out: LOGDIR/data_dump")
    _add_switch(parser, "profiling", text="record a profile")
    add("--profiling_dump_path", default="", metavar="DIR", help="left out: LOGDIR/profiling")
    _add_switch(parser, "use_mixlist", default=None, text="whether mixlist_file is used; left out: where one is given")
    add("--mixlist_file", default="", metavar="FILE", help="JSON: which operators are computed in half precision")
    _add_switch(parser, "fusion_off_flag", default=None, text="whether fusion_off_file is used; left out: where given")
    add("--fusion_off_file", default="", metavar="FILE", help="JSON: which fusions are switched off")


def _add_switch(parser: argparse.ArgumentParser, name: str, *, text: str, default: Optional[bool] = False) -> None:
    """A flag as absl has them: --name, --name=True, --name=False, --noname."""
    parser.add_argument(
        f"--{name}", nargs="?", const=True, type=_boolean, default=default, metavar="True|False", help=text
    )
    parser.add_argument(f"--no{name}", dest=name, action="store_false", default=default, help=argparse.SUPPRESS)


def _boolean(text: str) -> bool:
    if text.lower() in _TRUE + _FALSE:
        return text.lower() in _TRUE
    raise argparse.ArgumentTypeError(f"must be True or False, got {text!r}")
