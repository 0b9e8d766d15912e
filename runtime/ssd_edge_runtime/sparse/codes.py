"""Codes: what is left of activations after the Top-K, as compressed rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ssd_edge_runtime.arrays import Float32, Int32
from ssd_edge_runtime.sparse.products import matmat
from ssd_edge_runtime.sparse.workspace import workspace


@dataclass(eq=False)
class Codes:
    """Codes z of N samples over n neurons, as compressed rows: only neurons with ``z > 0`` are held.

    ``indptr`` int32 (N + 1), ``neurons`` int32 (pairs) ascending within a sample, ``values`` float32 (pairs).
    """

    indptr: Int32
    neurons: Int32
    values: Float32
    shape: tuple[int, int]

    @classmethod
    def from_dense(cls, dense: Float32) -> Codes:
        """Codes from a float32 (N, n) array; entries that are not positive are dropped."""
        dense = np.ascontiguousarray(dense, np.float32)
        return cls.above(dense, np.zeros(len(dense), np.float32))

    @classmethod
    def above(cls, rows: Float32, thresholds: Float32) -> Codes:
        """What of contiguous ``rows`` float32 (N, n) is above each sample's threshold (N,), and by how much."""
        samples, neurons = rows.shape
        mask = workspace.array("codes.mask", rows.shape, np.bool_)
        np.greater(rows, thresholds[:, None], out=mask)
        flat = mask.ravel().nonzero()[0]
        sample = flat // neurons
        indptr = np.zeros(samples + 1, np.int32)
        np.cumsum(np.bincount(sample, minlength=samples), out=indptr[1:])
        values = rows.ravel()[flat] - thresholds[sample]
        return cls(indptr, (flat - sample * neurons).astype(np.int32), values, rows.shape)

    @classmethod
    def concatenate(cls, parts: Sequence[Codes]) -> Codes:
        """The samples of all ``parts``, over the same neurons, in order."""
        if len(parts) == 1:
            return parts[0]
        indptr = np.zeros(sum(part.shape[0] for part in parts) + 1, np.int32)
        np.cumsum(np.concatenate([np.diff(part.indptr) for part in parts]), out=indptr[1:])
        neurons, values = (
            np.concatenate([getattr(part, name) for part in parts]) for name in ("neurons", "values")
        )
        return cls(indptr, neurons, values, (len(indptr) - 1, parts[0].shape[1]))

    def to_dense(self) -> Float32:
        """The float32 (N, n) array."""
        dense = np.zeros(self.shape, np.float32)
        dense[self.samples(), self.neurons] = self.values
        return dense

    def to_columns(self) -> Float32:
        """The contiguous float32 (n, N) array, one sample a column."""
        columns = np.zeros(self.shape[::-1], np.float32)
        columns[self.neurons, self.samples()] = self.values
        return columns

    def samples(self) -> Int32:
        """Sample number of every pair, int32 (pairs)."""
        if self.shape[0] == 1:
            return np.zeros(len(self.neurons), np.int32)
        return np.repeat(np.arange(self.shape[0], dtype=np.int32), np.diff(self.indptr))

    def slice(self, start: int, stop: int) -> Codes:
        """Samples ``start`` to ``stop``."""
        first, last = self.indptr[start], self.indptr[stop]
        indptr = self.indptr[start : stop + 1] - first
        return Codes(indptr, self.neurons[first:last], self.values[first:last], (stop - start, self.shape[1]))

    def among(self, local: Int32, count: int) -> Codes:
        """The same codes over ``count`` of the neurons alone, the active ones in order; ``local`` (pairs)."""
        return Codes(self.indptr, local, self.values, (self.shape[0], count))

    def read_out(self, transposed: Float32) -> Float32:
        """``Z V^T``, float32 (N, classes), for ``transposed`` = V^T contiguous float32 (n, classes)."""
        return matmat(self.shape, self.indptr, self.neurons, self.values, transposed)
