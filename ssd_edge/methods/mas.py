"""MAS: memory aware synapses (Aljundi et al., ECCV 2018)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ssd_edge.methods.method import Task
from ssd_edge.methods.persample import mean_over_samples
from ssd_edge.methods.quadratic import QuadraticPenalty
from ssd_edge_runtime.errors import OptionError


@dataclass(frozen=True)
class MASOptions:
    """One weight."""

    strength: float = 1.0
    """lambda, the weight of the penalty."""

    def __post_init__(self) -> None:
        OptionError.unless(self.strength >= 0.0, f"strength must not be negative, got {self.strength}")


class MAS(QuadraticPenalty):
    """``L + lambda sum_i Omega_i (theta_i - theta*_i)^2``, theta* the weights the last task ended with.

    Omega is summed over tasks; each task adds the mean over its samples of
    ``|d ||logits||^2 / d theta|``: how much a weight sways the output, right or wrong.
    """

    name: ClassVar[str] = "mas"
    Options: ClassVar[type[MASOptions]] = MASOptions
    options: MASOptions

    def after_task(self, task: Task) -> None:
        """Measure the sensitivity; all of Omega is anchored anew."""
        self.pull.anchor_all(self.sensitivity(task), task.network)

    def sensitivity(self, task: Task) -> dict[str, Tensor]:
        """``1/N sum_n |d ||logits_n||^2 / d theta|``, by parameter name."""
        return mean_over_samples(task, lambda logits: logits.square().sum(dim=1), torch.abs)
