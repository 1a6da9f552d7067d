"""How fast is the embedded set rendered, and what does a frame cost to draw and to encode?

    python benchmarks/rendering.py --workers 2

Renders the default set into a temporary folder. `--train 6 --val 2 --test 2` for a tenth of it.
CPU milliseconds a frame tell more than seconds where other work runs on the machine.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import cv2

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tcc.config import RenderingConfig
from tcc.rendering import render_clip, render_set
from tcc.rendering.files import encode


class DrawnClip:
    """A clip whose frames are already there, so that encoding is timed alone."""

    def __init__(self, clip):
        self.fps = clip.fps
        self.drawn = list(clip.frames())

    def frame(self, index):
        return self.drawn[index]

    def frames(self):
        return iter(self.drawn)


def cpu_milliseconds(config: RenderingConfig, folder: Path, num_clips: int = 6) -> dict:
    """CPU time of preparing a clip, drawing a frame and encoding a frame, in one thread."""
    cv2.setNumThreads(1)
    spent, frames = {"prepare a clip": 0.0, "draw a frame": 0.0, "encode a frame": 0.0}, 0
    for index in range(num_clips):
        marks = [time.process_time()]
        clip = render_clip(config, f"train_{index:03d}.mp4")
        marks.append(time.process_time())
        drawn = DrawnClip(clip)
        marks.append(time.process_time())
        encode(drawn, folder / "clip.mp4", crf=25)
        marks.append(time.process_time())
        for name, start, end in zip(spent, marks[:-1], marks[1:]):
            spent[name] += end - start
        frames += clip.num_frames
    return {name: 1e3 * value / (num_clips if "clip" in name else frames) for name, value in spent.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--train", type=int, default=60)
    parser.add_argument("--val", type=int, default=20)
    parser.add_argument("--test", type=int, default=20)
    options = parser.parse_args()
    config = RenderingConfig(num_train=options.train, num_val=options.val, num_test=options.test)
    with tempfile.TemporaryDirectory() as folder:
        for name, value in cpu_milliseconds(config, Path(folder)).items():
            print(f"{name}: {value:.2f} ms CPU")
        started = time.perf_counter()
        counts = render_set(config, Path(folder) / "set", workers=options.workers)
        seconds = time.perf_counter() - started
        size = sum(path.stat().st_size for path in (Path(folder) / "set" / "videos").iterdir()) / 1e6
    print(
        f"{counts['clips']} clips, {counts['frames']} frames, {size:.1f} MB: {seconds:.1f} s "
        f"with {options.workers} workers, {counts['frames'] / seconds:.0f} frames/s"
    )


if __name__ == "__main__":
    main()
