"""Products of compressed rows with dense samples; the one file that touches scipy's private kernels.

The public products build a matrix object first, which for one sample costs more than the sums; they stand in,
correct and slower, where a scipy no longer has a kernel.
"""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from scipy.sparse import csr_array

from ssd_edge_runtime.arrays import Float32, Float64, Int32

try:
    from scipy.sparse import _sparsetools
except ImportError:
    _sparsetools = None

Floats = TypeVar("Floats", Float32, Float64)


def matvec(
    shape: tuple[int, int], indptr: Int32, columns: Int32, values: Floats, x: Floats, out: Floats | None = None
) -> Floats:
    """``A x``, (columns,) -> (rows,), for A of ``shape`` in compressed rows.

    Unchecked, here and below: arrays are contiguous, indices int32, numbers all float32 or, where a type says so,
    all float64. ``out``: to write into and return.
    """
    if out is None:
        out = np.zeros(shape[0], values.dtype)
    else:
        out.fill(0.0)
    _csr_matvec(*shape, indptr, columns, values, x, out)
    return out


def matmat(
    shape: tuple[int, int], indptr: Int32, columns: Int32, values: Floats, x: Floats, out: Floats | None = None
) -> Floats:
    """``A X``, (columns, N) -> (rows, N)."""
    if out is None:
        out = np.zeros((shape[0], x.shape[1]), values.dtype)
    else:
        out.fill(0.0)
    _csr_matvecs(*shape, x.shape[1], indptr, columns, values, x.ravel(), out.ravel())
    return out


def transposed_matmat(
    shape: tuple[int, int], indptr: Int32, columns: Int32, values: Float32, x: Float32
) -> Float32:
    """``A^T X``, float32 (rows, N) -> (columns, N)."""
    out = np.zeros((shape[1], x.shape[1]), np.float32)
    # The compressed rows of A are the compressed columns of its transpose.
    _csc_matvecs(shape[1], shape[0], x.shape[1], indptr, columns, values, x.ravel(), out.ravel())
    return out


def _public_matvec(
    rows: int, columns: int, indptr: Int32, indices: Int32, values: Floats, x: Floats, out: Floats
) -> None:
    out += csr_array((values, indices, indptr), (rows, columns)) @ x


def _public_matvecs(rows: int, columns: int, count: int, *arrays: Any) -> None:
    indptr, indices, values, x, out = arrays
    product = csr_array((values, indices, indptr), (rows, columns)) @ x.reshape(columns, count)
    out += product.ravel()


def _public_transposed_matvecs(rows: int, columns: int, count: int, *arrays: Any) -> None:
    indptr, indices, values, x, out = arrays
    product = csr_array((values, indices, indptr), (columns, rows)).T @ x.reshape(columns, count)
    out += product.ravel()


_csr_matvec = getattr(_sparsetools, "csr_matvec", _public_matvec)
_csr_matvecs = getattr(_sparsetools, "csr_matvecs", _public_matvecs)
_csc_matvecs = getattr(_sparsetools, "csc_matvecs", _public_transposed_matvecs)
