"""`python -m tcc align RUN A B --to DIR`: matching moments of two videos as a table, and both side by side in step."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any, List, Tuple

from tcc.at_work.command_line import add_parser, embedded, exit_code, new_folder, open_model
from tcc.errors import SettingsError, VideoError

if TYPE_CHECKING:
    from tcc.at_work.align import Matches
    from tcc.at_work.embed import EmbeddedVideo
    from tcc.at_work.model_folder import TrainedModel
    from tcc.sequences import ClipSequence

MATCHES, ALIGNED = "matches.csv", "aligned.mp4"
_PANEL_PIXELS = 224


def register(commands: Any) -> None:
    """Add the command to a parser's."""
    parser = add_parser(
        commands, "align", text="matching moments of two videos: a table, and a video of both", run=align
    )
    parser.add_argument("a", type=Path, metavar="A", help="video whose every frame is matched")
    parser.add_argument("b", type=Path, metavar="B", help="video that it is matched with")
    parser.add_argument("--to", required=True, type=Path, metavar="DIR", help="new or empty folder to write to")
    ways = parser.add_mutually_exclusive_group()
    ways.add_argument(
        "--nearest",
        dest="way",
        action="store_const",
        const="nearest",
        default="warp",
        help="each frame's nearest, without regard to order",
    )
    ways.add_argument(
        "--subsequence", dest="way", action="store_const", const="subsequence", help="A happens somewhere inside B"
    )
    parser.add_argument(
        "--window",
        type=float,
        default=0.5,
        metavar="SECONDS",
        help="frames of B so near to a match count as the same moment, for the confidence",
    )


def align(options: argparse.Namespace) -> int:
    """Write matches.csv and aligned.mp4; 2 with a message if one of the videos cannot be used."""
    from tcc.at_work.align import write_matches

    if not 0 <= options.window < float("inf"):
        raise SettingsError(f"--window: must be 0 seconds or more, got {options.window:g}")
    with new_folder(options.to) as folder:
        model = open_model(options)
        a, b = _embed_both(model, options, folder)
        assert a.record is not None and b.record is not None and a.clip is not None
        matches, b_clip = _match(model, a, b, options)
        write_matches(folder / MATCHES, matches, a.record, b.record)
        _write_video(folder / ALIGNED, model, matches, a, b)
    _tell(model, matches, a.clip, b_clip, options)
    if options.way == "subsequence":
        start, end = b.record.timestamps[matches.b_steps[[0, -1]]]
        print(f"A happens in B from {start:.2f} s to {end:.2f} s")
    return 0


def _match(
    model: TrainedModel, a: EmbeddedVideo, b: EmbeddedVideo, options: argparse.Namespace
) -> Tuple[Matches, ClipSequence]:
    """Matches, and the embeddings of B that they rest on: of the whole, or of the part where A's action is."""
    from tcc.at_work.align import find_action, match_clips, overlapping_parts
    from tcc.at_work.embed import embed_parts

    assert b.record is not None and a.clip is not None and b.clip is not None
    settings = model.settings
    window, distance = round(options.window * settings.frames.fps), settings.evaluation.distance
    centered = settings.backbone.trained == "frozen" and settings.features.center
    if options.way != "subsequence" or not centered:
        return match_clips(a.clip, b.clip, way=options.way, window=window, distance=distance), b.clip
    parts = overlapping_parts(len(b.clip), len(a.clip))
    clips = embed_parts(model, b.record, parts)
    starts = [start for start, _ in parts]
    matches, best = find_action(a.clip, list(zip(starts, clips)), window=window, distance=distance)
    return matches, clips[best]


def _embed_both(model: TrainedModel, options: argparse.Namespace, scratch: Path) -> List[EmbeddedVideo]:
    """A and B; clips of different videos get different names."""
    from tcc.at_work.videos import Video

    for path in (options.a, options.b):
        if not path.is_file():
            raise VideoError(f"{path}: no such video; correct the path")
    paths = list(dict.fromkeys((options.a, options.b)))
    found = [one for path in paths for one in embedded(model, [Video(path.parent, path.name)], options, scratch)]
    if getattr(options, "skipped", 0):
        raise VideoError("both videos are needed; nothing was written")
    exit_code(options, len(found))
    if found[0].video.name == found[-1].video.name:
        found = [_renamed(one, str(path)) for one, path in zip(found, paths)]
    return [found[0], found[-1]]


def _renamed(one: EmbeddedVideo, name: str) -> EmbeddedVideo:
    assert one.record is not None and one.clip is not None
    record, clip = dataclasses.replace(one.record, name=name), dataclasses.replace(one.clip, name=name)
    return dataclasses.replace(one, record=record, clip=clip)


def _write_video(path: Path, model: TrainedModel, matches: Matches, a: EmbeddedVideo, b: EmbeddedVideo) -> None:
    from tcc.report import pair_of_matches, write_aligned_video

    assert a.record is not None and b.record is not None and a.clip is not None and b.clip is not None
    start, end = int(matches.b_steps.min()), int(matches.b_steps.max()) + 1
    # Of a long B only the part that is matched is shown, from its start.
    b_frames, b_clip, b_steps = b.record.frames[start:end], b.clip.take(slice(start, end)), matches.b_steps - start
    same = a.clip.name == b.clip.name
    if same:  # one video beside itself
        b_clip = dataclasses.replace(b_clip, name=f"{b_clip.name} (B)")
    pair = pair_of_matches(a.clip, b_clip, (matches.a_steps, b_steps), distance=model.settings.evaluation.distance)
    stretched = model.settings.frames.resize == "stretch"
    write_aligned_video(
        path,
        pair,
        {a.clip.name: a.record.frames, b_clip.name: b_frames},
        fps=model.settings.frames.fps,
        pixels=_PANEL_PIXELS,
        aspect=a.info.width / a.info.height if stretched else 1.0,
    )


def _tell(model: TrainedModel, matches: Matches, a: ClipSequence, b: ClipSequence, options: argparse.Namespace) -> None:
    import numpy as np

    defined = matches.confidence[~np.isnan(matches.confidence)]
    sure = f"median confidence {np.median(defined):.2f}" if len(defined) else "confidence undefined (B is too short)"
    print(f"{len(matches.a_steps)} matches, {sure}: {options.to}")
    for name, unlike, count in _unlike(model, (a, b)):
        print(f"{name}: {unlike} of {count} frames are unlike anything the model was trained on")


def _unlike(model: TrainedModel, clips: Tuple[ClipSequence, ClipSequence]) -> List[Tuple[str, int, int]]:
    from tcc.at_work.transfer import SeenFrames

    seen = SeenFrames(model)
    return [(name, int(seen.unlike(clip).sum()), len(clip)) for name, clip in zip("AB", clips)]
