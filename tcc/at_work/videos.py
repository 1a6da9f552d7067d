"""Videos given on a command line: found, and decoded exactly as the pipeline does, a few at a time."""

from __future__ import annotations

import dataclasses
import math
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Iterator, List, Optional, Sequence

from tcc.config import ExecutionConfig, Settings
from tcc.errors import VideoError
from tcc.progress import Progress, silent
from tcc.video.frames import write_frames
from tcc.video.inventory import list_videos
from tcc.video.probe import ClipInfo, probe_clips
from tcc.video.shards import ClipRecord, read_records

_FRAMES_AT_A_TIME = 1000


@dataclass(frozen=True)
class Video:
    """A file, and what its clip is called: its path relative to the folder that was given, or its file name."""

    folder: Path
    name: str

    @property
    def path(self) -> Path:
        """The file."""
        return self.folder / self.name


@dataclass(frozen=True)
class DecodedVideo:
    """What became of a video: its frames in `record`, or why there are none in `problem`."""

    video: Video
    info: ClipInfo
    record: Optional[ClipRecord] = None
    problem: str = ""


def find_videos(paths: Sequence[Path]) -> List[Video]:
    """The videos that files and folders (searched recursively) stand for, in the order of their clips' names.

    Raises: VideoError if a path is not there, a folder holds no video, or two clips would have one name.
    """
    found: Dict[str, Video] = {}
    for path in paths:
        for video in _videos_at(path):
            other = found.setdefault(video.name, video)
            if other.path.resolve() != video.path.resolve():
                raise VideoError(
                    f"{video.path} and {other.path} would both be called {video.name}; give the folder that holds both"
                )
    return [found[name] for name in sorted(found)]


def _videos_at(path: Path) -> List[Video]:
    if path.is_dir():
        return [Video(path, name) for name in list_videos(path)]
    if not path.is_file():
        raise VideoError(f"{path}: no such video or folder; correct the path")
    return [Video(path.parent, path.name)]


def decode_videos(
    videos: Sequence[Video],
    settings: Settings,
    *,
    scratch: Path,
    execution: ExecutionConfig,
    progress: Progress = silent,
) -> Iterator[List[DecodedVideo]]:
    """Decode videos in groups of at most about 1000 frames, or one longer video: every video once, in order.

    The path is the pipeline's: probed, the frame nearest to each tick of the clock of [frames] fps, resized, written as
    JPEG, all in processes whose crash costs one video.

    Args:
      settings: of the model; its [frames] and [clips] min_frames count.
      scratch: folder with room for the frames of a group.
      execution: number of processes, and how long a video may make no progress.
      progress: told the share of the videos that are done.
    """
    infos = _probe(videos, execution)
    done = 0
    for group in _groups(videos, infos, settings.frames.fps):
        progress(done / len(videos), f"{done} of {len(videos)} videos")
        with tempfile.TemporaryDirectory(dir=scratch, prefix=".frames-") as folder:
            yield [
                decoded
                for number, root in enumerate(_roots(group))
                for decoded in _decode(
                    [video for video in group if video.folder == root],
                    infos,
                    Path(folder, str(number)),
                    settings,
                    execution,
                )
            ]
        done += len(group)
    progress(1.0, f"{done} of {len(videos)} videos")


def _probe(videos: Sequence[Video], execution: ExecutionConfig) -> Dict[Video, ClipInfo]:
    # Absolute names, so that videos of several folders are looked at in one go.
    infos = probe_clips(
        "/",
        [str(video.path.resolve()) for video in videos],
        workers=execution.decode_workers,
        timeout_seconds=execution.clip_timeout_seconds,
    )
    return {video: dataclasses.replace(info, name=video.name) for video, info in zip(videos, infos)}


def _groups(videos: Sequence[Video], infos: Dict[Video, ClipInfo], fps: float) -> Iterator[List[Video]]:
    group: List[Video] = []
    frames = 0
    for video in videos:
        more = math.ceil(infos[video].duration_seconds * fps)
        if group and frames + more > _FRAMES_AT_A_TIME:
            yield group
            group, frames = [], 0
        group.append(video)
        frames += more
    if group:
        yield group


def _roots(group: Sequence[Video]) -> List[Path]:
    return list(dict.fromkeys(video.folder for video in group))


def _decode(
    videos: Sequence[Video],
    infos: Dict[Video, ClipInfo],
    directory: Path,
    settings: Settings,
    execution: ExecutionConfig,
) -> List[DecodedVideo]:
    """Videos of one folder."""
    result = write_frames(
        [infos[video] for video in videos],
        videos[0].folder,
        directory,
        settings.frames,
        min_frames=settings.clips.min_frames,
        workers=execution.decode_workers,
        timeout_seconds=execution.clip_timeout_seconds,
    )
    files = {row["clip"]: directory / row["file"] for row in result.clips}
    problems = {row["clip"]: row["reason"] for row in result.skipped}
    return [
        DecodedVideo(video, infos[video], problem=problems[video.name])
        if video.name in problems
        else DecodedVideo(video, infos[video], next(read_records(files[video.name], expected=1)))
        for video in videos
    ]
