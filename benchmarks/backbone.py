"""How many frames per second a backbone turns into features, by batch size.

    python benchmarks/backbone.py [--backbone efficientnet_lite0] [--pixels 224] [--repeats 5]

Prints the median and the best of the repeats after one warm-up, inside a tf.function. `unfolded` runs the batch
normalizations after the convolutions instead of inside their kernels, to show what folding is worth.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from pathlib import Path
from typing import Callable
from unittest import mock

import numpy as np
import tensorflow as tf

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tcc import weights
from tcc.config import BACKBONES, BackboneConfig
from tcc.models import Backbone, build_backbone, convnet, efficientnet, resnet

BATCHES = (8, 16, 32, 64)


def unfolded(convolution, norm, inputs, *, training=False):
    """What `convolve_and_normalize` replaces."""
    return norm(convolution(inputs), training=training)


def seconds(function: Callable[[tf.Tensor], tf.Tensor], frames: tf.Tensor) -> float:
    """Wall seconds of one call."""
    start = time.perf_counter()
    function(frames).numpy()
    return time.perf_counter() - start


def traced(backbone: Backbone, frames: tf.Tensor, *, folds: bool) -> Callable[[tf.Tensor], tf.Tensor]:
    """The backbone in a tf.function, called once."""
    function = tf.function(lambda images: backbone(images))
    with contextlib.ExitStack() as patches:
        for module in () if folds else (efficientnet, resnet, convnet):
            patches.enter_context(mock.patch.object(module, "convolve_and_normalize", unfolded))
        function(frames)
    return function


def report(backbone: Backbone, batch: int, pixels: int, repeats: int) -> None:
    """Print one line per variant; the variants take turns, so that other work on the machine meets both."""
    frames = tf.constant(np.random.default_rng(0).integers(0, 256, (batch, pixels, pixels, 3), dtype=np.uint8))
    functions = {"folded": traced(backbone, frames, folds=True), "unfolded": traced(backbone, frames, folds=False)}
    rounds = [{name: seconds(function, frames) for name, function in functions.items()} for _ in range(repeats)]
    for name in functions:
        durations = [durations[name] for durations in rounds]
        median, best = batch / np.median(durations), batch / min(durations)
        print(f"batch {batch:3d} {name:8s}: {median:6.1f} frames/s (best {best:.1f})", flush=True)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", choices=BACKBONES, default="efficientnet_lite0")
    parser.add_argument("--pixels", type=int, default=224)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    backbone = build_backbone(BackboneConfig(name=options.backbone))
    shipped = weights.shipped_path(options.backbone)
    if shipped is not None:
        weights.load_into(backbone, shipped)
    print(f"{options.backbone}, {options.pixels} px, TensorFlow {tf.__version__}")
    for batch in BATCHES:
        report(backbone, batch, options.pixels, options.repeats)


if __name__ == "__main__":
    main()
