"""EWC: elastic weight consolidation (Kirkpatrick et al., PNAS 2017), with Bricken et al.'s beta."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from ssd_edge.methods.method import Task
from ssd_edge.methods.persample import mean_over_samples
from ssd_edge.methods.quadratic import QuadraticPenalty
from ssd_edge_runtime.errors import OptionError


@dataclass(frozen=True)
class EWCOptions:
    """Bricken et al.'s for CIFAR-10 embeddings; 200 and .005, theirs for Split MNIST, do nothing here."""

    strength: float = 100.0
    """lambda, the weight of the penalty."""
    beta: float = 0.08
    """Logits are multiplied by it before the softmax of the Fisher information: a flat softmax keeps it alive."""

    def __post_init__(self) -> None:
        OptionError.unless(self.strength >= 0.0, f"strength must not be negative, got {self.strength}")
        OptionError.unless(self.beta > 0.0, f"beta must be positive, got {self.beta}")


class EWC(QuadraticPenalty):
    """``L + lambda sum_t sum_i F_ti (theta_i - theta*_ti)^2``.

    F is the diagonal of the Fisher information after task t: the mean over its samples of the squared gradient of
    ``-log softmax(beta logits)`` at the predicted label.
    """

    name: ClassVar[str] = "ewc"
    Options: ClassVar[type[EWCOptions]] = EWCOptions
    options: EWCOptions

    def after_task(self, task: Task) -> None:
        """Measure the Fisher information, anchored at the weights the task ended with."""
        self.pull.add(self.fisher(task), task.network)

    def fisher(self, task: Task) -> dict[str, Tensor]:
        """Its diagonal, by parameter name."""

        def loss_of(logits: Tensor) -> Tensor:
            log_p = functional.log_softmax(self.options.beta * logits, dim=1)
            return -log_p.gather(1, logits.argmax(dim=1, keepdim=True)).squeeze(1)

        return mean_over_samples(task, loss_of, torch.square)
