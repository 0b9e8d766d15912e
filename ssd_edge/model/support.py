"""Random supports: which weights of a layer are there at all."""

from __future__ import annotations

import torch
from torch import Tensor


def random_support(hidden: int, width: int, density: float, generator: torch.Generator) -> Tensor:
    """``round(density * width)`` entries of every row, at least one, at random places; bool (hidden, width)."""
    kept = max(1, round(density * width))
    places = torch.rand(hidden, width, generator=generator).topk(kept, dim=1).indices
    return torch.zeros(hidden, width, dtype=torch.bool).scatter_(1, places, True)
