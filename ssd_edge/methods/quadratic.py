"""A quadratic pull towards earlier weights, shared by EWC, SI and MAS."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ssd_edge.methods.method import Batch, Method, Task
from ssd_edge.model import TopKNetwork


class QuadraticPull:
    """``P(theta) = sum over tasks t, weights i of importance_ti (theta_i - anchor_ti)^2``.

    Kept as ``A = sum_t importance_t``, ``B = sum_t importance_t anchor_t`` and
    ``c = sum importance_t anchor_t^2``, so that its size does not grow with the tasks:
    ``P = sum_i (A theta^2 - 2 B theta) + c``. Weights of classes that came later have no importance.
    """

    def __init__(self) -> None:
        self.importance: dict[str, Tensor] = {}
        """A, by parameter name."""
        self.pull: dict[str, Tensor] = {}
        """B."""
        self.constant = torch.zeros(())
        """c."""

    def add(self, importance: Mapping[str, Tensor], network: TopKNetwork) -> None:
        """One more task: its importance, anchored at the weights as they are now."""
        for name, value in parameters(network).items():
            anchor, new = value.detach(), importance[name]
            self.importance[name] = grown(self.importance.get(name), new) + new
            self.pull[name] = grown(self.pull.get(name), new) + new * anchor
            self.constant = self.constant.to(value.device) + (new * anchor.square()).sum()

    def anchor_all(self, importance: Mapping[str, Tensor], network: TopKNetwork) -> None:
        """More importance, all of it anchored anew at the weights as they are now."""
        total = {name: grown(self.importance.get(name), new) + new for name, new in importance.items()}
        self.importance, self.pull, self.constant = {}, {}, torch.zeros(())
        self.add(total, network)

    def penalty(self, network: TopKNetwork) -> Tensor:
        """P, with its gradient."""
        total = self.constant
        for name, value in parameters(network).items():
            if name in self.importance:
                known = value[: len(self.importance[name])]
                total = total + (known * (self.importance[name] * known - 2.0 * self.pull[name])).sum()
        return total

    def gradient(self, name: str, value: Tensor) -> Tensor:
        """``dP / d theta`` at ``value`` of the parameter ``name``: ``2 (A theta - B)``."""
        if name not in self.importance:
            return torch.zeros_like(value)
        importance, pull = grown(self.importance[name], value), grown(self.pull[name], value)
        return 2.0 * (importance * value - pull)

    def tensors(self) -> dict[str, Tensor]:
        """All of it, by name."""
        kept = {f"importance.{name}": tensor for name, tensor in self.importance.items()}
        return kept | {f"pull.{name}": tensor for name, tensor in self.pull.items()} | {"constant": self.constant}

    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Take back what ``tensors`` gave."""
        self.constant = tensors.get("constant", self.constant)
        self.importance = with_prefix(tensors, "importance.")
        self.pull = with_prefix(tensors, "pull.")


class QuadraticPenalty(Method):
    """Base of the methods that add ``strength * P`` to the loss, and say in ``after_task`` what matters."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.pull = QuadraticPull()

    def loss(self, loss: Tensor, batch: Batch, task: Task) -> Tensor:
        """With the penalty, once a task is behind."""
        if task.teacher is None:
            return loss
        penalty: Tensor = self.options.strength * self.pull.penalty(task.network)
        return loss + penalty

    def tensors(self) -> dict[str, Tensor]:
        """The pull towards earlier weights."""
        return self.pull.tensors()

    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Take it back."""
        self.pull.load_tensors(tensors)


def parameters(network: TopKNetwork) -> dict[str, nn.Parameter]:
    """All parameters that learn, by name."""
    return {name: value for name, value in network.named_parameters() if value.requires_grad}


def grown(tensor: Tensor | None, like: Tensor) -> Tensor:
    """``tensor`` with zero rows added until it has as many as ``like``."""
    if tensor is None:
        return torch.zeros_like(like)
    return functional.pad(tensor, (0, 0, 0, len(like) - len(tensor)))


def with_prefix(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Those whose names start with ``prefix``, without it."""
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
