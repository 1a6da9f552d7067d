"""Clips to files of JPEG frames at a fixed rate: one file per clip, each by a process that may crash or hang."""

from __future__ import annotations

import errno
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence, Union

from tcc.config import FramesConfig
from tcc.errors import ShardError, VideoError
from tcc.isolation import HUNG, Outcome, run_isolated
from tcc.progress import Progress, silent
from tcc.video.container import UnusableVideo
from tcc.video.decode import TimestampsDisagree, sample_pictures
from tcc.video.files import atomic_file, remove_parts, sync_file
from tcc.video.inventory import safe_file_name, source_state
from tcc.video.merge import FramesFile, check_frames_file
from tcc.video.probe import ClipInfo
from tcc.video.shards import ClipRecord, ClipWriter

CLIPS_FOLDER = "clips"
_FRAMES_SUFFIX = ".tfrecord"
_FAILED_SUFFIX = ".failed.json"
# Not the clip's fault: the stage fails and can be run again when there is room.
_FATAL_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.ENOMEM)


@dataclass(frozen=True)
class DecodeJob:
    """One clip to decode: `source` is its video, `target` the file to write."""

    clip: ClipInfo
    source: str
    target: str
    config: FramesConfig
    min_frames: int


@dataclass(frozen=True)
class FramesResult:
    """What became of the clips; the same inputs and settings give the same result, also after a resumption.

    Attributes:
      counts: {"in", "out", "skipped"}, numbers of clips.
      skipped: [{"clip", "reason"}] in the order of the clips.
      clips: [{"clip", "file", "num_frames", "last_seconds", "bytes", "decoder", "sha256", "missing_frames", "black"}] in
        the order of the clips; `file` is relative to the directory, `last_seconds` the last frame's timestamp, `sha256`
        that of the video, `missing_frames` counts those that could not be decoded, `black` tells whether no frame shows
        anything (its brightest frame has a mean level below 8 of 255).
    """

    counts: Dict[str, int]
    skipped: List[Dict[str, str]]
    clips: List[Dict[str, Any]]


def decode_clip(job: DecodeJob) -> None:
    """Decode one clip into its file of frames.

    Raises: VideoError if the video cannot be used or has too few frames; then there is no file.
    """
    try:
        _decode_with(job, job.clip.decoder or "opencv")
    except TimestampsDisagree:
        # The first frames, which the probe compared, did not show it.
        _decode_with(job, "opencv" if job.clip.decoder == "pyav" else "pyav")


def _decode_with(job: DecodeJob, decoder: str) -> None:
    clip, config = job.clip, job.config
    with ClipWriter(job.target, name=clip.name, source_fps=clip.fps, sha256=clip.sha256, decoder=decoder) as writer:
        picture, jpeg, brightness = None, b"", 0.0
        samples = sample_pictures(
            job.source, config, decoder=decoder, image_fps=clip.fps, on_missing=writer.set_missing_frames
        )
        for sample in samples:
            if sample.picture is not picture:
                picture = sample.picture
                jpeg, brightness = picture.jpeg(config.jpeg_quality, config.chroma), picture.brightness()
            writer.add(sample.seconds, jpeg, source_frame=sample.source_frame, brightness=brightness)
        count = len(writer.timestamps)
        if count < job.min_frames:
            raise UnusableVideo(
                job.source, f"too short: {count} frames at {job.config.fps:g} fps, needs {job.min_frames}"
            )


def write_frames(
    clips: Sequence[ClipInfo],
    source: Union[str, Path],
    directory: Union[str, Path],
    config: FramesConfig,
    *,
    min_frames: int,
    workers: int,
    timeout_seconds: float,
    progress: Progress = silent,
    decode: Callable[[DecodeJob], None] = decode_clip,
) -> FramesResult:
    """Decode clips into `directory`/clips, one file each; a clip that cannot be decoded is skipped with its reason.

    May be interrupted at any time: what is whole is kept and checked, and a clip that failed or crashed is remembered
    (`.failed.json` beside the files) and not tried again. One that hung is tried again by the next call: its disk or the
    machine may have been slow for a while. A directory belongs to one `config`; delete it to start afresh.

    Args:
      clips: from `probe_clips`, with sha256 filled in; one with a `problem` is skipped.
      source: folder that the clips' names are relative to.
      min_frames: a clip with fewer sampled frames is skipped.
      workers: processes. timeout_seconds: a clip whose decoder makes no progress for so long is given up.
      decode: does the work on one DecodeJob; a function of an importable module.
    Raises: OSError if the disk is full or read-only; VideoError if no process can be started, or a video goes away or
      changes while it is decoded: nothing is remembered of it then.
    """
    folder = Path(directory, CLIPS_FOLDER)
    folder.mkdir(parents=True, exist_ok=True)
    remove_parts(folder)
    jobs = [_job(clip, Path(source), folder, config, min_frames) for clip in clips if not clip.problem]
    whole = {job.clip.name: entry for job, entry in zip(jobs, map(_entry, jobs)) if entry is not None}
    for job in jobs:
        if (_failure(job) or "").startswith(HUNG):
            _failed_path(job).unlink()
    todo = [job for job in jobs if job.clip.name not in whole and _failure(job) is None]
    # The longest first: a long clip at the end would leave the other processes idle.
    todo.sort(key=lambda job: -job.clip.num_frames)
    _decode_all(todo, decode, workers, timeout_seconds, _Meter(jobs, todo, progress))
    whole.update((job.clip.name, entry) for job, entry in zip(todo, map(_new_entry, todo)) if entry is not None)
    return _result(clips, {job.clip.name: job for job in jobs}, whole)


def _job(clip: ClipInfo, source: Path, folder: Path, config: FramesConfig, min_frames: int) -> DecodeJob:
    harmless, digest = safe_file_name(clip.name)
    target = folder / f"{harmless}-{digest}{_FRAMES_SUFFIX}"
    return DecodeJob(clip, str(source / clip.name), str(target), config, min_frames)


class _Meter:
    """Progress in frames of the videos, since clips differ in length."""

    def __init__(self, jobs: Sequence[DecodeJob], todo: Sequence[DecodeJob], progress: Progress) -> None:
        self._progress = progress
        self._total = max(1, sum(job.clip.num_frames for job in jobs))
        self._done = self._total - sum(job.clip.num_frames for job in todo)
        self._clips, self._clips_done = len(jobs), len(jobs) - len(todo)
        self._report()

    def add(self, clip: ClipInfo) -> None:
        """One more clip is done."""
        self._done += clip.num_frames
        self._clips_done += 1
        self._report()

    def _report(self) -> None:
        self._progress(min(1.0, self._done / self._total), f"{self._clips_done} of {self._clips} clips decoded")


def _decode_all(
    todo: Sequence[DecodeJob], decode: Callable[[DecodeJob], None], workers: int, timeout_seconds: float, meter: _Meter
) -> None:
    states = [source_state(job.source) for job in todo]

    def settle(position: int, outcome: Outcome) -> None:
        job, error = todo[position], outcome.exception
        if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in _FATAL_ERRORS):
            raise error
        if source_state(job.source) != states[position]:
            Path(job.target).unlink(missing_ok=True)
            raise VideoError(f"{job.source}: went away or changed while it was decoded; run again when it is there")
        if outcome.reason:
            _remember_failure(job, outcome.problem)
        else:
            sync_file(Path(job.target))
        meter.add(job.clip)

    run_isolated(decode, todo, workers=workers, timeout_seconds=timeout_seconds, on_result=settle)


def _failed_path(job: DecodeJob) -> Path:
    return Path(job.target).with_suffix(_FAILED_SUFFIX)


def _remember_failure(job: DecodeJob, reason: str) -> None:
    with atomic_file(_failed_path(job)) as file:
        file.write(json.dumps({"clip": job.clip.name, "sha256": job.clip.sha256, "reason": reason}).encode())


def _failure(job: DecodeJob) -> Optional[str]:
    """Why the clip failed earlier; None if it did not."""
    try:
        failure = json.loads(_failed_path(job).read_bytes())
        return str(failure["reason"]) if failure["sha256"] == job.clip.sha256 else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _entry(job: DecodeJob) -> Optional[Dict[str, Any]]:
    """What the result says of a clip's file; None if it is not there, damaged, or of another version of the clip."""
    try:
        record = check_frames_file(job.target)
    except ShardError:
        return None
    sync_file(Path(job.target))  # a killed run may have had no time to
    return _described(job, record)


def _new_entry(job: DecodeJob) -> Optional[Dict[str, Any]]:
    """The same of a file that was written just now: what follows its head is checked when it is read for a shard."""
    try:
        with FramesFile(job.target) as frames:
            return _described(job, frames.record)
    except ShardError:
        return None


def _described(job: DecodeJob, record: ClipRecord) -> Optional[Dict[str, Any]]:
    path = Path(job.target)
    if (record.name, record.sha256) != (job.clip.name, job.clip.sha256):
        return None
    return {
        "clip": record.name,
        "file": f"{CLIPS_FOLDER}/{path.name}",
        "num_frames": len(record.timestamps),
        "last_seconds": float(record.timestamps[-1]),
        "bytes": path.stat().st_size,
        "decoder": record.decoder,
        "sha256": record.sha256,
        "missing_frames": record.missing_frames,
        "black": record.black,
    }


def _result(clips: Sequence[ClipInfo], jobs: Dict[str, DecodeJob], whole: Dict[str, Dict[str, Any]]) -> FramesResult:
    kept, skipped = [], []
    for clip in clips:
        entry = whole.get(clip.name)
        reason = clip.problem or _failure(jobs[clip.name]) or "the decoder left no whole file"
        if entry is None:
            skipped.append({"clip": clip.name, "reason": reason})
        else:
            kept.append(entry)
    return FramesResult({"in": len(clips), "out": len(kept), "skipped": len(skipped)}, skipped, kept)
