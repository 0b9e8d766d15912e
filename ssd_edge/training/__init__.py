"""Training on a sequence of tasks: configuration, trainer, run folders, metrics."""

from ssd_edge.training.api import resume, train
from ssd_edge.training.backbone import train_backbone
from ssd_edge.training.comparison import compare
from ssd_edge.training.config import TrainConfig
from ssd_edge.training.interrupt import Interrupted
from ssd_edge.training.run import Run
from ssd_edge.training.table import Comparison

__all__ = ["Comparison", "Interrupted", "Run", "TrainConfig", "compare", "resume", "train", "train_backbone"]
