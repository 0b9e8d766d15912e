"""``relu(W x)`` whose gradient touches active rows only."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ssd_edge_runtime.sparse.products import transposed_matmat

FEW = 0.1
"""Below this share of non-zeros a sparse product is faster than a dense one (measured on x86, one thread)."""


HAS_ONEDNN: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
LARGE = 1 << 22
"""Multiply-adds from which on a product is worth handing to oneDNN (smaller ones do not pay for the way there)."""


def product(x: Tensor, weight: Tensor) -> Tensor:
    """``x W^T``, float32 (N, d) and (n, d) -> (N, n), no gradient.

    Large ones on the CPU go to oneDNN: MKL, which torch takes by itself, is half as fast on AMD's cores.
    """
    if len(x) * weight.numel() < LARGE or x.device.type != "cpu" or not HAS_ONEDNN:
        return functional.linear(x, weight)
    dense: Tensor = functional.linear(x.to_mkldnn(), weight).to_dense()
    return dense


class RowGradient:
    """A gradient of W that is zero outside some rows: ``rows`` int64 (m,), ``values`` float32 (m, d).

    ``rows`` is None where no row is zero.
    """

    def __init__(self, rows: Tensor | None, values: Tensor) -> None:
        self.rows = rows
        self.values = values

    def to_dense(self, like: Tensor) -> Tensor:
        """The whole gradient, of the shape of ``like``."""
        return self.values if self.rows is None else torch.zeros_like(like).index_copy_(0, self.rows, self.values)


class _SparseRowsReLU(torch.autograd.Function):
    """After a Top-K most columns of the output's gradient are zero, and so are those rows of W's gradient.

    The rows are left in ``weight.row_gradient``, so that the optimizer can pass over all others.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        a = product(x, weight).clamp_min_(0.0)
        ctx.save_for_backward(x, weight, a)
        return a

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, None]:
        x, weight, a = ctx.saved_tensors
        weight.row_gradient = row_gradient(grads[0], a, x)
        if not ctx.needs_input_grad[0]:
            return None, None
        return product(torch.where(a > 0, grads[0], 0.0), weight.T), None


def row_gradient(gradient: Tensor, a: Tensor, x: Tensor) -> RowGradient:
    """``(gradient [a > 0])^T x`` as the rows that are not zero; float32 (N, n), (N, n) and (N, d), on the CPU."""
    dense = gradient.contiguous().numpy()
    firing = (dense != 0) & (a.detach().numpy() > 0)
    active = firing.any(axis=0)
    rows = active.nonzero()[0]
    if np.count_nonzero(firing) > FEW * dense.size:
        masked = torch.where(a > 0, gradient, 0.0)
        if len(rows) == dense.shape[1]:
            return RowGradient(None, product(masked.T, x.T))
        chosen = torch.from_numpy(rows)
        return RowGradient(chosen, product(masked.index_select(1, chosen).T, x.T))
    entries = firing.ravel().nonzero()[0]
    samples, neurons = np.divmod(entries, dense.shape[1])
    # The device's kernel: torch's own sparse product spends more on building the matrix than on multiplying it.
    place = np.zeros(dense.shape[1], np.int32)
    place[rows] = np.arange(len(rows), dtype=np.int32)
    indptr = np.searchsorted(samples, np.arange(len(x) + 1)).astype(np.int32)
    inputs, values = x.detach().contiguous().numpy(), dense.ravel()[entries]
    out = transposed_matmat((len(x), len(rows)), indptr, place[neurons], values, inputs)
    return RowGradient(torch.from_numpy(rows), torch.from_numpy(out))


def relu_linear(x: Tensor, weight: Tensor, *, sparse: bool) -> Tensor:
    """``relu(x W^T)``, float32 (N, n); with ``sparse`` the gradient goes to ``weight.row_gradient``, not .grad."""
    if not torch.is_grad_enabled():
        return product(x, weight).clamp_min_(0.0)
    if not sparse:
        return torch.relu(functional.linear(x, weight))
    out = _SparseRowsReLU.apply(x, weight)
    assert isinstance(out, Tensor)
    return out


__all__ = ["RowGradient", "product", "relu_linear", "row_gradient"]
