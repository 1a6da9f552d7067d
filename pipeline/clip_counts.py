"""Whether there are clips enough for what was asked for, told as soon as it is known.

What training takes is known when the tasks are laid out, and what there is becomes known bit by bit: how many clips the folder
has, how many of them can be opened (ClipsTask), and how many could be decoded (CheckTask). Each time it is compared, so that
nothing is decoded for a run that must fail.
"""

from __future__ import annotations

from collections import Counter
from typing import Dict, Mapping, Optional

import luigi
import luigi.cmdline_parser

from pipeline.base import tasks_in_order
from pipeline.catalog import catalog
from pipeline.check import CheckTask, read_checks
from pipeline.clips import ClipsTask, read_clips
from tcc.config import Settings
from tcc.errors import VideoError
from tcc.video.check import too_few


def refuse_too_few(settings: Settings, needed: Mapping[str, int]) -> None:
    """Raise VideoError, naming all that is missing and the fix, if a split is known to have fewer clips than `needed`."""
    usable = usable_clips(settings) if needed else None
    problems = too_few(usable, needed) if usable is not None else []
    if problems:
        raise VideoError(
            f"too few clips: {'; '.join(problems)}. luigi --module pipeline CheckTask --local-scheduler tells what became of"
            " each clip"
        )


def usable_clips(settings: Settings) -> Optional[Dict[str, int]]:
    """How many clips each split has, as far as known today; None for ready-made TFRecords that nobody has read yet."""
    check = CheckTask()
    if check.complete():
        return Counter(row["split"] for row in read_checks(check.directory) if row["sampled"])
    if settings.videos.ready_made:
        return None
    clips = ClipsTask()
    if clips.complete():
        return Counter(row["split"] for row in read_clips(clips.directory) if not row["problem"])
    return Counter(clip.split for clip in catalog(settings).clips)


def clips_asked_for() -> Dict[str, int]:
    """How many clips of each split the task on Luigi's command line needs, with all that it requires."""
    parser = luigi.cmdline_parser.CmdlineParser.get_instance()
    if parser is None:
        return {}
    asked_for = parser.get_task_obj()
    last = asked_for.requires() if isinstance(asked_for, luigi.WrapperTask) else [asked_for]
    needed: Counter[str] = Counter()
    for task in tasks_in_order(*last):
        needed |= Counter(task.clips_needed(task.settings))
    return needed
