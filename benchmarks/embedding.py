"""How fast is a video embedded with a backbone that is trained, against the reference's way in Keras?

    python benchmarks/embedding.py --frames 250 --rounds 2

ResNet50V2 cut at conv4_block3_out and the 3-D embedder (512-512, dense 512-512), 224 px, 2 context frames, the same random
weights. The reference's way: eager Keras, 25 frames at a time, and the backbone runs on both frames of every window. Ours:
`embed_clips`, JPEG decoding included, which for Keras is done before. Every variant runs in a child process of its own, in
turns; the first batch, which compiles, is not timed. Prints frames/s and CPU time (which tells more where other work runs),
the ratios to Keras, the peak of memory, and how far the embeddings are from Keras', of their largest value; float32 must
agree within 1e-4.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.training_step import reference_encoder
from tcc.config import SamplingConfig
from tcc.device import open_device

PIXELS, LARGEST_DIFFERENCE, KERAS_BATCH = 224, 1e-4, 25
SAMPLING = SamplingConfig(num_context_frames=2, context_stride=15)
VARIANTS = ("keras float32", "ours float32", "ours bfloat16")


def jpeg_frames(count: int) -> list:
    """A clip of smooth pictures that change slowly, so that its JPEG images are as large as those of a video."""
    import cv2
    import simplejpeg

    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (2, 28, 28, 3)).astype(np.float32)
    shares = np.linspace(0, 1, count)
    pictures = ((1 - share) * small[0] + share * small[1] for share in shares)
    large = (cv2.resize(picture, (PIXELS, PIXELS), interpolation=cv2.INTER_CUBIC) for picture in pictures)
    return [simplejpeg.encode_jpeg(np.clip(one, 0, 255).astype(np.uint8), quality=90) for one in large]


def embed_by_keras(jpegs: list, encoder) -> tuple:
    """Embeddings [T, D], when each batch was done (clock, processor), and the frames of a batch."""
    import tensorflow as tf

    from benchmarks.keras_reference import KerasReference
    from tcc.dataset.batches import clip_windows
    from tcc.video import decode_jpegs

    model = KerasReference(trained="batch_norm", image_pixels=PIXELS)
    model.assign({name: variable.numpy() for name, variable in encoder.named_variables().items()})
    frames, parts, ends = decode_jpegs(jpegs), [], []
    for start in range(0, len(frames), KERAS_BATCH):
        chosen = np.arange(start, min(start + KERAS_BATCH, len(frames)))
        windows = frames[clip_windows(chosen, len(frames), SAMPLING)]
        parts.append(model.embed(tf.constant(windows)).numpy())
        ends.append((time.perf_counter(), time.process_time()))
    return np.concatenate(parts), ends, KERAS_BATCH


def embed_by_us(jpegs: list, encoder, precision: str, batch_frames: int) -> tuple:
    """The same by `embed_clips`."""
    from tcc.dataset import FrameClips
    from tcc.embedding import embed_clips
    from tcc.video import ClipRecord

    times = np.arange(len(jpegs)) / 15
    source = FrameClips([ClipRecord("clip", jpegs, times, np.full(len(jpegs), -1))])
    ends: list = []
    (clip,) = embed_clips(
        source,
        encoder,
        sampling=SAMPLING,
        batch_frames=batch_frames,
        precision=precision,
        progress=lambda share, status: ends.append((time.perf_counter(), time.process_time())),
    )
    return clip.values, ends, batch_frames


def run_variant(variant: str, frames: int, batch_frames: int, path: str) -> None:
    """In a child: embed a clip, leave its embeddings at `path`; prints JSON."""
    open_device("cpu")
    encoder, jpegs = reference_encoder("batch_norm"), jpeg_frames(frames)
    rival, precision = variant.split()
    if rival == "keras":
        values, ends, untimed = embed_by_keras(jpegs, encoder)
    else:
        values, ends, untimed = embed_by_us(jpegs, encoder, precision, batch_frames)
    np.save(path, values)
    status = Path("/proc/self/status").read_text()
    peak = int(status.split("VmHWM:")[1].split()[0]) / 1024
    seconds, cpu_seconds = np.subtract(ends[-1], ends[0])
    timed = frames - untimed
    print(json.dumps({"rate": timed / seconds, "cpu_ms": 1000 * cpu_seconds / timed, "peak": peak}))


def measure(arguments) -> None:
    results: dict = {variant: [] for variant in VARIANTS}
    with tempfile.TemporaryDirectory() as folder:
        paths = {variant: str(Path(folder, f"{place}.npy")) for place, variant in enumerate(VARIANTS)}
        for _ in range(arguments.rounds):
            for variant in VARIANTS:
                command = [sys.executable, __file__, "--child", variant, "--path", paths[variant]]
                command += ["--frames", str(arguments.frames), "--batch-frames", str(arguments.batch_frames)]
                run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
                results[variant].append(json.loads(run.stdout.decode().splitlines()[-1]))
                print(f"{variant}: {results[variant][-1]}", flush=True)
        print_results(results, {variant: np.load(path) for variant, path in paths.items()})


def print_results(results: dict, embeddings: dict) -> None:
    theirs = embeddings["keras float32"]
    difference = {name: np.abs(ours - theirs).max() / np.abs(theirs).max() for name, ours in embeddings.items()}
    rate = {name: statistics.median([run["rate"] for run in runs]) for name, runs in results.items()}
    cpu = {name: statistics.median([run["cpu_ms"] for run in runs]) for name, runs in results.items()}
    print(
        "| variant | frames/s, median | times Keras | CPU ms a frame | times Keras | peak MB | differs from Keras by |"
    )
    print("| --- " * 7 + "|")
    for name, runs in results.items():
        peak, ratio = max(run["peak"] for run in runs), rate[name] / rate["keras float32"]
        figures = f"{rate[name]:.1f} | {ratio:.2f} | {cpu[name]:.0f} | {cpu['keras float32'] / cpu[name]:.2f}"
        print(f"| {name} | {figures} | {peak:.0f} | {difference[name]:.1e} |")
    if not difference["ours float32"] <= LARGEST_DIFFERENCE:
        sys.exit(f"float32 embeddings must agree within {LARGEST_DIFFERENCE} of their largest value")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=250, help="length of the clip")
    parser.add_argument("--batch-frames", type=int, default=32, help="frames embedded at a time by us")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--child", choices=VARIANTS, help="used by itself")
    parser.add_argument("--path", help="used by itself")
    arguments = parser.parse_args()
    if arguments.child:
        run_variant(arguments.child, arguments.frames, arguments.batch_frames, arguments.path)
    else:
        measure(arguments)


if __name__ == "__main__":
    main()
