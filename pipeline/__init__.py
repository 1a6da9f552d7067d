"""The pipeline's tasks; `luigi --module pipeline RunAll` finds them here."""

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
