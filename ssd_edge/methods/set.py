"""SET: sparse evolutionary training (Mocanu et al., Nature Communications 2018)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ssd_edge.methods.rewiring import Rewiring, RewiringOptions, largest, support_of
from ssd_edge.model import TopKLayer
from ssd_edge_runtime.errors import OptionError


@dataclass(frozen=True)
class SETOptions(RewiringOptions):
    """``share`` is the paper's zeta; it rewires once an epoch, here every so many steps."""

    scale: float = 0.1
    """New weights are drawn from N(0, scale); their absolute values where no weight may be negative."""

    def __post_init__(self) -> None:
        super().__post_init__()
        OptionError.unless(self.scale >= 0.0, f"scale must not be negative, got {self.scale}")


class SET(Rewiring):
    """Drop the share zeta of positive weights nearest to zero and of negative ones; grow as many at random."""

    name: ClassVar[str] = "set"
    Options: ClassVar[type[SETOptions]] = SETOptions
    options: SETOptions

    def rewired(self, number: int, layer: TopKLayer, share: float, generator: torch.Generator) -> Tensor:
        """W with connections moved at random."""
        weight, mask = layer.weight.detach(), support_of(layer)
        kept = mask & ~weakest(weight, mask, share)
        grown = random_places(~mask, int(mask.sum() - kept.sum()), generator)
        new = self.options.scale * torch.randn(weight.shape, generator=generator).to(weight.device)
        layer.mask = kept | grown
        signed = bool((weight < 0.0).any())
        return torch.where(kept, weight, torch.where(grown, new if signed else new.abs(), 0.0))


def weakest(weight: Tensor, mask: Tensor, share: float) -> Tensor:
    """The share of positive entries, and that of the others, which are nearest to zero; bool (n, d)."""
    found = torch.zeros_like(mask)
    for part in (mask & (weight > 0.0), mask & (weight <= 0.0)):
        scores = torch.where(part, -weight.abs(), -torch.inf)
        found |= largest(scores, int(share * int(part.sum())))
    return found


def random_places(free: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """``count`` of the ``free`` places, or all of them, drawn with equal chance; bool (n, d)."""
    drawn = torch.rand(free.shape, generator=generator).to(free.device)
    return largest(torch.where(free, drawn, -1.0), min(count, int(free.sum())))
