"""The set on disk: one H.264 file per clip, phases in labels.csv, the true progress of every frame in progress.csv."""

from __future__ import annotations

import csv
import io
import os
from fractions import Fraction
from pathlib import Path
from typing import Any, Dict, Iterator, List, Sequence, Tuple, Union

import av
import cv2
import numpy as np

from tcc.config import RenderingConfig
from tcc.errors import VideoError
from tcc.isolation import Outcome, run_isolated
from tcc.progress import Progress, silent
from tcc.rendering.clip import RenderedClip, clip_crf, clip_names, clip_timeline, render_clip
from tcc.rendering.motion import PHASES, Timeline

_SECONDS_A_CLIP = 600.0


def render_set(
    config: RenderingConfig, directory: Union[str, Path], *, workers: int = 2, progress: Progress = silent
) -> Dict[str, int]:
    """Render every clip of the set and its ground truth; the same settings give the same bytes.

    Writes `videos/<name>`, `labels.csv` (clip, start_seconds, end_seconds, phase, split; half-open stretches that cover
    the clip) and `progress.csv` (clip, frame, seconds, progress). A clip gets its name only when it is whole, so after a
    kill the next call goes on with the clips that are missing. One caller at a time may render into a directory.

    Args:
      config: seed, numbers, size, rate and length of the clips.
      directory: where to write; made if it is not there. Clips found there are taken as they are.
      workers: processes; one renders in this process.
    Returns: clips and frames of the set, the same whether it was rendered at once or after a kill.
    Raises: SettingsError for a frame size that H.264 cannot store; VideoError if a worker dies;
      OSError of a full disk.
    """
    directory = Path(directory)
    videos = directory / "videos"
    videos.mkdir(parents=True, exist_ok=True)
    for leftover in videos.glob(".*.tmp"):
        leftover.unlink()
    names = clip_names(config)
    render_clip(config, names[0][0])  # refuses bad settings here rather than in a worker
    missing = [name for name, _ in names if not (videos / name).exists()]
    if workers > 1 and len(missing) > 1:
        _render_in_processes(config, videos, missing, min(workers, len(missing)), progress)
    else:
        for done, name in enumerate(missing):
            progress(done / len(missing), f"rendering {name} ({done + 1} of {len(missing)})")
            write_clip(config, name, videos)
    timelines = [clip_timeline(config, name) for name, _ in names]
    _write_csv(directory / "labels.csv", _label_rows(names, timelines))
    _write_csv(directory / "progress.csv", _progress_rows(names, timelines))
    progress(1.0, f"{len(names)} clips rendered")
    return {"clips": len(names), "frames": sum(timeline.num_frames for timeline in timelines)}


def write_clip(config: RenderingConfig, name: str, folder: Path) -> None:
    """Render one clip into `folder`; the file has its name only when it is whole."""
    temporary = folder / f".{name}.{os.getpid()}.tmp"
    try:
        encode(render_clip(config, name), temporary, crf=clip_crf(config, name))
        os.replace(temporary, folder / name)
    finally:
        temporary.unlink(missing_ok=True)


def encode(clip: RenderedClip, path: Path, *, crf: int) -> None:
    """Write the clip as H.264 in .mp4; one encoder thread and no time of creation, so equal frames give equal bytes."""
    with av.open(str(path), "w", format="mp4", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("libx264", rate=Fraction(clip.fps).limit_denominator(1001))
        first = clip.frame(0)
        stream.height, stream.width = first.shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.thread_count = 1
        # libx264's macroblock tree with B-frames gives other bytes from call to call, also with one thread.
        stream.options = {
            "crf": str(crf),
            "preset": "veryfast",
            "threads": "1",
            "x264-params": "mbtree=0:cpu-independent=1",
        }
        for image in clip.frames():
            container.mux(stream.encode(_to_yuv420(image)))
        container.mux(stream.encode())


def _to_yuv420(image: np.ndarray) -> av.VideoFrame:
    # OpenCV's conversion takes a third of the time of the one inside libav.
    planes: Any = cv2.cvtColor(image, cv2.COLOR_BGR2YUV_I420)
    return av.VideoFrame.from_ndarray(planes, format="yuv420p")


def _render_in_processes(
    config: RenderingConfig, videos: Path, missing: Sequence[str], workers: int, progress: Progress
) -> None:
    written: List[int] = []

    def settle(position: int, outcome: Outcome) -> None:
        if outcome.exception is not None:
            raise outcome.exception
        if outcome.reason:
            raise VideoError(
                f"rendering {missing[position]}: its process ended early ({outcome.detail}); run again to go on, with "
                "workers=1 if memory is short"
            )
        written.append(position)
        progress(len(written) / len(missing), f"rendering: {len(written)} of {len(missing)} clips")

    items = [(config, videos, name) for name in missing]
    run_isolated(_write_clip, items, workers=workers, timeout_seconds=_SECONDS_A_CLIP, on_result=settle)


def _write_clip(item: Tuple[RenderingConfig, Path, str]) -> None:
    config, videos, name = item
    cv2.setNumThreads(1)
    write_clip(config, name, videos)


def _label_rows(names, timelines: Sequence[Timeline]) -> Iterator[List[str]]:
    yield ["clip", "start_seconds", "end_seconds", "phase", "split"]
    for (name, split), timeline in zip(names, timelines):
        bounds = [f"{seconds:.6f}" for seconds in timeline.boundaries_seconds]
        for start, end, phase in zip(bounds[:-1], bounds[1:], PHASES):
            yield [name, start, end, phase, split]


def _progress_rows(names, timelines: Sequence[Timeline]) -> Iterator[List[str]]:
    yield ["clip", "frame", "seconds", "progress"]
    for (name, _), timeline in zip(names, timelines):
        for frame, value in enumerate(timeline.progress):
            yield [name, str(frame), f"{frame / timeline.fps:.6f}", f"{value:.6f}"]


def _write_csv(path: Path, rows: Iterator[List[str]]) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(text.getvalue(), encoding="utf-8")
    os.replace(temporary, path)
