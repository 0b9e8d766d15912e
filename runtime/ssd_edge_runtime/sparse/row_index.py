"""Whole rows of a compressed matrix: take, put back, and walk along them, uniform rows the fast way."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssd_edge_runtime.arrays import Int32
from ssd_edge_runtime.sparse.csr import CSRMatrix


class RowIndex:
    """Where the entries of rows stand in the flat arrays of a CSR matrix.

    Rows that all hold the same number of entries (pruned by a row budget) are reached by reshaping; others through
    an index of their entries.
    """

    def __init__(self, matrix: CSRMatrix) -> None:
        self._starts = matrix.indptr[:-1].astype(np.int64)
        self.lengths = np.diff(matrix.indptr).astype(np.int64)
        first = int(self.lengths[0]) if len(self.lengths) else 0
        self.uniform: int | None = first if first and (self.lengths == first).all() else None

    def entries(self, rows: NDArray[np.integer]) -> NDArray[np.int64]:
        """Positions of the entries of ``rows``, row after row."""
        lengths = self.lengths[rows]
        ends = np.cumsum(lengths)
        total = int(ends[-1]) if len(ends) else 0
        shift: NDArray[np.int64] = np.repeat(self._starts[rows] - ends + lengths, lengths)
        return np.arange(total) + shift

    def take(self, flat: NDArray[Any], rows: NDArray[np.integer]) -> NDArray[Any]:
        """The entries of ``rows`` of a flat array, row after row (a copy)."""
        if self.uniform is not None:
            taken: NDArray[Any] = flat.reshape(-1, self.uniform).take(rows, axis=0)
            return taken.ravel()
        taken = flat[self.entries(rows)]
        return taken

    def put(self, flat: NDArray[Any], rows: NDArray[np.integer], values: NDArray[Any]) -> None:
        """Write the entries of ``rows``, row after row, in place."""
        if self.uniform is not None:
            flat.reshape(-1, self.uniform)[rows] = values.reshape(-1, self.uniform)
        else:
            flat[self.entries(rows)] = values

    def spread(self, values: NDArray[Any], rows: NDArray[np.integer]) -> NDArray[Any]:
        """A value per row for each of its entries, row after row."""
        return values.repeat(self.lengths[rows] if self.uniform is None else self.uniform)

    def pointers(self, rows: NDArray[np.integer]) -> Int32:
        """``indptr`` of the matrix made of ``rows`` alone."""
        indptr = np.zeros(len(rows) + 1, np.int32)
        np.cumsum(self.lengths[rows], out=indptr[1:])
        return indptr

    def extract(self, matrix: CSRMatrix, rows: NDArray[np.integer]) -> CSRMatrix:
        """The matrix made of ``rows`` alone (a copy)."""
        columns, values = self.take(matrix.columns, rows), self.take(matrix.values, rows)
        return CSRMatrix(self.pointers(rows), columns, values, (len(rows), matrix.shape[1]))
