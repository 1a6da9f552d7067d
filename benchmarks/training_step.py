"""How fast is a training step of the default recipe, and what share of it is spent waiting for input?

    python benchmarks/training_step.py --steps 40 --repeats 3

Synthetic features of the default shape, the default embedder, one process. Prints one line per repeat.
CPU seconds a step tell more than steps/s where other work runs on the machine.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tcc.config import EmbedderConfig, SamplingConfig, TrainingConfig
from tcc.dataset import FeatureClips, draw_batch, prefetch
from tcc.device import open_device
from tcc.sequences import ClipSequence


def synthetic_clips(*, num_clips: int, channels: int, grid: int, seed: int = 0) -> FeatureClips:
    """Clips of 20 to 80 frames of random features, as long as those of the rendered set."""
    rng = np.random.default_rng(seed)
    clips = []
    for index in range(num_clips):
        length = int(rng.integers(20, 81))
        values = rng.standard_normal((length, grid, grid, channels)).astype(np.float16)
        clips.append(ClipSequence(f"clip{index}", np.arange(length) / 10, np.full(length, -1), values))
    return FeatureClips(clips)


def measure(step, batches) -> dict:
    """Seconds for all batches, and how many of them went by waiting for one."""
    waited, started, used, count = 0.0, time.perf_counter(), time.process_time(), 0
    batches = iter(batches)
    while True:
        before = time.perf_counter()
        batch = next(batches, None)
        waited += time.perf_counter() - before
        if batch is None:
            break
        step(batch, 5e-4)
        count += 1
    seconds = time.perf_counter() - started
    used = time.process_time() - used
    return {"steps_per_second": count / seconds, "input_share": waited / seconds, "cpu_seconds": used / count}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=40, help="steps per repeat")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--tcn-weight", type=float, default=TrainingConfig().tcn_weight)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    device = open_device(arguments.device)

    import tensorflow as tf

    from tcc.models import Embedder, Encoder
    from tcc.training.optimizer import Adam
    from tcc.training.step import TrainingStep

    sampling, training = SamplingConfig(), TrainingConfig(tcn_weight=arguments.tcn_weight)
    source = synthetic_clips(num_clips=60, channels=112, grid=7)
    embedder = Embedder(EmbedderConfig(), num_context_frames=sampling.num_context_frames, feature_channels=112, seed=0)
    encoder = Encoder(None, embedder)
    step = TrainingStep(encoder, Adam(encoder.trained_variables()), training)
    window = training.tcn_positive_window if training.tcn_weight else 0

    def draw(number):
        return draw_batch(
            source,
            number,
            seed=0,
            sampling=sampling,
            batch_size=training.batch_size,
            positive_window=window,
        )

    started = time.perf_counter()
    step(draw(0), 5e-4)
    print(f"TensorFlow {tf.__version__}, {device.description}; first step {time.perf_counter() - started:.1f} s")
    measure(step, prefetch(draw, range(5)))
    rates = []
    for _ in range(arguments.repeats):
        result = measure(step, prefetch(draw, range(arguments.steps)))
        rates.append(result["steps_per_second"])
        print(
            f"{result['steps_per_second']:.2f} steps/s, {result['cpu_seconds']:.3f} CPU seconds a step, "
            f"waiting for input {100 * result['input_share']:.1f} % of the time"
        )
    print(f"median {statistics.median(rates):.2f} steps/s")


if __name__ == "__main__":
    main()
