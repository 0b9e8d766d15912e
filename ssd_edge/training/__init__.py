"""Training on a sequence of tasks: configuration, trainer, run folders, metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ssd_edge_runtime.lazy import lazy

if TYPE_CHECKING:
    from ssd_edge.training.api import resume, train
    from ssd_edge.training.config import TrainConfig
    from ssd_edge.training.encoder import EncoderConfig, train_encoder
    from ssd_edge.training.interrupt import Interrupted
    from ssd_edge.training.run import Run

__all__ = ["EncoderConfig", "Interrupted", "Run", "TrainConfig", "resume", "train", "train_encoder"]
__getattr__, __dir__ = lazy(
    __name__,
    {
        "api": ("resume", "train"),
        "config": ("TrainConfig",),
        "encoder": ("EncoderConfig", "train_encoder"),
        "interrupt": ("Interrupted",),
        "run": ("Run",),
    },
)
