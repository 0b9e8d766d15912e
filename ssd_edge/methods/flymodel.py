"""FlyModel: the fruit fly's olfactory circuit (Shen, Dasgupta and Navlakha, arXiv 2107.07617)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ssd_edge.methods.method import Batch, Method, Task
from ssd_edge.model import normalize_rows
from ssd_edge_runtime.errors import OptionError


@dataclass(frozen=True)
class FlyModelOptions:
    """The rate is Bricken et al.'s; on Split Fashion-MNIST a smaller one, or centered inputs, did worse."""

    connections: float = 0.1
    """Share of the inputs each neuron is connected to, with weight one."""
    rate: float = 0.005
    """beta, how far a sample moves its class's weights."""

    def __post_init__(self) -> None:
        OptionError.unless(0.0 < self.connections <= 1.0, f"connections must be in (0, 1], got {self.connections}")
        OptionError.unless(self.rate > 0.0, f"rate must be positive, got {self.rate}")


class FlyModel(Method):
    """A fixed sparse binary projection, Top-K, and a readout whose rows learn from their own class; one pass.

    ``V_y <- min(V_y + beta z / max(z), 1)``: all other rows are frozen, so classes never overwrite one another.
    The paper keeps the k largest activations as they are; here, as everywhere in this package, the (k+1)-th is
    subtracted from them.
    """

    name: ClassVar[str] = "flymodel"
    is_network: ClassVar[bool] = True
    own_supports: ClassVar[bool] = True
    learns_features: ClassVar[bool] = False
    readout_init: ClassVar[float | None] = 0.0
    single_pass: ClassVar[bool] = True

    Options: ClassVar[type[FlyModelOptions]] = FlyModelOptions
    options: FlyModelOptions

    @classmethod
    def default_k(cls, hidden: int, analytic: bool) -> int:
        """Five per cent, the fly's."""
        return max(1, hidden // 20)

    def initial_weight(self, hidden: int, width: int, generator: torch.Generator, nonnegative: bool) -> Tensor:
        """Rows with ``connections * width`` equal entries at random places, of length 1."""
        kept = max(1, round(self.options.connections * width))
        places = torch.rand(hidden, width, generator=generator).topk(kept, dim=1).indices
        return normalize_rows(torch.zeros(hidden, width).scatter_(1, places, 1.0))

    @torch.no_grad()
    def learn(self, batch: Batch, task: Task) -> bool:
        """The associative rule, in place of a gradient step."""
        z = batch.codes[-1]
        scaled = z / z.amax(dim=1, keepdim=True).clamp_min(torch.finfo(z.dtype).tiny)
        weight = task.network.readout_weight
        weight.index_add_(0, batch.y, scaled, alpha=self.options.rate).clamp_max_(1.0)
        return True
