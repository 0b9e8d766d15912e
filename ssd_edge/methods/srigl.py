"""SRigL: RigL with as many connections in every row (Lasby et al., ICLR 2024), the form that suits CSR."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ssd_edge.methods.rewiring import largest
from ssd_edge.methods.rigl import RigL, RigLOptions
from ssd_edge_runtime.errors import OptionError


@dataclass(frozen=True)
class SRigLOptions(RigLOptions):
    """As RigL's."""

    gamma: float = 0.0
    """A neuron with fewer than gamma times the fan-in of salient connections is taken out for good, and the others
    share its connections; the paper: 0.3. With 0 all stay, and no row changes its length."""

    def __post_init__(self) -> None:
        super().__post_init__()
        OptionError.unless(0.0 <= self.gamma < 1.0, f"gamma must be in [0, 1), got {self.gamma}")


class SRigL(RigL):
    """RigL whose rows are each filled with their largest ``|g|`` up to the constant fan-in.

    Where more than the fan-in is kept of a row, its largest ``|w|`` are; the published code cuts it by the order
    of a boolean mask.
    """

    name: ClassVar[str] = "srigl"
    Options: ClassVar[type[SRigLOptions]] = SRigLOptions
    options: SRigLOptions

    def support(self, weight: Tensor, mask: Tensor, score: Tensor, share: float) -> Tensor:
        """Rows of one length, bool (n, d)."""
        return constant_fan_in(weight, mask, score, share, self.options.gamma)


def constant_fan_in(weight: Tensor, mask: Tensor, score: Tensor, share: float, gamma: float) -> Tensor:
    """The support after a rewiring; rows are empty, or have ``entries / rows left`` places; bool (n, d)."""
    total, alive = int(mask.sum()), mask.any(dim=1)
    moved = int(share * total)
    kept = largest(torch.where(mask, weight.abs(), -torch.inf), total - moved)
    salient = kept | largest(torch.where(mask, -torch.inf, score), moved)
    fan_in = total / int(alive.sum())
    stays = alive & (salient.sum(dim=1) >= gamma * fan_in)
    if not bool(stays.any()):
        return mask
    length = min(mask.shape[1], total // int(stays.sum()))
    # Kept entries stand before all others of their row, by magnitude; the others follow by score.
    order = torch.where(kept, 2.0 + unit(weight.abs()), unit(score))
    places = torch.argsort(order, dim=1, descending=True, stable=True)[:, :length]
    return torch.zeros_like(mask).scatter_(1, places, True) & stays[:, None]


def unit(values: Tensor) -> Tensor:
    """``values``, none negative, in [0, 1]; their order stays."""
    return values.double() / max(float(values.max()), torch.finfo(torch.float32).tiny)
