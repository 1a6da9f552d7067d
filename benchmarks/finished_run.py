"""Probing, selection and the report's video of a finished run, each against the way without this project.

    luigi --module pipeline RunAll --local-scheduler
    python benchmarks/finished_run.py [--repeats 3]

probing     every video looked into by 2 processes; rival: every frame decoded by OpenCV, the only count of it that is true
selection   one checkpoint embedded and scored; rival: eager calls clip by clip, Kendall's tau pair by pair (SciPy)
report      the aligned video; rival: each frame drawn by matplotlib, as the reference's animation does

The ways take turns; printed are the medians and their ratio.
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pipeline.embedding import EmbedTask, embeddings_file
from pipeline.features import input_tasks, open_source
from pipeline.selection import SelectTask, chosen_step
from pipeline.settings import current
from pipeline.shards import shard_tasks
from pipeline.training import TrainTask, build_encoder
from pipeline.videos import VideosTask
from pipeline.weights import WeightsTask
from tcc.sequences import load_sequences


def compare(name, ours, rival, repeats):
    """Time both in turns and print the ratio."""
    seconds = {"ours": [], "rival": []}
    for _ in range(repeats):
        for side, work in (("ours", ours), ("rival", rival)):
            started = time.perf_counter()
            work()
            seconds[side].append(time.perf_counter() - started)
    mine, other = (float(np.median(seconds[side])) for side in ("ours", "rival"))
    print(f"{name:10} ours {mine:7.2f} s   rival {other:7.2f} s   ratio {other / mine:5.1f}", flush=True)


def probing(repeats):
    import cv2

    from tcc.video import list_videos, probe_clips

    folder = VideosTask().directory / "videos"
    names = list_videos(folder)

    def ours():
        probe_clips(folder, names, workers=2, timeout_seconds=600)

    def rival():
        for name in names:
            capture = cv2.VideoCapture(str(folder / name))
            while capture.grab():
                pass

    compare("probing", ours, rival, repeats)


def selection(settings, repeats):
    import tensorflow as tf
    from scipy.spatial.distance import cdist
    from scipy.stats import kendalltau

    from tcc.dataset.batches import clip_windows
    from tcc.device import open_device
    from tcc.embedding import embed_clips
    from tcc.evaluation import kendalls_tau
    from tcc.training.checkpoints import restore_encoder

    open_device(settings.device.kind)
    source = open_source(settings, input_tasks(settings, "val"))[0]
    encoder = build_encoder(settings, WeightsTask(), source)
    step, stride, found = chosen_step(SelectTask().directory), settings.selection.frame_stride, {}

    def ours():
        restore_encoder(TrainTask().directory, step, encoder)
        clips = embed_clips(source, encoder, sampling=settings.sampling, batch_frames=settings.embedding.batch_frames)
        found["ours"] = kendalls_tau(clips, frame_stride=stride, split="val").value

    def rival():
        restore_encoder(TrainTask().directory, step, encoder)
        clips = []
        for clip, length in enumerate(source.lengths):
            parts = []
            for start in range(0, int(length), 25):
                frames = np.arange(start, min(start + 25, int(length)))
                windows = source.gather(clip, clip_windows(frames, int(length), settings.sampling))
                parts.append(encoder(tf.constant(windows[np.newaxis]), training=False).numpy()[0])
            clips.append(np.concatenate(parts)[::stride])
        taus = [
            kendalltau(np.arange(len(a)), np.argmin(cdist(a, b, "sqeuclidean"), axis=1)).statistic
            for a in clips
            for b in clips
            if a is not b
        ]
        found["rival"] = float(np.mean(taus))

    compare("selection", ours, rival, repeats)
    print(f"           Kendall's tau {found['ours']:.6f} and {found['rival']:.6f}")


def report(settings, repeats):
    import cv2
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    from tcc.report.aligned_video import write_aligned_video
    from tcc.report.alignment_pair import align_all, choose_pair
    from tcc.video import read_records

    clips, phases = load_sequences(EmbedTask().directory / embeddings_file("test"))
    records = [
        record for task in shard_tasks(settings, "test") for record in read_records(task.directory / task.shard_file())
    ]
    frames = {record.name: record.frames for record in records}
    pair = choose_pair(align_all(clips, playable=frames))
    config = settings.report

    def ours():
        with tempfile.TemporaryDirectory() as folder:
            made = write_aligned_video(
                Path(folder, "video.mp4"), pair, frames, fps=config.video_fps, pixels=config.video_pixels, phases=phases
            )
            shown["frames"] = made.num_frames

    def rival():
        panels = [frames[clip.name] for clip in (pair.reference, pair.other, pair.other)]
        for step in range(shown["frames"]):
            figure, axes = plt.subplots(1, 3, figsize=(9, 3))
            for axis, jpegs in zip(axes, panels):
                image = cv2.imdecode(np.frombuffer(jpegs[min(step, len(jpegs) - 1)], np.uint8), cv2.IMREAD_COLOR)
                axis.imshow(image[:, :, ::-1])
                axis.set_axis_off()
            figure.savefig(io.BytesIO(), format="raw")
            plt.close(figure)

    shown = {}
    compare("report", ours, rival, repeats)
    print(f"           {shown['frames']} frames")


def main():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args().repeats
    if not EmbedTask().complete():
        sys.exit("no finished run with these settings: luigi --module pipeline RunAll --local-scheduler")
    settings = current()
    probing(repeats)
    selection(settings, repeats)
    report(settings, repeats)


if __name__ == "__main__":
    main()
