"""``W x`` whose gradient touches active rows only."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


class RowGradient:
    """A gradient of W that is zero outside some rows: ``rows`` int64 (m,), ``values`` float32 (m, d)."""

    def __init__(self, rows: Tensor, values: Tensor) -> None:
        self.rows = rows
        self.values = values


class _SparseRowsLinear(torch.autograd.Function):
    """After a Top-K most columns of the output's gradient are zero, and so are those rows of W's gradient.

    The rows are left in ``weight.row_gradient``, so that the optimizer can pass over all others.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return functional.linear(x, weight)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, None]:
        x, weight = ctx.saved_tensors
        rows = grads[0].count_nonzero(dim=0).nonzero().squeeze(1)
        active = grads[0].index_select(1, rows)
        weight.row_gradient = RowGradient(rows, active.T @ x)
        return (active @ weight.index_select(0, rows) if ctx.needs_input_grad[0] else None), None


def linear(x: Tensor, weight: Tensor, *, sparse: bool) -> Tensor:
    """``x W^T``, float32 (N, n); with ``sparse`` the gradient goes to ``weight.row_gradient``, not .grad."""
    if not sparse:
        return functional.linear(x, weight)
    out = _SparseRowsLinear.apply(x, weight)
    assert isinstance(out, Tensor)
    return out


__all__ = ["RowGradient", "linear"]
