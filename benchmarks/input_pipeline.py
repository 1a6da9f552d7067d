"""How many batches per second does the input make, against the reference's way, without and with its augmentations?

    python benchmarks/input_pipeline.py [--clips 30] [--turns 5] [--batches 60]

Both read the same TFRecord files and make batches of 2 clips x 20 frames x 2 context frames, 15 frames apart, at 224 px,
ready as a tensor on the host; ours with all decoded frames kept in memory, as `[training] frame_memory_mb` allows (the
turns begin when nearly all are there), and decoding anew every time. The reference's way, written anew with tf.data after a
reading of it: every record is parsed again whenever it is drawn, frames are decoded by map_fn, made float by a second map_fn
and copied by a third, resized, augmented and normalized as float32. Ours: records parsed once, `draw_batch` and `prefetch`
as training uses them, uint8; normalizing is the device's work, a part of the backbone. Augmentations are the reference's
defaults: flip 1/2, brightness 32/255, contrast 0.5 to 1.5.

Each way runs in a process of its own (peak memory is its own, TensorFlow's included), in turns: one waits while the other
works. Batches are made ahead, by the reference's 60 parallel calls 30 of them: a turn begins and ends with all of these made,
so that in its time exactly as many are made as are taken.
"""

from __future__ import annotations

import argparse
import itertools
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import simplejpeg

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tcc.config import AugmentationConfig, SamplingConfig

PIXELS, BATCH_SIZE = 224, 2
SAMPLING = SamplingConfig(num_frames=20, num_context_frames=2, context_stride=15, random_offset=1)
AUGMENTATION = AugmentationConfig(flip=0.5, brightness=32 / 255, contrast=0.5)
# Name: which code, whether augmented, batches before the first turn.
WAYS = {
    "reference": ("reference", False, 1),
    "ours, kept": ("kept", False, 300),
    "ours, decoded": ("decoded", False, 1),
    "reference, augmented": ("reference", True, 1),
    "ours, kept, augmented": ("kept", True, 300),
    "ours, decoded, augmented": ("decoded", True, 1),
}
# As the reference's flag --num_parallel_calls.
PARALLEL_CALLS = 60
MEMORY_BYTES = 1_000_000_000


def write_clips(folder: Path, *, num_clips: int, num_shards: int = 3, seed: int = 0) -> None:
    """Shards of clips of 60 to 240 frames: smooth pictures that move, with noise, about 19 kB a frame."""
    from tcc.video.shards import ClipRecord, write_records

    rng = np.random.default_rng(seed)
    clips = [made_up_clip(f"clip{index}", rng, ClipRecord) for index in range(num_clips)]
    for shard in range(num_shards):
        write_records(folder / f"train-{shard:05d}-of-{num_shards:05d}.tfrecord", clips[shard::num_shards])


def made_up_clip(name: str, rng: np.random.Generator, record: type):
    """A clip of random length: a picture larger than the frame, and the frame moving over it."""
    import cv2

    length, side = int(rng.integers(60, 241)), PIXELS + 64
    coarse = rng.integers(0, 256, (9, 9, 3)).astype(np.uint8)
    picture = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC).astype(np.int16)
    picture = np.clip(picture + rng.normal(0, 4, picture.shape), 0, 255).astype(np.uint8)
    frames = []
    for time_step in range(length):
        offset = 64 * time_step // length
        frame = np.ascontiguousarray(picture[offset : offset + PIXELS, 64 - offset : 64 - offset + PIXELS])
        frames.append(simplejpeg.encode_jpeg(frame, quality=95, colorsubsampling="420"))
    labels = np.arange(length) * 5 // length
    return record(name=name, frames=frames, timestamps=np.arange(length) / 30, frame_labels=labels)


def ours(folder: Path, augmented: bool, memory_bytes: int):
    """Endless batches as training draws them, as tensors."""
    import tensorflow as tf

    from tcc.dataset import FrameClips, draw_batch, prefetch
    from tcc.video.shards import read_records

    records = [record for path in sorted(folder.glob("*.tfrecord")) for record in read_records(path)]
    source = FrameClips(records, memory_bytes=memory_bytes)

    def draw(step):
        return draw_batch(
            source,
            step,
            seed=0,
            sampling=SAMPLING,
            batch_size=BATCH_SIZE,
            augmentation=AUGMENTATION if augmented else None,
        )

    with tf.device("cpu"):
        for batch in prefetch(draw, itertools.count()):
            yield tf.constant(batch.inputs)


def reference(folder: Path, augmented: bool):
    """Endless batches as the reference makes them."""
    import tensorflow as tf

    files = sorted(str(path) for path in folder.glob("*.tfrecord"))
    records = tf.data.TFRecordDataset(files, num_parallel_reads=PARALLEL_CALLS)
    num_clips = sum(1 for _ in records)
    clips = records.shuffle(num_clips).repeat().map(parse_clip, num_parallel_calls=PARALLEL_CALLS)
    frames = clips.map(lambda *clip: sampled_frames(*clip, augmented), num_parallel_calls=PARALLEL_CALLS)
    for batch in frames.batch(BATCH_SIZE, drop_remainder=True).prefetch(1):
        yield batch["frames"]


def parse_clip(serialized):
    """JPEG images, labels and length of a record."""
    import tensorflow as tf

    context, lists = tf.io.parse_single_sequence_example(
        serialized,
        context_features={"name": tf.io.FixedLenFeature([], tf.string), "len": tf.io.FixedLenFeature([], tf.int64)},
        sequence_features={
            "video": tf.io.FixedLenSequenceFeature([], tf.string),
            "frame_labels": tf.io.FixedLenSequenceFeature([], tf.int64),
        },
    )
    return lists["video"], lists["frame_labels"], context["len"]


def sampled_frames(jpegs, labels, length, augmented):
    """Random frames of a clip and their context, decoded, as float in -1..1."""
    import tensorflow as tf

    offset, count = SAMPLING.random_offset, SAMPLING.num_frames
    chosen = tf.sort(tf.random.shuffle(tf.range(tf.cast(offset, tf.int64), length))[:count])
    back = SAMPLING.context_stride * tf.range(SAMPLING.num_context_frames - 1, -1, -1, tf.int64)
    indices = tf.clip_by_value(tf.reshape(chosen[:, None] - back, [-1]), 0, length - 1)

    def for_each(function, values, dtype):
        return tf.map_fn(function, values, parallel_iterations=PARALLEL_CALLS, fn_output_signature=dtype)

    frames = for_each(tf.image.decode_jpeg, tf.gather(jpegs, indices), tf.uint8)
    frames = for_each(lambda frame: tf.cast(frame, tf.float32) / 255, frames, tf.float32)
    frames = for_each(lambda frame: tf.image.convert_image_dtype(frame, tf.float32), frames, tf.float32)
    frames = tf.image.resize(frames, [PIXELS, PIXELS])
    if augmented:
        frames = tf.cond(tf.random.uniform([]) < AUGMENTATION.flip, lambda: tf.reverse(frames, [2]), lambda: frames)
        shift, contrast = AUGMENTATION.brightness, AUGMENTATION.contrast
        frames = tf.image.adjust_brightness(frames, tf.random.uniform([], -shift, shift))
        frames = tf.image.adjust_contrast(frames, tf.random.uniform([], 1 - contrast, 1 + contrast))
    frames = (tf.clip_by_value(frames, 0.0, 1.0) - 0.5) / 0.5
    frames.set_shape([count * SAMPLING.num_context_frames, PIXELS, PIXELS, 3])
    return {"frames": frames, "labels": tf.gather(labels, indices), "chosen": chosen, "length": length}


def work(folder: Path, way: str, augmented: bool) -> None:
    """The child: for each line on its input, which says how many batches, one line with seconds and peak memory."""
    if way == "reference":
        batches = reference(folder, augmented)
    else:
        batches = ours(folder, augmented, MEMORY_BYTES if way == "kept" else 0)
    for line in sys.stdin:
        started, used = time.perf_counter(), time.process_time()
        for _ in range(int(line)):
            next(batches)
        seconds, used = idle_since() - started, time.process_time() - used
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        print(json.dumps({"seconds": seconds, "cpu_seconds": used, "peak_mb": peak}), flush=True)


def idle_since(quiet: float = 0.5) -> float:
    """When this process' threads had made what they make ahead; returns after `quiet` seconds of idleness."""
    busy_at, used = time.perf_counter(), time.process_time()
    while time.perf_counter() - busy_at < quiet:
        time.sleep(0.02)
        if time.process_time() - used > 0.004:
            busy_at, used = time.perf_counter(), time.process_time()
    return busy_at


def start(folder: Path, name: str) -> subprocess.Popen:
    way, augmented, _ = WAYS[name]
    command = [
        sys.executable,
        __file__,
        "--work",
        way,
        "--folder",
        str(folder),
        *(["--augmented"] if augmented else []),
    ]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )


def measure(child: subprocess.Popen, batches: int) -> dict:
    assert child.stdin is not None and child.stdout is not None
    child.stdin.write(f"{batches}\n")
    child.stdin.flush()
    return json.loads(child.stdout.readline())


def compare(folder: Path, *, turns: int, batches: int) -> None:
    """Print batches/s and memory of each way, and the ratios; CPU seconds tell more where other work runs."""
    children = {name: start(folder, name) for name in WAYS}
    for name, child in children.items():
        measure(child, WAYS[name][2])
    rounds = [{name: measure(child, batches) for name, child in children.items()} for _ in range(turns)]
    for name, child in children.items():
        child.communicate()
        rates = [batches / one[name]["seconds"] for one in rounds]
        used = statistics.median(one[name]["cpu_seconds"] for one in rounds) / batches
        print(
            f"{name:24s}: {statistics.median(rates):6.1f} batches/s ({min(rates):.1f} to {max(rates):.1f}), "
            f"{used:.3f} CPU seconds a batch, peak {rounds[-1][name]['peak_mb']} MB"
        )
    for name in (name for name in WAYS if name.startswith("ours")):
        rival = "reference, augmented" if WAYS[name][1] else "reference"
        for what in ("seconds", "cpu_seconds"):
            ratios = [one[rival][what] / one[name][what] for one in rounds]
            print(f"{name}, ratio of {what}: {statistics.median(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f})")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=30)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--batches", type=int, default=60, help="batches a turn")
    parser.add_argument("--work", choices=("kept", "decoded", "reference"), help=argparse.SUPPRESS)
    parser.add_argument("--augmented", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        work(arguments.folder, arguments.work, arguments.augmented)
        return
    with tempfile.TemporaryDirectory() as folder:
        write_clips(Path(folder), num_clips=arguments.clips)
        compare(Path(folder), turns=arguments.turns, batches=arguments.batches)


if __name__ == "__main__":
    main()
