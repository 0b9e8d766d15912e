"""The analytic readout, solved in closed form from its statistics, and rounded as a file would hold it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ssd_edge_runtime.analytic.gram import trace, unpack
from ssd_edge_runtime.analytic.statistics import means, within_class_scatter
from ssd_edge_runtime.arrays import Float32, Float64, Int64
from ssd_edge_runtime.errors import EdgeModelError
from ssd_edge_runtime.model_file.codecs import HALF_MAX, round_values
from ssd_edge_runtime.options import AnalyticOptions, ValuesType
from ssd_edge_runtime.state import Readout, Statistics

NEVER = -1e30
"""Bias of a class that must not be answered: below what few, nearly equal samples give any other class."""
PROBES = 64


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


def solve_rounded(
    statistics: Statistics, options: AnalyticOptions, values_type: ValuesType
) -> tuple[Readout, ValuesType]:
    """:func:`solve`, then :func:`rounded`."""
    return rounded(*solve(statistics, options), values_type)


def rounded(weights: Float32, bias: Float32, values_type: ValuesType) -> tuple[Readout, ValuesType]:
    """The analytic readout V (classes, n), b (classes,) rounded to ``values_type``, or the type that it needs.

    A readout solved from few samples has entries of up to n / rho and may outgrow float16. What was learned must
    be savable, so that it is float32 then, which a larger file takes.
    """
    if values_type == "float16" and np.abs(weights).max(initial=0.0) > HALF_MAX:
        values_type = "float32"
    if values_type != "float32":
        weights = round_values(weights, values_type, "readout.values")
    return Readout("analytic", weights, bias), values_type


def _solve_positive(lower: Float64, targets: Float64) -> Float64:
    from scipy.linalg import LinAlgError, cho_factor, cho_solve

    try:
        factor = cho_factor(lower, lower=True, overwrite_a=True, check_finite=False)
    except LinAlgError as error:
        raise EdgeModelError("the statistics are not positive: the readout cannot be solved") from error
    solution: Float64 = cho_solve(factor, targets.T, check_finite=False).T
    return np.ascontiguousarray(solution)
