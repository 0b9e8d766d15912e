"""RigL: dynamic sparse training that grows where the gradient is large (Evci et al., ICML 2020)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ssd_edge.methods.method import Task
from ssd_edge.methods.quadratic import with_prefix
from ssd_edge.methods.rewiring import Rewiring, RewiringOptions, cosine_share, largest, support_of
from ssd_edge.model import RowGradient, TopKLayer
from ssd_edge_runtime.errors import OptionError


@dataclass(frozen=True)
class RigLOptions(RewiringOptions):
    """``share`` is the paper's alpha, ``every`` its dT, ``until`` its T_end, in each task anew."""

    batches: int = 8
    """Steps before a rewiring over which ``|g|`` is summed; the paper: 1. A step moves only rows that fire."""

    def __post_init__(self) -> None:
        super().__post_init__()
        OptionError.unless(
            1 <= self.batches <= self.every,
            f"batches must be between 1 and every ({self.every}), got {self.batches}",
        )


class RigL(Rewiring):
    """Drop the share f(t) of the smallest ``|w|``; grow as many, from 0, at the empty places of largest ``|g|``.

    ``f(t) = alpha / 2 (1 + cos(pi t / T_end))``. What was dropped may grow again, and keeps its value then. The
    paper takes no step where it rewires; here it takes one, and rewires by that step's gradients.
    """

    name: ClassVar[str] = "rigl"
    Options: ClassVar[type[RigLOptions]] = RigLOptions
    options: RigLOptions

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.scores: dict[int, Tensor] = {}
        """By layer, the sum of ``|g|`` since the last rewiring, float32 (n, d)."""

    def share(self, task: Task) -> float:
        """f(t)."""
        return cosine_share(self.options.share, self.steps, self.options.until * task.steps)

    def see(self, gradients: list[RowGradient | Tensor]) -> None:
        """Sum ``|g|`` in the last steps before a rewiring."""
        if -(self.steps + 1) % self.options.every >= self.options.batches:
            return
        for number, gradient in enumerate(gradients):
            rows = gradient.rows if isinstance(gradient, RowGradient) else None
            values = gradient.values if isinstance(gradient, RowGradient) else gradient
            if number not in self.scores:
                self.scores[number] = values.new_zeros(self.shapes[number])
            if rows is None:
                self.scores[number] += values.abs()
            else:
                self.scores[number].index_add_(0, rows, values.abs())

    def before_task(self, task: Task) -> None:
        """Know how large the layers are."""
        self.shapes = [layer.weight.shape for layer in task.network.topk_layers]

    def after_task(self, task: Task) -> None:
        """Begin anew."""
        super().after_task(task)
        self.scores = {}

    def rewired(self, number: int, layer: TopKLayer, share: float, generator: torch.Generator) -> Tensor:
        """W with connections moved to where the gradient is large."""
        mask = support_of(layer)
        layer.mask = self.support(layer.weight.detach(), mask, self.scores.pop(number), share)
        return torch.where(layer.mask & mask, layer.weight, 0.0)

    def support(self, weight: Tensor, mask: Tensor, score: Tensor, share: float) -> Tensor:
        """Where connections are from now on, bool (n, d)."""
        return drop_and_grow(weight, mask, score, share)

    def tensors(self) -> dict[str, Tensor]:
        """Steps and sums."""
        return super().tensors() | {f"score.{number}": score for number, score in self.scores.items()}

    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Take them back."""
        super().load_tensors(tensors)
        self.scores = {int(number): score for number, score in with_prefix(tensors, "score.").items()}


def drop_and_grow(weight: Tensor, mask: Tensor, score: Tensor, share: float) -> Tensor:
    """The mask less the share of smallest ``|weight|``, and as many places of largest ``score``; bool (n, d)."""
    total = int(mask.sum())
    moved = int(share * total)
    kept = largest(torch.where(mask, weight.abs(), -torch.inf), total - moved)
    return kept | largest(torch.where(kept, -torch.inf, score), min(moved, mask.numel() - total + moved))
