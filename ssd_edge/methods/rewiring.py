"""Supports that change while W is learned, shared by SET, RigL, SRigL and growth by correlation."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from ssd_edge.methods.method import Batch, Method, Task
from ssd_edge.model import TopKLayer, normalize_rows
from ssd_edge_runtime.errors import OptionError


@dataclass(frozen=True)
class RewiringOptions:
    """When connections are moved, and how many."""

    every: int = 100
    """Steps between two rewirings; counted anew in each task."""
    share: float = 0.3
    """Share of a layer's connections that is dropped, and grown elsewhere."""
    until: float = 0.75
    """Share of a task's steps after which its supports stay."""

    def __post_init__(self) -> None:
        OptionError.unless(self.every >= 1, f"every must be at least 1, got {self.every}")
        OptionError.unless(0.0 <= self.share <= 1.0, f"share must be between 0 and 1, got {self.share}")
        OptionError.unless(0.0 <= self.until <= 1.0, f"until must be between 0 and 1, got {self.until}")


class Rewiring(Method):
    """Base of the methods that drop connections and grow as many elsewhere; a rule says in ``rewired`` which.

    Rows come back to length 1 after it. Connections per layer are the same before and after.
    """

    rewires: ClassVar[bool] = True
    Options: ClassVar[type[Any]] = RewiringOptions

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.steps = 0
        """Taken in this task."""

    def rewired(self, number: int, layer: TopKLayer, share: float, generator: torch.Generator) -> Tensor:
        """The new W of layer ``number`` (from 0) with ``share`` of its connections moved; sets ``layer.mask``."""
        raise AssertionError("a rule says which connections move")

    def share(self, task: Task) -> float:
        """Share that moves now; the same throughout."""
        return float(self.options.share)

    def is_due(self, task: Task) -> bool:
        """Whether connections move after this step."""
        return self.steps % self.options.every == 0 and bool(self.steps <= self.options.until * task.steps)

    @torch.no_grad()
    def after_batch(self, batch: Batch, task: Task, before: Mapping[str, Tensor]) -> None:
        """Rewire all layers where it is time to."""
        self.steps += 1
        if not self.is_due(task):
            return
        for number, layer in enumerate(task.network.topk_layers):
            # Drawn from the position alone, so that a run that is resumed draws the same.
            seed = np.random.default_rng([task.seed, task.number, self.steps, number]).integers(2**63)
            generator = torch.Generator().manual_seed(int(seed))
            layer.weight.copy_(normalize_rows(self.rewired(number, layer, self.share(task), generator)))

    def after_task(self, task: Task) -> None:
        """Steps are counted anew."""
        self.steps = 0

    def tensors(self) -> dict[str, Tensor]:
        """How far the task is."""
        return {"steps": torch.tensor(self.steps)}

    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Take it back."""
        self.steps = int(tensors["steps"])


def cosine_share(share: float, step: int, last: float) -> float:
    """``share / 2 (1 + cos(pi t / T_end))`` (Evci et al., ICML 2020): the whole share at first, then less."""
    return share / 2.0 * (1.0 + math.cos(math.pi * min(1.0, step / max(1.0, last))))


def support_of(layer: TopKLayer) -> Tensor:
    """The mask of a layer that has one, bool (n, d)."""
    assert layer.mask is not None, "training refuses to rewire a dense layer"
    return layer.mask


def largest(scores: Tensor, count: int) -> Tensor:
    """Where the ``count`` largest of all ``scores`` are, the first of equal ones; bool, of their shape."""
    flat = torch.zeros(scores.numel(), dtype=torch.bool, device=scores.device)
    flat[torch.argsort(scores.flatten(), descending=True, stable=True)[:count]] = True
    return flat.view(scores.shape)
