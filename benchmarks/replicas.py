"""One training step by one process and by two on the same machine: python benchmarks/replicas.py [--steps N] [--pixels N]

The backbone is trained (ResNet50V2, batch normalization), 4 clips of 8 frames a step. Both processes share the machine's
cores, so this shows what joining costs, not what a second device gains: 1 is no cost, 0.5 as if each did all the work.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, List

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    """Run both and print a row."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--pixels", type=int, default=96)
    parser.add_argument("--processes", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.processes:
        print(json.dumps(seconds_per_step(options.steps, options.pixels, options.processes)))
        return
    one, two = (run(count, options) for count in (1, 2))
    print(f"one process {one:.2f} s a step, two {two:.2f}: {one / two:.2f} times as fast")


def run(count: int, options: argparse.Namespace) -> float:
    """Median seconds of a step by so many processes."""
    ports = _free_ports(count)
    workers = [f"127.0.0.1:{port}" for port in ports]
    command = [sys.executable, __file__, "--steps", str(options.steps), "--pixels", str(options.pixels)]
    children = []
    for index in range(count):
        config = {"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}}
        own = {"TF_CONFIG": json.dumps(config)} if count > 1 else {}
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "TF_ENABLE_ONEDNN_OPTS": "1",
            "TF_CPP_MIN_LOG_LEVEL": "3",
            **own,
        }
        whole = [*command, "--processes", str(count)]
        children.append(subprocess.Popen(whole, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL))
    outputs = [child.communicate()[0] for child in children]
    return float(json.loads(outputs[0].splitlines()[-1]))


def seconds_per_step(steps: int, pixels: int, processes: int) -> float:
    """In one of the processes: median seconds of a step but the first."""
    import numpy as np

    from tcc.config import BackboneConfig, EmbedderConfig, SamplingConfig, TrainingConfig
    from tcc.device import open_device
    from tcc.models import Embedder, Encoder, build_backbone
    from tcc.training import train
    from tcc.training.replicas import Distributed, Replicas

    open_device("cpu")
    replicas: Any = Replicas()
    if processes > 1:
        import tensorflow as tf

        index = json.loads(os.environ["TF_CONFIG"])["task"]["index"]
        replicas = Distributed(tf.distribute.MultiWorkerMirroredStrategy(), process=index, processes=processes)
    backbone = build_backbone(BackboneConfig(name="resnet50v2"))
    config = EmbedderConfig(channels=(256, 256), dense=(256,), standardize=False)
    embedder = Embedder(config, num_context_frames=1, feature_channels=backbone.feature_channels, seed=0)
    ends: List[float] = []
    with tempfile.TemporaryDirectory() as folder:
        train(
            _clips(pixels),
            Encoder(backbone, embedder, trained="batch_norm"),
            folder,
            sampling=SamplingConfig(num_frames=8, num_context_frames=1),
            training=TrainingConfig(num_steps=steps + 1, batch_size=4, checkpoint_every=steps + 1),
            on_step=lambda done: ends.append(time.monotonic()),
            replicas=replicas,
        )
    return float(np.median(np.diff(ends)))


def _clips(pixels: int) -> Any:
    import numpy as np
    import simplejpeg

    from tcc.dataset import FrameClips
    from tcc.video.shards import ClipRecord

    rng = np.random.default_rng(0)
    records = []
    for index in range(4):
        pictures = rng.integers(0, 256, (12, pixels, pixels, 3)).astype(np.uint8)
        jpegs = [simplejpeg.encode_jpeg(picture) for picture in pictures]
        records.append(ClipRecord(f"clip{index}", jpegs, np.arange(12) / 10, np.full(12, -1)))
    return FrameClips(records)


def _free_ports(count: int) -> List[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return ports


if __name__ == "__main__":
    main()
