"""Training: one step, the loop around it, checkpoints."""

from tcc.progress import Interrupted
from tcc.training.checkpoints import list_checkpoints, restore, restore_encoder, save
from tcc.training.history import read_history
from tcc.training.loop import StepDone, TrainingResult, train
from tcc.training.optimizer import Adam
from tcc.training.schedules import learning_rate_at
from tcc.training.step import TrainingStep

__all__ = [
    "Adam",
    "Interrupted",
    "StepDone",
    "TrainingResult",
    "TrainingStep",
    "learning_rate_at",
    "list_checkpoints",
    "read_history",
    "restore",
    "restore_encoder",
    "save",
    "train",
]
