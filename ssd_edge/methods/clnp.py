"""CLNP: neurons that a task rests on become stable, the others are free again (arXiv 1903.04476)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ssd_edge.methods.method import Batch, Method, Task
from ssd_edge.methods.quadratic import with_prefix
from ssd_edge.model import TopKNetwork, normalize_rows
from ssd_edge_runtime.errors import OptionError


@dataclass(frozen=True)
class CLNPOptions:
    """What makes codes sparse, and what a task may lose."""

    l1: float = 1e-4
    """Weight of the codes' L1 norm in the loss."""
    margin: float = 0.02
    """Accuracy on its own samples that a task may lose by the neurons it gives up: graceful forgetting."""

    def __post_init__(self) -> None:
        OptionError.unless(self.l1 >= 0.0, f"l1 must not be negative, got {self.l1}")
        OptionError.unless(0.0 <= self.margin < 1.0, f"margin must be in [0, 1), got {self.margin}")


class CLNP(Method):
    """``L + l1 mean |z|``; after a task, a threshold on the mean activation decides which neurons become stable.

    The threshold is raised until accuracy on the task falls by ``margin``; the paper looks at held-out samples,
    this at the task's own. Weights into stable neurons, and rows of V of known classes, are put back after each
    step; links from free neurons into both are cut; free neurons begin anew.
    """

    name: ClassVar[str] = "clnp"
    Options: ClassVar[type[CLNPOptions]] = CLNPOptions
    options: CLNPOptions

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.stable: list[Tensor] = []
        """By layer, bool (n,)."""
        self.frozen: list[Tensor] = []
        """W of every layer and V, as they were at the last boundary."""
        self.units: list[dict[str, int]] = []

    def loss(self, loss: Tensor, batch: Batch, task: Task) -> Tensor:
        """With the L1 norm of the codes, the mean over samples."""
        return loss + self.options.l1 * torch.stack([z.sum(dim=1).mean() for z in batch.codes]).sum()

    @torch.no_grad()
    def after_batch(self, batch: Batch, task: Task, before: Mapping[str, Tensor]) -> None:
        """Put back what is stable."""
        if not self.frozen:
            return
        *weights, readout = self.frozen
        for layer, stable, old in zip(task.network.topk_layers, self.stable, weights, strict=True):
            layer.weight[stable] = old[stable]
        task.network.readout_weight[: len(readout)] = readout

    @torch.no_grad()
    def after_task(self, task: Task) -> None:
        """Choose stable neurons, cut links into them, let the others begin anew."""
        task.network.eval()
        needed = needed_neurons(task.network, task.u, task.y, self.options.margin)
        old = self.stable or [torch.zeros_like(each) for each in needed]
        self.stable = [was | now for was, now in zip(old, needed, strict=True)]
        self.units = [
            {"stable": int(all_.sum()), "reused": int((was & now).sum()), "free": int((~all_).sum())}
            for was, now, all_ in zip(old, needed, self.stable, strict=True)
        ]
        cut_links(task.network, self.stable)
        seed = 1_000_003 * task.seed + task.number
        begin_anew(task.network, self.stable, torch.Generator().manual_seed(seed))
        weights = (*(layer.weight for layer in task.network.topk_layers), task.network.readout_weight)
        self.frozen = [weight.detach().clone() for weight in weights]

    def report(self) -> dict[str, Any]:
        """Stable, reused and free neurons of every layer after the last task."""
        return {"units": self.units}

    def tensors(self) -> dict[str, Tensor]:
        """What is stable, and how it was."""
        stable = {f"stable.{i:03}": mask for i, mask in enumerate(self.stable)}
        return stable | {f"frozen.{i:03}": weight for i, weight in enumerate(self.frozen)}

    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Take it back."""
        for name in ("stable", "frozen"):
            kept = with_prefix(tensors, f"{name}.")
            setattr(self, name, [kept[number] for number in sorted(kept)])


def needed_neurons(network: TopKNetwork, u: Tensor, y: Tensor, margin: float) -> list[Tensor]:
    """By layer the neurons above the highest threshold at which accuracy falls by no more than ``margin``.

    One layer after the other, those before it thinned already; u float32 (N, d), y int64 (N,); bool (n,) each.
    """
    kept = [torch.ones(len(layer.weight), dtype=torch.bool, device=u.device) for layer in network.topk_layers]
    least = accuracy(network, u, y, kept) - margin
    for number, z in enumerate(network.codes_of(u)):
        order = torch.argsort(z.mean(dim=0), stable=True)
        low, high = 0, len(order) - 1
        while low < high:
            middle = (low + high + 1) // 2
            kept[number][order[:middle]] = False
            enough = accuracy(network, u, y, kept) >= least
            kept[number][:] = True
            low, high = (middle, high) if enough else (low, middle - 1)
        kept[number][order[:low]] = False
    return kept


def accuracy(network: TopKNetwork, u: Tensor, y: Tensor, kept: list[Tensor]) -> float:
    """Share of samples answered right where only the ``kept`` neurons speak."""
    z = u
    for layer, own in zip(network.topk_layers, kept, strict=True):
        z = layer(z) * own
    return float((network.readout(z).argmax(dim=1) == y).double().mean())


def cut_links(network: TopKNetwork, stable: list[Tensor]) -> None:
    """No link from a free neuron into a stable one, nor into a class that is known, in place; rows of length 1."""
    for below, own, layer in zip(stable[:-1], stable[1:], network.topk_layers[1:], strict=True):
        cut = layer.weight * ~(own[:, None] & ~below)
        layer.weight.copy_(normalize_rows(cut))
    network.readout_weight[:, ~stable[-1]] = 0.0


def begin_anew(network: TopKNetwork, stable: list[Tensor], generator: torch.Generator) -> None:
    """New random weights into free neurons, on their supports, in place."""
    for layer, own in zip(network.topk_layers, stable, strict=True):
        new = torch.randn(layer.weight.shape, generator=generator).to(layer.weight.device)
        new = new if bool((layer.weight < 0.0).any()) else new.abs()
        new = normalize_rows(new if layer.mask is None else new * layer.mask)
        layer.weight.copy_(torch.where(own[:, None], layer.weight, new))
