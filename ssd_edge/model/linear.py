"""``W x`` whose gradient touches active rows only."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy.sparse import _sparsetools
from torch import Tensor
from torch.nn import functional

FEW = 0.1
"""Below this share of non-zeros a sparse product is faster than a dense one (measured on x86, one thread)."""


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
        weight.row_gradient = row_gradient(grads[0], x)
        needed = ctx.needs_input_grad[0]
        rows = weight.row_gradient.rows
        return (grads[0].index_select(1, rows) @ weight.index_select(0, rows) if needed else None), None


def row_gradient(gradient: Tensor, x: Tensor) -> RowGradient:
    """``gradient^T x``, float32 (N, n) and (N, d), as the rows that are not zero; on the CPU."""
    transposed = gradient.T.contiguous()
    entries = transposed.nonzero()
    rows, lengths = torch.unique_consecutive(entries[:, 0], return_counts=True)
    if len(entries) > FEW * gradient.numel():
        return RowGradient(rows, transposed.index_select(0, rows) @ x)
    # The device's kernel: torch's own CSR product spends more on building the matrix than on multiplying it.
    indptr = np.zeros(len(rows) + 1, np.int32)
    np.cumsum(lengths.numpy(), out=indptr[1:])
    columns = entries[:, 1].numpy().astype(np.int32)
    values = transposed[entries[:, 0], entries[:, 1]].numpy()
    samples, width = x.shape
    out = np.zeros((len(rows), width), np.float32)
    _sparsetools.csr_matvecs(
        len(rows), samples, width, indptr, columns, values, x.detach().contiguous().numpy().ravel(), out.ravel()
    )
    return RowGradient(rows, torch.from_numpy(out))


def linear(x: Tensor, weight: Tensor, *, sparse: bool) -> Tensor:
    """``x W^T``, float32 (N, n); with ``sparse`` the gradient goes to ``weight.row_gradient``, not .grad."""
    if not sparse:
        return functional.linear(x, weight)
    out = _SparseRowsLinear.apply(x, weight)
    assert isinstance(out, Tensor)
    return out


__all__ = ["RowGradient", "linear", "row_gradient"]
