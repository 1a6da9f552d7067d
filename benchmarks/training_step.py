"""How fast is a training step? The default recipe's, and the reference's against the same step in Keras.

    python benchmarks/training_step.py recipe --steps 40 --repeats 3
    python benchmarks/training_step.py reference --steps 3 --rounds 2

recipe: synthetic features of the default shape, the default embedder, one process; what share of the time goes by waiting
for input? Prints one line per repeat. CPU seconds a step tell more than steps/s where other work runs on the machine.

reference: the reference's defaults (batch 2, 20 frames of 2 context frames, 224 px, ResNet50V2 with only its batch norms
trained, 3-D convolutions 512-512, dense 512-512, regression with variance, Adam), random weights, frames in memory.
Every variant runs in a child process of its own, all in turns, from the same weights; prints the median of the seconds a
step, the peak of memory, and both against Keras of the same TensorFlow. The float32 losses of the first steps must agree
with Keras' within 1e-4. "features" works on stored features of the backbone: what the features stage costs once per frame
is not in it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
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


def measure_recipe(arguments) -> None:
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


VARIANTS = {  # name -> (Keras or ours, what of the backbone is trained, precision)
    "keras float32": ("keras", "batch_norm", "float32"),
    "ours float32": ("ours", "batch_norm", "float32"),
    "ours bfloat16": ("ours", "batch_norm", "bfloat16"),
    "keras frozen": ("keras", "frozen", "float32"),
    "ours features bfloat16": ("ours", "features", "bfloat16"),
}
RIVALS = {
    "ours float32": "keras float32",
    "ours bfloat16": "keras float32",
    "ours features bfloat16": "keras frozen",
}
PIXELS, LEARNING_RATE, LARGEST_DIFFERENCE = 224, 1e-6, 1e-4


def reference_encoder(trained: str):
    """The reference's network; from features the embedder alone."""
    from tcc.config import BackboneConfig
    from tcc.models import Embedder, Encoder, build_backbone

    config = EmbedderConfig(convolution="conv3d", channels=(512, 512), dense=(512, 512), standardize=False)
    embedder = Embedder(config, num_context_frames=2, feature_channels=1024, seed=0)
    if trained == "features":
        return Encoder(None, embedder)
    return Encoder(build_backbone(BackboneConfig(name="resnet50v2")), embedder, trained=trained)


def reference_batch(trained: str):
    """Two clips of 20 frames with their context, as frames or as features of frames."""
    from tcc.dataset import Batch

    rng = np.random.default_rng(0)
    if trained == "features":
        inputs = rng.standard_normal((2, 20, 2, 14, 14, 1024)).astype(np.float16)
    else:
        inputs = rng.integers(0, 256, (2, 20, 2, PIXELS, PIXELS, 3)).astype(np.uint8)
    indices = np.stack([np.sort(rng.permutation(60)[:20]) for _ in range(2)]).astype(np.int32)
    return Batch(0, np.arange(2), inputs, indices, np.array([60, 60], np.int32), np.full((2, 20), -1, np.int32))


def build_step(variant: str):
    """A function without arguments that does one step and returns its loss."""
    kind, trained, precision = VARIANTS[variant]
    encoder, batch = reference_encoder(trained), reference_batch(trained)
    if kind == "ours":
        from tcc.training import Adam, TrainingStep

        training = TrainingConfig(tcn_weight=0.0, clip_norm=0.0, precision=precision)
        step = TrainingStep(encoder, Adam(encoder.trained_variables()), training)
        return lambda: step(batch, LEARNING_RATE)["method"]
    import tensorflow as tf

    from benchmarks.keras_reference import KerasReference

    model = KerasReference(trained=trained, image_pixels=PIXELS, learning_rate=LEARNING_RATE)
    model.assign({name: variable.numpy() for name, variable in encoder.named_variables().items()})
    frames = tf.constant(batch.inputs.astype(np.float32) / 127.5 - 1)
    times = tf.constant(batch.frame_indices), tf.constant(batch.sequence_lengths)
    return lambda: float(model.step(frames, *times))


def run_variant(variant: str, steps: int) -> None:
    """In a child: one step to compile and warm up, then `steps` measured ones; prints JSON."""
    open_device("cpu")
    step = build_step(variant)
    losses, seconds = [step()], []
    for _ in range(steps):
        started = time.perf_counter()
        losses.append(step())
        seconds.append(time.perf_counter() - started)
    status = Path("/proc/self/status").read_text()
    peak = int(status.split("VmHWM:")[1].split()[0]) / 1024
    print(json.dumps({"seconds": seconds, "losses": losses, "peak": peak}))


def measure_reference(arguments) -> None:
    results: dict = {variant: [] for variant in arguments.variants}
    for _ in range(arguments.rounds):
        for variant in arguments.variants:
            command = [sys.executable, __file__, "child", "--variant", variant, "--steps", str(arguments.steps)]
            run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
            results[variant].append(json.loads(run.stdout.decode().splitlines()[-1]))
            seconds = ", ".join(f"{one:.2f}" for one in results[variant][-1]["seconds"])
            print(f"{variant}: {seconds} s; losses {results[variant][-1]['losses']}", flush=True)
    print_reference(results)


def print_reference(results: dict) -> None:
    speed = {name: statistics.median([s for run in runs for s in run["seconds"]]) for name, runs in results.items()}
    peak = {name: max(run["peak"] for run in runs) for name, runs in results.items()}
    print("| variant | s/step, median | peak MB | faster than Keras | of its memory |\n| --- | --- | --- | --- | --- |")
    for name in results:
        row = f"| {name} | {speed[name]:.2f} | {peak[name]:.0f} |"
        rival = RIVALS.get(name)
        ratios = f" {speed[rival] / speed[name]:.2f} | {peak[name] / peak[rival]:.0%} |" if rival in results else " | |"
        print(row + ratios)
    if {"keras float32", "ours float32"} <= set(results):
        check_equal(results["keras float32"][0]["losses"], results["ours float32"][0]["losses"])


def check_equal(theirs: list, ours: list) -> None:
    difference = max(abs(a - b) / abs(a) for a, b in zip(theirs, ours))
    print(f"float32 losses of {len(ours)} steps differ by {difference:.1e} of their value at most")
    if not difference <= LARGEST_DIFFERENCE:
        sys.exit(f"the losses must agree within {LARGEST_DIFFERENCE}: {theirs} and {ours}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    modes = parser.add_subparsers(dest="mode", required=True)
    recipe = modes.add_parser("recipe", help="the default recipe, on frozen features")
    recipe.add_argument("--steps", type=int, default=40, help="steps per repeat")
    recipe.add_argument("--repeats", type=int, default=3)
    recipe.add_argument("--tcn-weight", type=float, default=TrainingConfig().tcn_weight)
    recipe.add_argument("--device", default="cpu")
    reference = modes.add_parser("reference", help="the reference's step against Keras")
    reference.add_argument("--steps", type=int, default=3, help="steps per variant and round")
    reference.add_argument("--rounds", type=int, default=2)
    reference.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    child = modes.add_parser("child", help="one variant; used by reference")
    child.add_argument("--variant", choices=VARIANTS)
    child.add_argument("--steps", type=int)
    arguments = parser.parse_args()
    if arguments.mode == "recipe":
        measure_recipe(arguments)
    elif arguments.mode == "reference":
        measure_reference(arguments)
    else:
        run_variant(arguments.variant, arguments.steps)


if __name__ == "__main__":
    main()
