"""CLASSP: weights that have moved much move less, and small gradients do nothing (arXiv 2405.09637)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ssd_edge.methods.accumulated import Accumulated
from ssd_edge_runtime.errors import OptionError


@dataclass(frozen=True)
class CLASSPOptions:
    """The step size alpha is the run's ``lr``."""

    threshold: float = 0.0
    """tau: entries with ``g^2`` up to it stay. The paper's is .5, above any gradient of a batch's mean here."""
    epsilon: float = 1e-5
    """Keeps the first steps finite."""
    power: float = 1.0
    """p."""

    def __post_init__(self) -> None:
        OptionError.unless(self.threshold >= 0.0, f"threshold must not be negative, got {self.threshold}")
        OptionError.unless(self.epsilon > 0.0, f"epsilon must be positive, got {self.epsilon}")
        OptionError.unless(self.power > 0.0, f"power must be positive, got {self.power}")


class CLASSP(Accumulated):
    """Where ``g^2 > tau``: ``S += |g|^p``, ``w -= lr g / (epsilon + S)^(1/p)``.

    By the formula: the published code tests one boolean for the whole tensor, and drops the result of the power.
    """

    name: ClassVar[str] = "classp"
    Options: ClassVar[type[CLASSPOptions]] = CLASSPOptions
    options: CLASSPOptions

    def direction(self, gradient: Tensor, sums: Tensor, lr: float) -> tuple[Tensor, Tensor]:
        """Steps of the entries above the threshold."""
        o = self.options
        moves = gradient.square() > o.threshold
        sums = torch.where(moves, sums + gradient.abs() ** o.power, sums)
        return torch.where(moves, gradient / (o.epsilon + sums) ** (1.0 / o.power), 0.0), sums
