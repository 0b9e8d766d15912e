"""The Top-K activation with subtraction and its sparse result (Bricken et al., ICLR 2023, inference form)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import _sparsetools

from ssd_edge_runtime.csr import Float32, Int32


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
        return _gather(np.ascontiguousarray(dense, np.float32), np.zeros(len(dense), np.float32))

    def to_dense(self) -> Float32:
        """The float32 (N, n) array."""
        dense = np.zeros(self.shape, np.float32)
        dense[self.samples(), self.neurons] = self.values
        return dense

    def samples(self) -> Int32:
        """Sample number of every pair, int32 (pairs)."""
        return np.repeat(np.arange(self.shape[0], dtype=np.int32), np.diff(self.indptr))

    def slice(self, start: int, stop: int) -> Codes:
        """Samples ``start`` to ``stop``."""
        first, last = self.indptr[start], self.indptr[stop]
        indptr = self.indptr[start : stop + 1] - first
        return Codes(indptr, self.neurons[first:last], self.values[first:last], (stop - start, self.shape[1]))

    def read_out(self, transposed: Float32) -> Float32:
        """``Z V^T``, float32 (N, classes), for ``transposed`` = V^T contiguous float32 (n, classes)."""
        out = np.zeros((self.shape[0], transposed.shape[1]), np.float32)
        _sparsetools.csr_matvecs(
            *self.shape, out.shape[1], self.indptr, self.neurons, self.values, transposed.ravel(), out.ravel()
        )
        return out


def top_k(h: Float32, k: int) -> Codes:
    """``z = relu(a - I)``, ``a = relu(h)``, ``I`` the (k+1)-th largest of ``a``, for each row of ``h``.

    ``h`` float32 (N, n), contiguous, 1 <= k < n. Ties at the threshold are all inactive.
    """
    return _gather(h, thresholds(h, k))


def thresholds(h: Float32, k: int) -> Float32:
    """``I`` per sample, float32 (N,): the (k+1)-th largest of ``relu(h)``."""
    place = h.shape[1] - k - 1
    return np.maximum(np.partition(h, place, axis=1)[:, place], np.float32(0.0))


def _gather(h: Float32, threshold: Float32) -> Codes:
    samples, neurons = h.shape
    flat = np.flatnonzero(h > threshold[:, None])
    if samples == 1:
        indptr = np.array([0, len(flat)], np.int32)
        return Codes(indptr, flat.astype(np.int32), h[0, flat] - threshold[0], h.shape)
    rows = flat // neurons
    indptr = np.zeros(samples + 1, np.int32)
    np.cumsum(np.bincount(rows, minlength=samples), out=indptr[1:])
    return Codes(indptr, (flat - rows * neurons).astype(np.int32), h.ravel()[flat] - threshold[rows], h.shape)
