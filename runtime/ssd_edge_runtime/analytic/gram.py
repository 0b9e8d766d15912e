"""The Gram matrix of the codes: a packed lower triangle, float64, row by row, and what is added to it in steps.

A step is made from the triangle as the steps before it left it, and says which part of it to write anew: no step
needs a second triangle, and a sequence of them that was broken off can go on.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from ssd_edge_runtime.arrays import Float64, Write
from ssd_edge_runtime.sparse.codes import Codes

PANEL = 256
SLICE = 1 << 18
"""Entries written by one step of a difference."""
Step = Callable[[], Write]


def packed_size(neurons: int | np.integer) -> int:
    """Entries of the packed lower triangle of an n x n matrix."""
    return int(neurons) * (int(neurons) + 1) // 2


def add_samples(gram: Float64, codes: Codes) -> None:
    """``G += Z^T Z`` in place."""
    for step in product_steps(gram, [codes]):
        step().do()


def product_steps(gram: Float64, blocks: Sequence[Codes]) -> list[Step]:
    """Steps that add ``Z^T Z`` of blocks of samples: k x k entries a sample, or one product a block in panels."""
    dense = _Dense()
    steps: list[Step] = []
    for codes in blocks:
        if scatter_is_cheaper(codes):
            steps += [functools.partial(_pairs, gram, codes, sample) for sample in range(codes.shape[0])]
        else:
            steps += [functools.partial(_panel, gram, dense, codes, *rows) for rows in _panels(codes.shape[1])]
    return steps


def difference_steps(gram: Float64, part: Float64) -> list[Step]:
    """Steps that take the triangle ``part`` away."""
    starts = range(0, len(gram), SLICE)
    return [functools.partial(_difference, gram, part, slice(start, start + SLICE)) for start in starts]


def forget_steps(gram: Float64, class_sum: Float64, samples: int, unit: float | None = None) -> list[Step]:
    """Steps that take ``N_c mu_c mu_c^T`` of one class away; its inner scatter stays.

    ``class_sum`` float64 (n,), of ``samples`` samples; ``unit``: a power of two, of which what is taken away is
    rounded to multiples.
    """
    if samples == 0:
        return []
    mean = class_sum / samples
    return [
        functools.partial(_without_mean, gram, class_sum, mean, unit, first, last)
        for first, last in _panels(len(class_sum))
        if class_sum[first:last].any()
    ]


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


def _panels(neurons: int) -> list[tuple[int, int]]:
    return [(first, min(first + PANEL, neurons)) for first in range(0, neurons, PANEL)]


class _Dense:
    """The dense float64 codes (N, n) of the block that was asked for last."""

    def __init__(self) -> None:
        self._last: tuple[Codes, Float64] | None = None

    def of(self, codes: Codes) -> Float64:
        if self._last is None or self._last[0] is not codes:
            self._last = codes, codes.to_dense().astype(np.float64)
        return self._last[1]


def _pairs(gram: Float64, codes: Codes, sample: int) -> Write:
    start, stop = codes.indptr[sample : sample + 2]
    neurons = codes.neurons[start:stop].astype(np.int64)
    values = codes.values[start:stop].astype(np.float64)
    row, column = _triangle(len(neurons))
    # Neurons of one sample are distinct and ascending, so no position comes twice.
    where = (neurons * (neurons + 1) // 2)[row] + neurons[column]
    return Write(gram, where, gram[where] + values[row] * values[column])


def _panel(gram: Float64, dense: _Dense, codes: Codes, first: int, last: int) -> Write:
    z = dense.of(codes)
    product = z[:, first:last].T @ z[:, :last]
    where = slice(packed_size(first), packed_size(last))
    values = gram[where].copy()
    for row in range(first, last):
        start = packed_size(row) - where.start
        values[start : start + row + 1] += product[row - first, : row + 1]
    return Write(gram, where, values)


def _difference(gram: Float64, part: Float64, where: slice) -> Write:
    return Write(gram, where, gram[where] - part[where])


def _without_mean(
    gram: Float64, class_sum: Float64, mean: Float64, unit: float | None, first: int, last: int
) -> Write:
    where = slice(packed_size(first), packed_size(last))
    values = gram[where].copy()
    for row in first + np.flatnonzero(class_sum[first:last]):
        start = packed_size(row) - where.start
        product = class_sum[row] * mean[: row + 1]
        values[start : start + row + 1] -= product if unit is None else np.rint(product / unit) * unit
    return Write(gram, where, values)


def unpack(gram: Float64, neurons: int) -> Float64:
    """The symmetric (n, n) matrix whose lower triangle is packed in ``gram``; only that triangle is filled."""
    square = np.zeros((neurons, neurons))
    for row in range(neurons):
        square[row, : row + 1] = gram[packed_size(row) : packed_size(row + 1)]
    return square


def diagonal(gram: Float64, rows: NDArray[np.integer]) -> Float64:
    """The entries (i, i) of a packed triangle, for i in ``rows``."""
    row = rows.astype(np.int64)
    entries: Float64 = gram[row * (row + 3) // 2]
    return entries


def trace(gram: Float64, neurons: int) -> float:
    """Sum of the diagonal of a packed triangle."""
    return float(diagonal(gram, np.arange(neurons)).sum())
