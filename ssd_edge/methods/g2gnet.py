"""Growth by correlation, after G2GNet (arXiv 2508.14140): neurons that fire together are wired together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from ssd_edge.methods.method import Batch, Task
from ssd_edge.methods.rigl import RigL
from ssd_edge.model import RowGradient


class G2GNet(RigL):
    """Drop as RigL does; grow where ``|E[(x_j - mean)(a_i - mean)] / (s_x s_a)|`` is largest among empty places.

    The paper's growth rule alone: no code is public, and its groups of neurons are left out. ``a``: before Top-K.
    """

    name: ClassVar[str] = "g2gnet"
    whole_batches: ClassVar[bool] = True

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.sums: dict[int, Tensor] = {}
        """By layer, ``[a 1]^T [x 1]`` and the squares' sums below and beside it, float64 (n + 2, d + 2)."""

    def see(self, gradients: list[RowGradient | Tensor]) -> None:
        """Gradients do not matter here."""

    @torch.no_grad()
    def after_batch(self, batch: Batch, task: Task, before: Mapping[str, Tensor]) -> None:
        """Sum products in the last steps before a rewiring, then rewire."""
        if -(self.steps + 1) % self.options.every < self.options.batches:
            inputs = [batch.u, *batch.codes]
            for number, (x, a) in enumerate(zip(inputs, batch.activations, strict=False)):
                new = moments(a, x)
                self.sums[number] = self.sums[number] + new if number in self.sums else new
                self.scores[number] = correlation(self.sums[number])
        super().after_batch(batch, task, before)
        if self.steps % self.options.every == 0:
            self.sums = {}

    def after_task(self, task: Task) -> None:
        """Begin anew."""
        super().after_task(task)
        self.sums = {}

    def tensors(self) -> dict[str, Tensor]:
        """Steps and sums; scores follow from these."""
        return {"steps": torch.tensor(self.steps)} | {f"sum.{n}": total for n, total in self.sums.items()}

    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Take them back."""
        self.steps = int(tensors["steps"])
        self.sums = {int(name[4:]): total for name, total in tensors.items() if name.startswith("sum.")}


def moments(a: Tensor, x: Tensor) -> Tensor:
    """All sums that a correlation needs, of (N, n) and (N, d): products, sums, squares; float64 (n + 2, d + 2).

    Rows: neurons, their weight 1, and the squares of x; columns: inputs, 1, and the squares of a.
    """
    a, x = a.detach(), x.detach()
    table = x.new_zeros(a.shape[1] + 2, x.shape[1] + 2, dtype=torch.float64)
    table[:-2, :-2] = (a.T @ x).double()
    table[:-2, -2], table[-2, :-2] = a.double().sum(0), x.double().sum(0)
    table[:-2, -1], table[-1, :-2] = a.double().square().sum(0), x.double().square().sum(0)
    table[-2, -2] = len(x)
    return table


def correlation(sums: Tensor) -> Tensor:
    """``|corr(a_i, x_j)|`` of the summed moments, float32 (n, d); 0 where one of both is constant."""
    means = sums / sums[-2, -2]
    covariance = means[:-2, :-2] - means[:-2, -2:-1] * means[-2:-1, :-2]
    by_a = (means[:-2, -1] - means[:-2, -2].square()).clamp_min(0.0).sqrt()
    by_x = (means[-1, :-2] - means[-2, :-2].square()).clamp_min(0.0).sqrt()
    scale = by_a[:, None] * by_x
    return torch.where(scale > 1e-12, covariance.abs() / scale.clamp_min(1e-12), 0.0).float()
