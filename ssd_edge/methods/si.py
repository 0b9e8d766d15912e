"""SI: synaptic intelligence (Zenke, Poole and Ganguli, ICML 2017)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ssd_edge.methods.method import Batch, Task
from ssd_edge.methods.quadratic import QuadraticPenalty, grown, parameters, with_prefix
from ssd_edge_runtime.errors import OptionError


@dataclass(frozen=True)
class SIOptions:
    """As in the paper."""

    strength: float = 0.1
    """c, the weight of the penalty."""
    damping: float = 0.1
    """xi, keeps the importance of weights that hardly moved from exploding."""

    def __post_init__(self) -> None:
        OptionError.unless(self.strength >= 0.0, f"strength must not be negative, got {self.strength}")
        OptionError.unless(self.damping > 0.0, f"damping must be positive, got {self.damping}")


class SI(QuadraticPenalty):
    """``L + c sum_i Omega_i (theta_i - theta*_i)^2``, theta* the weights the last task ended with.

    Along the path of a task ``omega_i = - sum over steps of g_i dtheta_i``, g the gradient of the task's own loss:
    what weight i contributed to the fall of the loss. Then ``Omega_i += omega_i / (Dtheta_i^2 + xi)``.
    """

    name: ClassVar[str] = "si"
    keeps_before: ClassVar[bool] = True
    Options: ClassVar[type[SIOptions]] = SIOptions
    options: SIOptions

    def __init__(self, **options: float) -> None:
        super().__init__(**options)
        self.path: dict[str, Tensor] = {}
        """omega, by parameter name."""
        self.start: dict[str, Tensor] = {}
        """Weights at the task's start."""

    def before_task(self, task: Task) -> None:
        """A new path from here; resuming inside a task goes on with the old one."""
        if not self.start:
            self.start = {name: value.detach().clone() for name, value in parameters(task.network).items()}
            self.path = {name: torch.zeros_like(value) for name, value in self.start.items()}

    def after_batch(self, batch: Batch, task: Task, before: Mapping[str, Tensor]) -> None:
        """One more step of the path; the penalty's own share is taken out of the gradient."""
        for name, value in parameters(task.network).items():
            penalty = self.options.strength * self.pull.gradient(name, before[name])
            gradient = task.gradients[name] - (penalty if task.teacher is not None else 0.0)
            self.path[name] -= gradient * (value.detach() - before[name])

    def after_task(self, task: Task) -> None:
        """From the path to the importance; all of Omega is anchored anew."""
        importance = {}
        for name, value in parameters(task.network).items():
            moved = value.detach() - grown(self.start[name], value)
            # A path that made the loss rise says nothing about importance.
            importance[name] = self.path[name].clamp_min(0.0) / (moved.square() + self.options.damping)
        self.pull.anchor_all(importance, task.network)
        self.start, self.path = {}, {}

    def tensors(self) -> dict[str, Tensor]:
        """The pull, and the path of the task in hand."""
        paths = {f"path.{name}": tensor for name, tensor in self.path.items()}
        starts = {f"start.{name}": tensor for name, tensor in self.start.items()}
        return super().tensors() | paths | starts

    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Take them back."""
        super().load_tensors(tensors)
        self.path, self.start = with_prefix(tensors, "path."), with_prefix(tensors, "start.")
