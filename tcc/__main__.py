"""`python -m tcc`: a trained model on videos (embed, align, transfer), metrics of embeddings (evaluate), shards (export)."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import List, Optional

from tcc import evaluate_folder
from tcc.at_work import align_command, embed_command, transfer_command
from tcc.errors import TccError, explain


def main(arguments: Optional[List[str]] = None) -> int:
    """Parse the command line and do the work; the exit code: 0, or 2 with one line that says what was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tcc", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    export = commands.add_parser("export", help="shards to folders of images and labels.csv")
    export.add_argument("shards", nargs="+", type=Path, metavar="SHARD", help="TFRecord files")
    export.add_argument("--to", required=True, type=Path, metavar="DIR", help="new or empty folder to write to")
    export.add_argument(
        "--phases",
        default="",
        help="names of the labels 0, 1, ..., separated by commas; not needed where"
        " an index.json beside the shard has them",
    )
    export.add_argument("--fps", type=float, default=30.0, help="frames per second of shards that do not tell times")
    export.set_defaults(run=_export)
    evaluate = commands.add_parser("evaluate", help="metrics of embeddings that were made elsewhere")
    evaluate_folder.add_arguments(evaluate)
    evaluate.set_defaults(run=evaluate_folder.run)
    for module in (embed_command, align_command, transfer_command):
        module.register(commands)
    options = parser.parse_args(arguments)
    try:
        return int(options.run(options))
    except (TccError, OSError) as error:
        print(f"error: {explain(error)}", file=sys.stderr)
        return 2


def _export(options: argparse.Namespace) -> int:
    from tcc.video.export import export_shards

    if options.to.exists() and any(options.to.iterdir()):
        raise TccError(f"{options.to}: is not empty; give a new folder, so that nothing of yours is overwritten")
    phases = [name.strip() for name in options.phases.split(",") if name.strip()] or _phases_beside(options.shards[0])
    counts = export_shards(options.shards, options.to, phases=phases, fps_if_unknown=options.fps)
    print(f"{counts['clips']} clips, {counts['frames']} frames: {options.to}")
    return 0


def _phases_beside(shard: Path) -> List[str]:
    """The names of phases that a shard of ours has beside it."""
    try:
        return [str(name) for name in json.loads((shard.parent / "index.json").read_text(encoding="utf-8"))["phases"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []


if __name__ == "__main__":
    sys.exit(main())
