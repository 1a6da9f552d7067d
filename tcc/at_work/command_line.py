"""What the commands that use a trained model have in common: their options, the model, the videos, the exit code."""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Iterator, List, Sequence

from tcc.config import DeviceConfig, ExecutionConfig
from tcc.device import open_device, tensorflow_environment
from tcc.errors import TccError

if TYPE_CHECKING:
    from tcc.at_work.embed import EmbeddedVideo
    from tcc.at_work.model_folder import TrainedModel
    from tcc.at_work.videos import Video


def add_parser(commands: Any, name: str, *, text: str, run: Any) -> argparse.ArgumentParser:
    """A command whose first argument is RUN; the options that all share."""
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    parser.set_defaults(run=run)
    parser.add_argument(
        "model", type=Path, metavar="RUN", help="folder of a trained model: data/models/<run>-<fingerprint>"
    )
    defaults = ExecutionConfig()
    parser.add_argument("--device", default=DeviceConfig().kind, choices=("auto", "npu", "gpu", "cpu"))
    parser.add_argument(
        "--workers", type=int, default=defaults.decode_workers, metavar="N", help="processes that decode videos"
    )
    parser.add_argument(
        "--timeout",
        type=float,
        default=defaults.clip_timeout_seconds,
        metavar="SECONDS",
        help="a video whose decoder makes no progress for so long is given up",
    )
    return parser


def execution_of(options: argparse.Namespace) -> ExecutionConfig:
    """Raises: SettingsError for illegal values."""
    return ExecutionConfig(decode_workers=options.workers, clip_timeout_seconds=options.timeout)


def open_model(options: argparse.Namespace) -> TrainedModel:
    """Open the device, then the model."""
    # As in the pipeline's stages, and before TensorFlow is imported: the same model gives the same bits.
    for name, value in tensorflow_environment().items():
        os.environ.setdefault(name, value)
    with _quiet():
        from tcc.at_work.model_folder import load_model

        open_device(options.device)
        return load_model(options.model)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hold back what native code writes to standard error, which no variable stops; it is shown if the block fails."""
    sys.stderr.flush()
    shown = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException as error:
            if not isinstance(error, TccError):
                held.seek(0)
                os.write(shown, held.read())
            raise
        finally:
            os.dup2(shown, 2)
            os.close(shown)


def embedded(
    model: TrainedModel, videos: Sequence[Video], options: argparse.Namespace, scratch: Path
) -> Iterator[EmbeddedVideo]:
    """The videos that can be used, embedded; the others are named on standard error, and counted in `options.skipped`."""
    from tcc.at_work.embed import embed_videos

    execution = execution_of(options)
    for one in embed_videos(model, videos, scratch=scratch, execution=execution, progress=_show):
        if one.problem:
            options.skipped = getattr(options, "skipped", 0) + 1
            print(f"skipped {one.video.path}: {one.problem}", file=sys.stderr)
        else:
            yield one


def exit_code(options: argparse.Namespace, used: int) -> int:
    """0, or 1 if videos were skipped. Raises: TccError if none is left."""
    skipped = getattr(options, "skipped", 0)
    if not used:
        raise TccError(f"none of the {skipped} videos can be used; nothing was written")
    if skipped:
        print(f"{skipped} of {used + skipped} videos skipped", file=sys.stderr)
    return 1 if skipped else 0


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder to write into, which takes the place of `path` when the block ends, and vanishes if it fails.

    Raises: TccError if there is something at `path` already.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise TccError(f"{path}: is not empty; give a new folder, so that nothing of yours is overwritten")
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}-"))
    try:
        yield folder
        folder.chmod(0o755)
        os.replace(folder, path)  # also over an empty folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _show(fraction: float, status: str) -> None:
    if sys.stderr.isatty():
        print(f"\r{100 * fraction:3.0f} %  {status}", end="\n" if fraction >= 1 else "", file=sys.stderr, flush=True)


def names_of(videos: Sequence[Video]) -> List[str]:
    """What their clips are called."""
    return [video.name for video in videos]
