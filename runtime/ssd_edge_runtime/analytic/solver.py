"""The closed-form readout: sufficient statistics of the codes, and their solution."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ssd_edge_runtime.analytic.gram import add_samples, packed_size, trace, unpack
from ssd_edge_runtime.arrays import Float32, Float64, Int64
from ssd_edge_runtime.errors import EdgeModelError
from ssd_edge_runtime.options import AnalyticOptions
from ssd_edge_runtime.sparse.topk import Codes
from ssd_edge_runtime.state import Statistics

NEVER = -1e30
"""Bias of a class that must not be answered: below what few, nearly equal samples give any other class."""
WIDEST = 20_000
"""Neurons; the packed statistics of more would not fit in a file, which protobuf limits to 2 GB."""
PROBES = 64
JITTER = 1e-6


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
    add_samples(statistics.gram, sparse)


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
    options: AnalyticOptions
    counts: Int64

    def solve(self) -> tuple[Float32, Float32]:
        """V float32 (classes, n) and b float32 (classes,)."""
        classes = len(self.targets)
        if self.matrix is None:
            return np.zeros(self.targets.shape, np.float32), np.zeros(classes, np.float32)
        if self.options.solver == "ridge":
            weights = _solve_positive(self.matrix, self.targets)
            return weights.astype(np.float32), self._withhold(np.zeros(classes))
        probes = _probes(len(self.matrix))
        solved = _solve_positive(self.matrix, np.vstack([self.targets, probes]))
        weights, inverse = solved[:classes] * self.counts.sum(), solved[classes:]
        freedom = probes.shape[1] - self.regularizer * float(np.vdot(probes, inverse))
        squared = np.einsum("cn,cn->c", weights, self.targets) - freedom / np.maximum(self.counts, 1)
        bias = -0.5 * squared
        if self.options.weighs_by_count:
            bias += np.log(np.maximum(self.counts, 1) / self.counts.sum())
        return weights.astype(np.float32), self._withhold(bias)

    def _withhold(self, bias: Float64) -> Float32:
        """``bias``, and NEVER for a class of too few samples."""
        return np.where(withheld(self.counts, self.options), NEVER, bias).astype(np.float32)


def withheld(counts: Int64, options: AnalyticOptions) -> NDArray[np.bool_]:
    """Which classes, of ``counts`` samples int64 (classes,), are not answered, bool (classes,)."""
    least = min(options.min_samples, int(counts.max(initial=0)))
    return counts < max(least, 1)


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
    counts = statistics.class_counts.copy()
    by_count = options.solver == "ridge" and options.weighs_by_count
    targets = statistics.class_sums.copy() if by_count else means(statistics)
    regularizer = options.rho * trace(statistics.gram, neurons) / neurons
    if regularizer <= 0.0:
        return System(None, targets, regularizer, options, counts)
    matrix = unpack(statistics.gram, neurons) if by_count else within_class_scatter(statistics)
    if options.solver == "ridge" and not by_count:
        # As if each class had the same number of samples, all scattered about their means as they are on average.
        balanced = targets * (counts.sum() / max(np.count_nonzero(counts), 1))
        matrix += balanced.T @ targets
        targets = balanced
    matrix[np.diag_indices_from(matrix)] += regularizer
    return System(matrix, targets, regularizer, options, counts)


def solve(statistics: Statistics, options: AnalyticOptions) -> tuple[Float32, Float32]:
    """Readout V float32 (classes, n) and b float32 (classes,) from the statistics alone.

    With ``lam = rho * trace(G) / n``: ridge, ``V = C (G + lam I)^-1``, ``b = 0``; lda (equal priors), with the
    pooled within-class covariance ``S = (G - sum_c N_c mu_c mu_c^T + lam I) / N``: ``V_c = mu_c^T S^-1``,
    ``b_c = -(mu_c^T S^-1 mu_c - f / N_c) / 2``, f the effective degrees of freedom ``trace(S^-1 S_0)``, ``S_0``
    the part of S that is not regularizer. A mean of N_c noisy codes is too long by f / N_c on average; left in, a
    class of ten samples beside classes of thousands is hardly answered. With ``priors`` "counts", lda adds
    ``log(N_c / N)`` to ``b_c``; with "equal", ridge replaces ``C`` by ``w mu`` and ``G`` by the within-class
    scatter plus ``w sum_c mu_c mu_c^T``, w the mean of ``N_c``. A class of fewer than ``min_samples``, or of none,
    is not answered. Raises :class:`EdgeModelError` if the statistics are not positive.
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
