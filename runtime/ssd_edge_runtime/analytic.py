"""The closed-form readout: sufficient statistics of the codes, and their solution."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ssd_edge_runtime.csr import Float32
from ssd_edge_runtime.errors import EdgeModelError
from ssd_edge_runtime.options import AnalyticOptions
from ssd_edge_runtime.state import Float64, Int64, Statistics
from ssd_edge_runtime.topk import Codes

NEVER = -1e30
"""Bias of a class that must not be answered: below what few, nearly equal samples give any other class."""
WIDEST = 20_000
"""Neurons; the packed statistics of more would not fit in a file, which protobuf limits to 2 GB."""
PANEL = 256
PROBES = 64
JITTER = 1e-6


def packed_size(neurons: int | np.integer) -> int:
    """Entries of the packed lower triangle of an n x n matrix."""
    return int(neurons) * (int(neurons) + 1) // 2


def empty(neurons: int, classes: int) -> Statistics:
    """Statistics of no samples; raises :class:`EdgeModelError` for a layer too wide to keep them."""
    if neurons > WIDEST:
        size = 8 * packed_size(neurons) / 1e9
        raise EdgeModelError(
            f"the analytic readout of {neurons} neurons would keep {size:.1f} GB of statistics: "
            f"use at most {WIDEST} neurons, or the gradient readout"
        )
    return Statistics(np.zeros(packed_size(neurons)), np.zeros((classes, neurons)), np.zeros(classes, np.int64))


def gather(codes: Codes | Float32, labels: NDArray[np.integer], classes: int) -> Statistics:
    """Statistics of samples: ``codes`` (N, n), ``labels`` (N,) class indices below ``classes``."""
    statistics = empty(codes.shape[1], classes)
    accumulate(statistics, codes, labels)
    return statistics


def accumulate(statistics: Statistics, codes: Codes | Float32, labels: NDArray[np.integer]) -> None:
    """Add samples in place: ``G += Z^T Z``, ``C += Y^T Z``, ``N += Y^T 1``.

    ``codes``: float32 (N, n), sparse or dense; ``labels``: (N,) class indices. Either k x k entries a sample are
    scattered into the triangle or one dense product a batch is formed, by the cheaper estimate; both in float64,
    where products of two float32 codes are exact.
    """
    sparse = codes if isinstance(codes, Codes) else Codes.from_dense(codes)
    statistics.class_counts += np.bincount(labels, minlength=len(statistics.class_counts))
    rows = np.asarray(labels)[sparse.samples()]
    np.add.at(statistics.class_sums, (rows, sparse.neurons), sparse.values)
    if _scatter_is_cheaper(sparse):
        _scatter(statistics.gram, sparse)
    else:
        _add_product(statistics.gram, sparse.to_dense().astype(np.float64))


def _scatter_is_cheaper(codes: Codes) -> bool:
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


def _scatter(gram: Float64, codes: Codes) -> None:
    for start, stop in zip(codes.indptr[:-1], codes.indptr[1:], strict=True):
        neurons = codes.neurons[start:stop].astype(np.int64)
        values = codes.values[start:stop].astype(np.float64)
        row, column = _triangle(len(neurons))
        # Neurons of one sample are distinct and ascending, so no position comes twice.
        gram[(neurons * (neurons + 1) // 2)[row] + neurons[column]] += values[row] * values[column]


def _add_product(gram: Float64, z: Float64) -> None:
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


def add(a: Statistics, b: Statistics) -> Statistics:
    """Statistics of the samples of both; the same neurons and classes."""
    return Statistics(a.gram + b.gram, a.class_sums + b.class_sums, a.class_counts + b.class_counts)


def subtract(a: Statistics, b: Statistics) -> Statistics:
    """Statistics of the samples of ``a`` without those of ``b``.

    Raises :class:`EdgeModelError` if a count would fall below zero, or if the within-class scatter is no longer
    positive: samples in ``b`` were never in ``a``.
    """
    if (a.class_counts < b.class_counts).any():
        raise EdgeModelError("cannot unlearn more samples of a class than were learned")
    gone = a.class_counts == b.class_counts
    rest = Statistics(a.gram - b.gram, a.class_sums - b.class_sums, a.class_counts - b.class_counts)
    scale = trace(a.gram, a.class_sums.shape[1]) / a.class_sums.shape[1]
    tolerance = JITTER * max(scale, np.finfo(np.float64).tiny)
    sums_tolerance = 1e-4 * max(float(np.abs(a.class_sums).max(initial=0.0)), 1e-12)
    impossible = np.abs(rest.class_sums[gone]).max(initial=0.0) > sums_tolerance
    impossible |= rest.class_sums.min(initial=0.0) < -sums_tolerance
    rest.class_sums[gone] = 0.0
    if impossible or not _is_positive(within_class_scatter(rest), tolerance):
        raise EdgeModelError(
            "cannot unlearn samples that were never learned: the statistics are no longer positive"
        )
    return rest


def _is_positive(lower: Float64, tolerance: float) -> bool:
    from scipy.linalg import LinAlgError, cholesky

    lower[np.diag_indices_from(lower)] += tolerance
    try:
        cholesky(lower, lower=True, overwrite_a=True, check_finite=False)
    except LinAlgError:
        return False
    return True


def means(statistics: Statistics) -> Float64:
    """Class means mu_c, float64 (classes, n); zero for a class without samples."""
    return statistics.class_sums / np.maximum(statistics.class_counts, 1)[:, None]


def within_class_scatter(statistics: Statistics) -> Float64:
    """``G - sum_c N_c mu_c mu_c^T``, float64 (n, n), lower triangle."""
    square = unpack(statistics.gram, statistics.class_sums.shape[1])
    square -= means(statistics).T @ statistics.class_sums
    return square


@dataclass(eq=False)
class System:
    """Linear equations of the readout, taken from statistics that may change while they are solved."""

    matrix: Float64 | None
    """Regularized, (n, n), lower triangle; overwritten by the solution; None if nothing was learned yet."""
    targets: Float64
    """(classes, n), class sums (ridge) or means (lda)."""
    regularizer: float
    """What was added to the diagonal."""
    lda: bool
    counts: Int64

    def solve(self) -> tuple[Float32, Float32]:
        """V float32 (classes, n) and b float32 (classes,)."""
        classes = len(self.targets)
        if self.matrix is None:
            return np.zeros(self.targets.shape, np.float32), np.zeros(classes, np.float32)
        if not self.lda:
            return _solve_positive(self.matrix, self.targets).astype(np.float32), np.zeros(classes, np.float32)
        probes = _probes(len(self.matrix))
        solved = _solve_positive(self.matrix, np.vstack([self.targets, probes]))
        weights, inverse = solved[:classes] * self.counts.sum(), solved[classes:]
        freedom = probes.shape[1] - self.regularizer * float(np.vdot(probes, inverse))
        squared = np.einsum("cn,cn->c", weights, self.targets) - freedom / np.maximum(self.counts, 1)
        bias = np.where(self.counts == 0, NEVER, -0.5 * squared)
        return weights.astype(np.float32), bias.astype(np.float32)


def _probes(neurons: int) -> Float64:
    """Vectors p with ``sum p^T A p`` near ``trace(A)``: exact for few neurons, Hutchinson's estimate for many."""
    if neurons <= PROBES:
        return np.eye(neurons)
    signs: Float64 = np.random.default_rng(0).choice([-1.0, 1.0], (PROBES, neurons))
    signs /= math.sqrt(PROBES)
    return signs


def prepare(statistics: Statistics, options: AnalyticOptions) -> System:
    """Copy what :func:`solve` needs out of ``statistics``."""
    neurons = statistics.class_sums.shape[1]
    lda = options.solver == "lda"
    targets = means(statistics) if lda else statistics.class_sums.copy()
    regularizer = options.rho * trace(statistics.gram, neurons) / neurons
    if regularizer <= 0.0:
        return System(None, targets, regularizer, lda, statistics.class_counts.copy())
    matrix = within_class_scatter(statistics) if lda else unpack(statistics.gram, neurons)
    matrix[np.diag_indices_from(matrix)] += regularizer
    return System(matrix, targets, regularizer, lda, statistics.class_counts.copy())


def solve(statistics: Statistics, options: AnalyticOptions) -> tuple[Float32, Float32]:
    """Readout V float32 (classes, n) and b float32 (classes,) from the statistics alone.

    With ``lam = rho * trace(G) / n``: ridge, ``V = C (G + lam I)^-1``, ``b = 0``; lda (equal priors), with the
    pooled within-class covariance ``S = (G - sum_c N_c mu_c mu_c^T + lam I) / N``: ``V_c = mu_c^T S^-1``,
    ``b_c = -(mu_c^T S^-1 mu_c - f / N_c) / 2``, f the effective degrees of freedom ``trace(S^-1 S_0)``, ``S_0``
    the part of S that is not regularizer. A mean of N_c noisy codes is too long by f / N_c on average; left in, a
    class of ten samples beside classes of thousands is hardly answered. A class without samples never is.
    Raises :class:`EdgeModelError` if the statistics are not positive.
    """
    return prepare(statistics, options).solve()


def _solve_positive(lower: Float64, targets: Float64) -> Float64:
    from scipy.linalg import LinAlgError, cho_factor, cho_solve

    try:
        factor = cho_factor(lower, lower=True, overwrite_a=True, check_finite=False)
    except LinAlgError as error:
        raise EdgeModelError("the statistics are not positive: the readout cannot be solved") from error
    solution: Float64 = cho_solve(factor, targets.T, check_finite=False).T
    return np.ascontiguousarray(solution)


def select_classes(statistics: Statistics, keep: Int64) -> Statistics:
    """The same Gram matrix over the classes ``keep`` (indices)."""
    return Statistics(statistics.gram, statistics.class_sums[keep], statistics.class_counts[keep])


def forget_mean(gram: Float64, class_sum: Float64, samples: int) -> None:
    """Take ``N_c mu_c mu_c^T`` of one class out of the packed ``gram``, in place; its inner scatter stays."""
    if samples == 0:
        return
    mean = class_sum / samples
    for row in np.flatnonzero(class_sum):
        gram[packed_size(row) : packed_size(row + 1)] -= class_sum[row] * mean[: row + 1]
