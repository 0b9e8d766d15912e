"""First weights of a Top-K layer."""

from __future__ import annotations

import torch
from torch import Tensor

SMALLEST_NORM = 1e-12


def initial_weight(hidden: int, width: int, generator: torch.Generator, *, nonnegative: bool) -> Tensor:
    """Gaussian rows of length 1, float32 (hidden, width); their absolute values where ``nonnegative``."""
    weight = torch.randn(hidden, width, generator=generator)
    return normalize_rows(weight.abs() if nonnegative else weight)


def normalize_rows(weight: Tensor) -> Tensor:
    """``w / max(||w||, 1e-12)`` row by row: an all-zero row stays zero (the reference makes it NaN)."""
    norms: Tensor = torch.linalg.vector_norm(weight, dim=1, keepdim=True)
    return weight / norms.clamp_min(SMALLEST_NORM)


def normalize_rows_(weight: Tensor) -> Tensor:
    """``normalize_rows`` in place."""
    norms: Tensor = torch.linalg.vector_norm(weight, dim=1, keepdim=True)
    return weight.div_(norms.clamp_min_(SMALLEST_NORM))
