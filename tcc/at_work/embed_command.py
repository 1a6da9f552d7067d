"""`python -m tcc embed RUN VIDEO ... --to FILE.npz`: embeddings of whole videos."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from tcc.at_work.command_line import add_parser, embedded, exit_code, open_model
from tcc.errors import TccError
from tcc.sequences import save_sequences


def register(commands: Any) -> None:
    """Add the command to a parser's."""
    parser = add_parser(commands, "embed", text="embeddings of whole videos by a trained model", run=embed)
    parser.add_argument("videos", nargs="+", type=Path, metavar="VIDEO", help="videos, or folders of videos")
    parser.add_argument("--to", required=True, type=Path, metavar="FILE.npz", help="new file to write")


def embed(options: argparse.Namespace) -> int:
    """Embed the videos and write one file; 1 if some were skipped."""
    from tcc.at_work.videos import find_videos

    if options.to.exists():
        raise TccError(f"{options.to}: is there already; give a new file, so that nothing of yours is overwritten")
    videos = find_videos(options.videos)
    model = open_model(options)
    options.to.parent.mkdir(parents=True, exist_ok=True)
    clips = [one.clip for one in embedded(model, videos, options, options.to.parent) if one.clip is not None]
    code = exit_code(options, len(clips))
    save_sequences(options.to, clips, phases=(), fingerprint=model.fingerprint)
    print(f"{len(clips)} clips, {sum(map(len, clips))} frames, {clips[0].values.shape[1]}-d: {options.to}")
    return code
