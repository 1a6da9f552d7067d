"""CheckTask: one table of every clip and what is wrong with it; stops a run whose clips are mostly bad."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Dict, List

import luigi.cmdline_parser

from pipeline.base import Job, Made, StageTask
from pipeline.catalog import set_name, split_options
from pipeline.clips import ClipsTask, read_clips
from pipeline.frames import FramesTask, read_frames_index
from pipeline.videos import VideosTask, read_ready_made
from tcc.config import Settings
from tcc.errors import VideoError

CHECK_TEXT = "check.txt"
CHECK_CSV = "check.csv"


class CheckTask(StageTask):
    """Put together what ClipsTask and FramesTask found; nothing is decoded. Fails where too many clips are bad."""

    stage = "checks"
    version = 1

    @classmethod
    def upstream(cls, settings: Settings, **params: Any) -> Dict[str, Any]:
        if settings.videos.ready_made:
            return {"videos": VideosTask()}
        return {"clips": ClipsTask(), "frames": [FramesTask(chunk=i) for i in range(settings.shards.num_chunks)]}

    @classmethod
    def own_settings(cls, settings: Settings, **params: Any) -> Dict[str, Any]:
        return {"max_bad_fraction": settings.clips.max_bad_fraction, "splits": split_options(settings)}

    @classmethod
    def readable(cls, settings: Settings, **params: Any) -> str:
        return set_name(settings)

    def make(self, job: Job) -> Made:
        from tcc.video import check

        checks = self._checks(job.settings)
        (job.directory / CHECK_TEXT).write_text(check.as_text(checks), encoding="utf-8")
        (job.directory / CHECK_CSV).write_text(check.as_csv(checks), encoding="utf-8")
        problem = check.too_many(checks, job.settings.clips.max_bad_fraction)
        if problem:
            raise VideoError(f"{problem}. All clips: {job.directory / CHECK_TEXT}")
        counts = {"in": len(checks), "out": len(checks), "skipped": 0, "with_problems": len(check.bad_clips(checks))}
        return Made(counts=counts)

    def _checks(self, settings: Settings) -> List[Any]:
        from tcc.video.check import ClipCheck, check_clips

        upstream = self.requires()
        if settings.videos.ready_made:
            rows = read_ready_made(settings, upstream["videos"].directory)
            return [ClipCheck(row["clip"], row["split"], "jpeg", row["num_frames"]) for row in rows]
        decoded, skipped = {}, {}
        for task in upstream["frames"]:
            decoded.update({row["clip"]: row for row in read_frames_index(task.directory)})
            skipped.update({row["clip"]: row["reason"] for row in task.manifest()["result"]["skipped"]})
        return check_clips(read_clips(upstream["clips"].directory), decoded, skipped)

    def run(self) -> None:
        try:
            super().run()
        finally:
            if _is_what_was_asked_for():
                self.show()

    def show(self) -> bool:
        """Print the table, also of a check that failed; whether there is one."""
        for folder in (self.directory, self.work_directory):
            path = Path(folder, CHECK_TEXT)
            if path.exists():
                sys.stdout.write(path.read_text(encoding="utf-8"))
                sys.stdout.flush()
                return True
        return False


def _is_what_was_asked_for() -> bool:
    parser = luigi.cmdline_parser.CmdlineParser.get_instance()
    return parser is not None and parser.known_args.root_task == CheckTask.__name__
