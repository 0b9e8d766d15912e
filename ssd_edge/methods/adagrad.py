"""Adagrad per entry (Duchi et al., JMLR 2011), with the bounds that Top-K networks need (arXiv 2404.17651)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from ssd_edge.methods.accumulated import Accumulated
from ssd_edge_runtime.errors import OptionError


@dataclass(frozen=True)
class AdagradOptions:
    """The step size is the run's ``lr``."""

    initial: float = 0.1
    """S of every entry before its first step."""
    largest: float = 0.01
    """No entry moves further in a step."""

    def __post_init__(self) -> None:
        OptionError.unless(self.initial > 0.0, f"initial must be positive, got {self.initial}")
        OptionError.unless(self.largest > 0.0, f"largest must be positive, got {self.largest}")


class Adagrad(Accumulated):
    """``S += g^2``, ``w -= clip(lr g / sqrt(S0 + S), +-largest)``, at every entry; no momentum to go stale."""

    name: ClassVar[str] = "adagrad"
    Options: ClassVar[type[AdagradOptions]] = AdagradOptions
    options: AdagradOptions

    def direction(self, gradient: Tensor, sums: Tensor, lr: float) -> tuple[Tensor, Tensor]:
        """The bounded step over ``lr``."""
        sums = sums + gradient.square()
        bound = self.options.largest / lr
        return (gradient / (self.options.initial + sums).sqrt()).clamp(-bound, bound), sums
