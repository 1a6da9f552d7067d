"""How many frames a second go from video files into one TFRecord shard, beside the reference's way of doing it?

    python benchmarks/videos_to_shards.py --frames 10000 --repeats 3

For clips of 320x240 and of 1280x720: makes H.264 clips, then runs both ways in turn on the same clips, all frames kept,
224 px, JPEG quality 95:

    reference  one process: OpenCV decodes and resizes, PIL encodes with optimized Huffman tables, every frame and every
               JPEG of the shard is held until TensorFlow writes it
    ours       probe, decode, sample and encode in worker processes, one file of frames per clip, then the shard is copied
    ceiling    the worker processes do nothing but decode, one thread each

Starting worker processes (for probing, and again for frames) is measured and taken off. How many cores other work used
meanwhile is measured too (Linux): repeats in which it was more than 0.15 are left out where there are others.
"""

from __future__ import annotations

import argparse
import io
import multiprocessing
import os
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tcc.config import FramesConfig
from tcc.isolation import run_isolated
from tcc.video import ClipInfo, list_videos, probe_clips, read_records, write_frames, write_shard

PIXELS, QUALITY, FPS, FRAMES_PER_CLIP = 224, 95, 30.0, 240
QUIET_CORES = 0.15


def make_clips(folder: Path, size: tuple, num_frames: int) -> int:
    """Clips of a textured scene that pans, with sensor noise; the number of frames made."""
    import av

    width, height = size
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (height // 4, width // 2, 3)).astype(np.uint8)
    scene = cv2.resize(cv2.GaussianBlur(noise, (0, 0), 1), (2 * width, height), interpolation=cv2.INTER_CUBIC)
    grain = rng.integers(-12, 13, (height, width + 64, 3)).astype(np.int16)
    count = max(1, num_frames // FRAMES_PER_CLIP)
    for clip in range(count):
        with av.open(str(folder / f"{clip:04d}.mp4"), "w") as container:
            stream = container.add_stream("libx264", rate=int(FPS), options={"preset": "veryfast", "crf": "23"})
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            for index in range(FRAMES_PER_CLIP):
                at, shift = (clip * 37 + index * 3) % width, (index * 17) % 64
                image = np.clip(scene[:, at : at + width] + grain[:, shift : shift + width], 0, 255).astype(np.uint8)
                for packet in stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")):
                    container.mux(packet)
            for packet in stream.encode(None):
                container.mux(packet)
    return count * FRAMES_PER_CLIP


def reference_way(source: str, target: str) -> None:
    """One process, the whole shard in memory, as the reference's create_tfrecords works."""
    import tensorflow as tf
    from PIL import Image

    serialized = []
    for name in list_videos(source):
        capture, frames = cv2.VideoCapture(str(Path(source, name))), []
        while True:
            read, image = capture.read()
            if not read:
                break
            frames.append(cv2.resize(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), (PIXELS, PIXELS)))
        example = tf.train.SequenceExample()
        example.context.feature["name"].bytes_list.value.append(name.encode())
        example.context.feature["len"].int64_list.value.append(len(frames))
        for frame in frames:
            encoded = io.BytesIO()
            Image.fromarray(frame).save(encoded, format="JPEG", quality=QUALITY, optimize=True)
            example.feature_lists.feature_list["video"].feature.add().bytes_list.value.append(encoded.getvalue())
            example.feature_lists.feature_list["frame_labels"].feature.add().int64_list.value.append(0)
        serialized.append((frames, example.SerializeToString()))
    with tf.io.TFRecordWriter(target) as writer:
        for _, example in serialized:
            writer.write(example)


def our_way(source: str, target: str, workers: int) -> dict:
    """Probe, frames, shard; the seconds of each."""
    times = [time.perf_counter()]
    with tempfile.TemporaryDirectory(dir=Path(target).parent) as directory:
        clips = probe_clips(source, list_videos(source), workers=workers, timeout_seconds=600)
        times.append(time.perf_counter())
        config = FramesConfig(fps=FPS, image_pixels=PIXELS, jpeg_quality=QUALITY)
        result = write_frames(clips, source, directory, config, min_frames=1, workers=workers, timeout_seconds=600)
        times.append(time.perf_counter())
        files = {row["clip"]: Path(directory, row["file"]) for row in result.clips}
        write_shard(target, files)
        times.append(time.perf_counter())
    return dict(zip(("probe", "frames", "shard"), np.diff(times)))


def decode_only(path: str) -> int:
    """Decode a file with one thread; the number of its frames."""
    import av

    with av.open(path) as container:
        container.streams.video[0].codec_context.thread_count = 1
        return sum(1 for _ in container.decode(video=0))


def ceiling(source: str, workers: int) -> float:
    """Seconds that the workers need to decode everything."""
    paths = [str(Path(source, name)) for name in list_videos(source)]
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        pool.map(decode_only, paths[:workers], chunksize=1)
        started = time.perf_counter()
        pool.map(decode_only, paths, chunksize=1)
        return time.perf_counter() - started


def start_workers(workers: int) -> None:
    """Start the workers and import what decoding needs, twice, as for probing and for frames."""
    for _ in range(2):
        run_isolated(ClipInfo, ["x"] * workers, workers=workers, timeout_seconds=600)


def in_a_process(function, *arguments) -> dict:
    """Run in a fresh process; wall and CPU seconds and peak memory of it and its children, imports left out."""
    mine, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_measure, args=(theirs, function, arguments))
    process.start()
    theirs.close()
    measured = mine.recv()
    process.join()
    return measured


def _measure(pipe, function, arguments) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    if function is reference_way:
        import tensorflow  # noqa: F401
        from PIL import Image  # noqa: F401
    usages = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    before, busy = [resource.getrusage(who) for who in usages], busy_seconds()
    started = time.perf_counter()
    parts = function(*arguments)
    wall = time.perf_counter() - started
    after = [resource.getrusage(who) for who in usages]
    cpu = sum(b.ru_utime + b.ru_stime - a.ru_utime - a.ru_stime for a, b in zip(before, after))
    others = (busy_seconds() - busy - cpu) / wall
    peak = max(usage.ru_maxrss for usage in after) / 1024
    pipe.send({"wall": wall, "cpu": cpu, "others": others, "peak_mb": peak, "parts": parts})


def busy_seconds() -> float:
    """CPU seconds of all processes of the machine since its start; nan where that is not told."""
    try:
        user, nice, system, _, _, irq, softirq, *_ = map(int, Path("/proc/stat").read_text().split()[1:9])
    except OSError:
        return float("nan")
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def median(runs: list, key: str) -> float:
    """Over the repeats."""
    return statistics.median(run[key] for run in runs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=["320x240", "1280x720"], help="of the clips")
    parser.add_argument("--frames", type=int, default=10_000, help="of each size")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    for size in options.sizes:
        compare(size, options)


def compare(size: str, options: argparse.Namespace) -> None:
    """Measure and print one size."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "videos")
        source.mkdir()
        num_frames = make_clips(source, tuple(map(int, size.split("x"))), options.frames)
        runs: dict = {"reference": [], "ours": [], "start": []}
        ceilings = []
        for _ in range(options.repeats):
            runs["reference"].append(in_a_process(reference_way, str(source), f"{folder}/reference.tfrecord"))
            runs["ours"].append(in_a_process(our_way, str(source), f"{folder}/ours.tfrecord", options.workers))
            runs["start"].append(in_a_process(start_workers, options.workers))
            ceilings.append(ceiling(str(source), options.workers))
        quiet = [k for k in range(options.repeats) if all(runs[name][k]["others"] < QUIET_CORES for name in runs)]
        runs = {name: [runs[name][k] for k in quiet or range(options.repeats)] for name in runs}
        print(
            f"{len(quiet)} of {options.repeats} repeats were quiet; cores used by others in those that count: ", end=""
        )
        print(", ".join(f"{max(run['others'] for run in at):.2f}" for at in zip(*runs.values())))
        written = sum(len(record) for record in read_records(f"{folder}/ours.tfrecord"))
        assert written == num_frames, (written, num_frames)
        report(size, options, runs, num_frames, min(ceilings))
        print(f"{Path(folder, 'ours.tfrecord').stat().st_size / num_frames / 1e3:.1f} kB a frame", flush=True)


def report(size: str, options: argparse.Namespace, runs: dict, num_frames: int, ceiling_seconds: float) -> None:
    """Print the medians of one size."""
    print(f"{num_frames} frames of {size}, {options.workers} workers")
    wall, cpu = ({name: median(runs[name], key) for name in runs} for key in ("wall", "cpu"))
    for name in ("reference", "ours"):
        start = "start" if name == "ours" else None
        seconds, spent = wall[name] - wall.get(start, 0), cpu[name] - cpu.get(start, 0)
        peak = max(run["peak_mb"] for run in runs[name])
        each = spent / num_frames * 1e6
        print(
            f"{name:10} {num_frames / seconds:7.0f} frames/s {each:6.0f} CPU us/frame   peak {peak:5.0f} MB a process"
        )
    print(f"{'ceiling':10} {num_frames / ceiling_seconds:7.0f} frames/s")
    parts = {key: statistics.median(run["parts"][key] for run in runs["ours"]) for key in runs["ours"][0]["parts"]}
    print("ours, s: " + ", ".join(f"{key} {value:.2f}" for key, value in parts.items()), end="")
    print(f"; of it start {wall['start']:.2f}")
    ratios = [run["wall"] / (ours["wall"] - wall["start"]) for run, ours in zip(runs["reference"], runs["ours"])]
    each = ", ".join(f"{ratio:.2f}" for ratio in ratios)
    print(
        f"ratio {statistics.median(ratios):.2f} ({each}), with starting {wall['reference'] / wall['ours']:.2f}",
        end="; ",
    )


if __name__ == "__main__":
    main()
