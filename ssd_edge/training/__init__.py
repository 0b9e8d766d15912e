"""Training on a sequence of tasks: configuration, trainer, run folders, metrics."""

from ssd_edge.training.api import resume, train
from ssd_edge.training.config import TrainConfig
from ssd_edge.training.encoder import EncoderConfig, train_encoder
from ssd_edge.training.interrupt import Interrupted
from ssd_edge.training.run import Run

__all__ = ["EncoderConfig", "Interrupted", "Run", "TrainConfig", "resume", "train", "train_encoder"]
