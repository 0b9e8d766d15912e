"""The Gram matrix of the codes: a packed lower triangle, float64, row by row, and two ways to add samples."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from ssd_edge_runtime.arrays import Float64
from ssd_edge_runtime.sparse.codes import Codes

PANEL = 256


def packed_size(neurons: int | np.integer) -> int:
    """Entries of the packed lower triangle of an n x n matrix."""
    return int(neurons) * (int(neurons) + 1) // 2


def add_samples(gram: Float64, codes: Codes) -> None:
    """``G += Z^T Z`` in place: k x k entries a sample are scattered, or one product a batch is added."""
    if scatter_is_cheaper(codes):
        scatter(gram, codes)
    else:
        add_product(gram, codes.to_dense().astype(np.float64))


def scatter_is_cheaper(codes: Codes) -> bool:
    """Which of the two ways to take."""
    # Nanoseconds, measured on x86. An entry is scattered the slower the less of the triangle is cached; a product
    # costs its multiply-adds, and the walk over the whole triangle that adds it, however few the samples.
    lengths = np.diff(codes.indptr).astype(np.float64)
    samples, neurons = codes.shape
    triangle = packed_size(neurons)
    scattered = 5e3 * samples + (6.0 + min(triangle * 1e-6, 14.0)) * float((lengths * (lengths + 1) / 2).sum())
    return scattered < 1.2e3 * neurons + triangle * (2.0 + 0.05 * samples)


@functools.lru_cache(maxsize=8)
def _triangle(size: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    return np.tril_indices(size)


def scatter(gram: Float64, codes: Codes) -> None:
    """Add the products of each sample's own pairs of active neurons."""
    for start, stop in zip(codes.indptr[:-1], codes.indptr[1:], strict=True):
        neurons = codes.neurons[start:stop].astype(np.int64)
        values = codes.values[start:stop].astype(np.float64)
        row, column = _triangle(len(neurons))
        # Neurons of one sample are distinct and ascending, so no position comes twice.
        gram[(neurons * (neurons + 1) // 2)[row] + neurons[column]] += values[row] * values[column]


def add_product(gram: Float64, z: Float64) -> None:
    """Add ``Z^T Z`` of dense codes float64 (N, n), a panel of rows at a time."""
    neurons = z.shape[1]
    for first in range(0, neurons, PANEL):
        last = min(first + PANEL, neurons)
        panel = z[:, first:last].T @ z[:, :last]
        for row in range(first, last):
            gram[packed_size(row) : packed_size(row + 1)] += panel[row - first, : row + 1]


def unpack(gram: Float64, neurons: int) -> Float64:
    """The symmetric (n, n) matrix whose lower triangle is packed in ``gram``; only that triangle is filled."""
    square = np.zeros((neurons, neurons))
    for row in range(neurons):
        square[row, : row + 1] = gram[packed_size(row) : packed_size(row + 1)]
    return square


def trace(gram: Float64, neurons: int) -> float:
    """Sum of the diagonal of a packed triangle."""
    diagonal = np.arange(neurons, dtype=np.int64)
    return float(gram[diagonal * (diagonal + 3) // 2].sum())
