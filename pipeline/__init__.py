"""The pipeline's tasks; `luigi --module pipeline RunAll` finds them here."""

import configparser as _configparser
import sys as _sys

from tcc.errors import config_file_error as _config_file_error

try:
    import luigi as _luigi  # noqa: F401  it reads luigi.cfg
except (_configparser.Error, UnicodeDecodeError) as _error:
    print(f"error: {_config_file_error(_error)}", file=_sys.stderr)
    raise SystemExit(2) from None

from pipeline.check import CheckTask
from pipeline.clips import ClipsTask
from pipeline.embedding import EmbedTask
from pipeline.evaluation import EvalTask
from pipeline.export import ExportTask
from pipeline.features import FeaturesTask, MirroredFeaturesTask
from pipeline.frames import FramesTask
from pipeline.model import ModelTask
from pipeline.report import ReportTask
from pipeline.run_all import RunAll
from pipeline.selection import SelectTask
from pipeline.shards import ShardsTask
from pipeline.training import TrainTask
from pipeline.videos import VideosTask
from pipeline.weights import WeightsTask

__all__ = [
    "CheckTask",
    "ClipsTask",
    "EmbedTask",
    "EvalTask",
    "ExportTask",
    "FeaturesTask",
    "FramesTask",
    "MirroredFeaturesTask",
    "ModelTask",
    "ReportTask",
    "RunAll",
    "SelectTask",
    "ShardsTask",
    "TrainTask",
    "VideosTask",
    "WeightsTask",
]
