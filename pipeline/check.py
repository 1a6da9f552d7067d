"""CheckTask: one table of every clip and what is wrong with it; stops a run whose clips are mostly bad."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import Any, Dict, List, Optional

import luigi.cmdline_parser

from pipeline.base import Job, Made, StageTask
from pipeline.catalog import set_name, split_options
from pipeline.clips import ClipsTask, read_clips
from pipeline.frames import FramesTask, read_frames_index
from pipeline.videos import VideosTask, read_ready_made
from tcc.config import SPLITS, Settings
from tcc.errors import VideoError

CHECK_TEXT = "check.txt"
CHECK_CSV = "check.csv"


class CheckTask(StageTask):
    """Put together what ClipsTask and FramesTask found; nothing is decoded. Fails where too many clips are bad."""

    stage = "checks"
    version = 2
    counts_clips = True

    @classmethod
    def upstream(cls, settings: Settings, **params: Any) -> Dict[str, Any]:
        if settings.videos.ready_made:
            return {"videos": VideosTask()}
        return {"clips": ClipsTask(), "frames": [FramesTask(chunk=i) for i in range(settings.shards.num_chunks)]}

    @classmethod
    def own_settings(cls, settings: Settings, **params: Any) -> Dict[str, Any]:
        own = {
            "max_bad_fraction": settings.clips.max_bad_fraction,
            "splits": split_options(settings),
            "batch_size": settings.training.batch_size,
        }
        return {**own, "phases": list(settings.videos.phases)} if settings.videos.ready_made else own

    @classmethod
    def readable(cls, settings: Settings, **params: Any) -> str:
        return set_name(settings)

    @classmethod
    def get_param_values(cls, params: Any, args: Any, kwargs: Any) -> Any:
        """Asked for by name it is done again, which takes a moment, so that its table is always shown."""
        return super().get_param_values(params, args, {**kwargs, "rerun": True} if _is_what_was_asked_for() else kwargs)

    def make(self, job: Job) -> Made:
        from tcc.video import check

        checks = self._checks(job.settings)
        whole_run = {**dict.fromkeys(SPLITS, 1), "train": job.settings.training.batch_size}
        warnings = [*self._warnings(), *check.too_few(check.usable_clips(checks), whole_run)]
        text = check.as_text(checks, warnings)
        (job.directory / CHECK_TEXT).write_text(text, encoding="utf-8")
        (job.directory / CHECK_CSV).write_bytes(check.as_csv(checks).encode("utf-8", "surrogateescape"))
        problem = check.too_many(checks, job.settings.clips.max_bad_fraction)
        if problem:
            raise VideoError(f"{problem}. All clips: {job.directory / CHECK_TEXT}")
        counts = {"in": len(checks), "out": len(checks), "skipped": 0, "with_problems": len(check.bad_clips(checks))}
        return Made(counts=counts)

    def _warnings(self) -> List[str]:
        """What the stages before had to say of the folder, the labels and the download."""
        upstream = self.requires()
        stages = (
            [upstream["videos"]]
            if "videos" in upstream
            else [upstream["clips"].requires()["videos"], upstream["clips"]]
        )
        return [text for task in stages for text in task.manifest()["result"].get("warnings", [])]

    def _checks(self, settings: Settings) -> List[Any]:
        from tcc.video.check import check_clips

        upstream = self.requires()
        if settings.videos.ready_made:
            return self._ready_made(settings, upstream["videos"].directory)
        decoded, skipped = {}, {}
        for task in upstream["frames"]:
            decoded.update({row["clip"]: row for row in read_frames_index(task.directory)})
            skipped.update({row["clip"]: row["reason"] for row in task.manifest()["result"]["skipped"]})
        return check_clips(read_clips(upstream["clips"].directory), decoded, skipped)

    def _ready_made(self, settings: Settings, videos: Path) -> List[Any]:
        from tcc.video.check import ClipCheck
        from tcc.video.ready_made import phase_names

        rows = read_ready_made(settings, videos)
        phases = phase_names(rows, settings.videos.phases)
        return [
            ClipCheck(
                clip=row["clip"],
                split=row["split"],
                codec="jpeg",
                frames=row["num_frames"],
                sampled=row["num_frames"],
                phases=[phases[label] for label in row["labels"]],
            )
            for row in rows
        ]

    def run(self) -> None:
        try:
            super().run()
        finally:
            if _is_what_was_asked_for():
                sys.stdout.write(self.table() or "")
                sys.stdout.flush()

    def table(self) -> Optional[str]:
        """The table of all clips, also of a check that failed; None if none was made."""
        for folder in (self.directory, self.work_directory):
            path = Path(folder, CHECK_TEXT)
            if path.exists():
                return path.read_text(encoding="utf-8")
        return None

    def rows(self) -> List[Dict[str, str]]:
        """The same as rows; none if it was not made."""
        for folder in (self.directory, self.work_directory):
            if Path(folder, CHECK_CSV).exists():
                return read_checks(folder)
        return []


def read_checks(directory: Path) -> List[Dict[str, str]]:
    """The rows of the table that CheckTask wrote."""
    with open(directory / CHECK_CSV, newline="", encoding="utf-8", errors="surrogateescape") as file:
        return list(csv.DictReader(file))


def _is_what_was_asked_for() -> bool:
    parser = luigi.cmdline_parser.CmdlineParser.get_instance()
    return parser is not None and parser.known_args.root_task == CheckTask.__name__
