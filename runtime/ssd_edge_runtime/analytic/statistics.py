"""Sufficient statistics of the codes: gathered, added up, taken apart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ssd_edge_runtime.analytic.gram import add_samples, diagonal, packed_size, trace, unpack
from ssd_edge_runtime.arrays import Float32, Float64, Int64, Write
from ssd_edge_runtime.errors import EdgeModelError
from ssd_edge_runtime.network.counting import Touched
from ssd_edge_runtime.sparse.codes import Codes
from ssd_edge_runtime.state import Statistics

WIDEST = 20_000
"""Neurons; the packed statistics of more would not fit in a file, which protobuf limits to 2 GB."""
JITTER = 1e-6
EXACT = 2.0**53
"""Whole numbers below it are float64 numbers."""


def empty(neurons: int, classes: int, code_bits: int | None = None) -> Statistics:
    """Statistics of no samples, of codes of ``code_bits``.

    Raises :class:`EdgeModelError` for a layer too wide to keep them.
    """
    if neurons > WIDEST:
        size = 8 * packed_size(neurons) / 1e9
        raise EdgeModelError(
            f"the analytic readout of {neurons} neurons would keep {size:.1f} GB of statistics: "
            f"use at most {WIDEST} neurons, or the gradient readout"
        )
    gram, sums = np.zeros(packed_size(neurons)), np.zeros((classes, neurons))
    return Statistics(gram, sums, np.zeros(classes, np.int64), code_bits)


def gather(
    codes: Codes | Float32, labels: NDArray[np.integer], classes: int, code_bits: int | None = None
) -> Statistics:
    """Statistics of samples: ``codes`` (N, n), ``labels`` (N,) class indices below ``classes``."""
    statistics = empty(codes.shape[1], classes, code_bits)
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
    summed(statistics.class_sums, sparse, Touched.by(sparse), np.asarray(labels)).do()
    add_samples(statistics.gram, sparse)


def summed(class_sums: Float64, codes: Codes, touched: Touched, labels: NDArray[np.integer]) -> Write:
    """What adds ``Y^T Z`` to ``class_sums`` float64 (classes, n); ``touched`` the neurons of ``codes``."""
    if codes.shape[0] == 1:
        own = class_sums[labels[0]]
        return Write(own, touched.rows, own[touched.rows] + codes.values)
    classes = len(class_sums)
    place = touched.local * classes + labels[codes.samples()]
    sums = np.bincount(place, codes.values, minlength=len(touched.rows) * classes).reshape(-1, classes)
    return Write(class_sums.T, touched.rows, class_sums.T[touched.rows] + sums)


def add(a: Statistics, b: Statistics) -> Statistics:
    """Statistics of the samples of both; the same neurons and classes."""
    return Statistics(a.gram + b.gram, a.class_sums + b.class_sums, a.class_counts + b.class_counts, a.code_bits)


def check_counts(statistics: Statistics, labels: NDArray[np.integer]) -> None:
    """Raise :class:`EdgeModelError` if more samples of a class were taken out than there are."""
    if (statistics.class_counts < np.bincount(labels, minlength=len(statistics.class_counts))).any():
        raise EdgeModelError("cannot unlearn more samples of a class than were learned")


def check_room(statistics: Statistics, rows: NDArray[np.integer], squares: Float64, step: float) -> None:
    """Raise :class:`EdgeModelError` unless exact statistics stay exact when samples are added.

    ``squares`` float64 (m,): sums of squares of their codes, of the neurons ``rows`` (m,). Codes are multiples of
    ``step``. No entry of a Gram matrix is larger than the largest of its diagonal.
    """
    largest = (diagonal(statistics.gram, rows) + squares).max(initial=0.0)
    if largest >= EXACT * step * step:
        raise EdgeModelError("the statistics are full: more samples could not be added up exactly, export again")


def squared(codes: Codes, touched: Touched) -> Float64:
    """Sum of squares of the codes of each touched neuron, float64 (rows,)."""
    values = codes.values.astype(np.float64)
    return np.bincount(touched.local, values * values, minlength=len(touched.rows)).astype(np.float64)


def rest_of_sums(a: Statistics, b: Statistics) -> Statistics:
    """Sums and counts of the samples of ``a`` without those of ``b``, over the Gram matrix of ``a`` as it is.

    Raises :class:`EdgeModelError` if a sum would fall below zero, or if the within-class scatter is no longer
    positive: samples in ``b`` were never in ``a``.
    """
    neurons = a.class_sums.shape[1]
    gone = a.class_counts == b.class_counts
    rest = Statistics(a.gram, a.class_sums - b.class_sums, a.class_counts - b.class_counts, a.code_bits)
    tolerance = JITTER * max(trace(a.gram, neurons) / neurons, np.finfo(np.float64).tiny)
    exact = a.code_bits is not None
    sums_tolerance = 0.0 if exact else 1e-4 * max(float(np.abs(a.class_sums).max(initial=0.0)), 1e-12)
    impossible = np.abs(rest.class_sums[gone]).max(initial=0.0) > sums_tolerance
    impossible |= rest.class_sums.min(initial=0.0) < -sums_tolerance
    rest.class_sums[gone] = 0.0
    scatter = within_class_scatter(rest)
    scatter -= unpack(b.gram, neurons)
    if impossible or not _is_positive(scatter, tolerance):
        raise EdgeModelError(
            "cannot unlearn samples that were never learned: the statistics are no longer positive"
        )
    return rest


def without(statistics: Statistics, part: Statistics) -> Statistics:
    """Statistics of the samples that are not in ``part``, unchecked."""
    return Statistics(
        statistics.gram - part.gram,
        statistics.class_sums - part.class_sums,
        statistics.class_counts - part.class_counts,
        statistics.code_bits,
    )


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


def with_classes(statistics: Statistics, classes: int) -> Statistics:
    """The same statistics over ``classes`` classes, the new ones last and without samples."""
    new = classes - len(statistics.class_counts)
    if not new:
        return statistics
    sums, counts = np.pad(statistics.class_sums, ((0, new), (0, 0))), np.pad(statistics.class_counts, (0, new))
    return replace(statistics, class_sums=sums, class_counts=counts)


def select_classes(statistics: Statistics, keep: Int64) -> Statistics:
    """The same Gram matrix over the classes ``keep`` (indices)."""
    return replace(statistics, class_sums=statistics.class_sums[keep], class_counts=statistics.class_counts[keep])
