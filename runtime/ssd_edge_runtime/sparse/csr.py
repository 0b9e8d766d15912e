"""Compressed sparse rows: the one sparse matrix of the project, and its product with dense samples."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ssd_edge_runtime.arrays import Float32, Int32
from ssd_edge_runtime.sparse.products import matmat, matvec


@dataclass(eq=False)
class CSRMatrix:
    """A sparse float32 matrix; entries may be explicit zeros, which stay part of the support.

    ``indptr`` int32 (rows + 1), ``columns`` int32 (nnz) ascending within each row, ``values`` float32 (nnz).
    """

    indptr: Int32
    columns: Int32
    values: Float32
    shape: tuple[int, int]

    @classmethod
    def from_dense(cls, dense: NDArray[np.floating], mask: NDArray[np.bool_] | None = None) -> CSRMatrix:
        """Keep the entries where ``mask`` is true (default: where ``dense`` is not zero)."""
        support = dense != 0 if mask is None else mask
        rows, columns = np.nonzero(support)
        indptr = np.zeros(dense.shape[0] + 1, np.int32)
        np.cumsum(np.bincount(rows, minlength=dense.shape[0]), out=indptr[1:])
        values = np.ascontiguousarray(dense[rows, columns], np.float32)
        return cls(indptr, columns.astype(np.int32), values, (dense.shape[0], dense.shape[1]))

    @property
    def nonzeros(self) -> int:
        """Number of stored entries."""
        return len(self.values)

    @property
    def density(self) -> float:
        """Stored entries as a share of rows x columns."""
        return self.nonzeros / max(1, self.shape[0] * self.shape[1])

    def row_of_entry(self) -> Int32:
        """Row number of every stored entry, int32 (nnz)."""
        return np.repeat(np.arange(self.shape[0], dtype=np.int32), np.diff(self.indptr))

    def to_dense(self) -> Float32:
        """The float32 (rows, columns) matrix."""
        dense = np.zeros(self.shape, np.float32)
        dense[self.row_of_entry(), self.columns] = self.values
        return dense

    @cached_property
    def ones(self) -> Float32:
        """A one for every stored entry, float32 (nnz)."""
        return np.ones(self.nonzeros, np.float32)

    def sums(self, x: Float32, out: Float32 | None = None) -> Float32:
        """Sum over each row's support of ``x``, samples in columns, float32 (columns, N) -> (rows, N)."""
        if x.shape[1] > 1:
            return matmat(self.shape, self.indptr, self.columns, self.ones, x, out)
        flat = None if out is None else out.ravel()
        return matvec(self.shape, self.indptr, self.columns, self.ones, x.ravel(), flat).reshape(-1, 1)

    def matvec(self, x: Float32, out: Float32 | None = None) -> Float32:
        """``W x`` for one sample, float32 (columns,) -> (rows,). Unchecked: ``x`` must be contiguous float32.

        ``out``: contiguous float32 (rows,) to write into and return.
        """
        return matvec(self.shape, self.indptr, self.columns, self.values, x, out)

    def matmat(self, x: Float32, out: Float32 | None = None) -> Float32:
        """``W X`` for a block of samples in columns, float32 (columns, N) -> (rows, N). Unchecked like matvec.

        ``out``: contiguous float32 (rows, N) to write into and return.
        """
        return matmat(self.shape, self.indptr, self.columns, self.values, x, out)
