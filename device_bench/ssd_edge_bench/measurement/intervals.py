"""Statistics of raw timings: percentiles, and intervals that two runs of one machine agree within."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from scipy.special import stdtrit

from ssd_edge_runtime.arrays import Float64

CONFIDENCE = 0.95
SMALLEST_SPREAD = 0.03
"""Even processes that agree perfectly vouch for no more than this relative deviation between runs."""
UNSTABLE_SPREAD = 0.10
PERCENTILES = {"p50": 50.0, "p90": 90.0, "p99": 99.0, "p99.9": 99.9}


@dataclass(frozen=True)
class Interval:
    """A value and the interval that holds it with 95 % confidence."""

    value: float
    low: float
    high: float


def percentiles(values: Sequence[float] | Float64) -> dict[str, float]:
    """``p50``, ``p90``, ``p99``, ``p99.9`` of raw values, by linear interpolation."""
    found = np.percentile(np.asarray(values, np.float64), list(PERCENTILES.values()))
    return dict(zip(PERCENTILES, map(float, found), strict=True))


def spread(processes: Sequence[Sequence[float]], percentile: float = 50.0) -> float:
    """Relative standard deviation of a percentile between processes, 0 for one process."""
    logs = _log_percentiles(processes, percentile)
    return float(logs.std(ddof=1)) if len(logs) > 1 else 0.0


def interval(processes: Sequence[Sequence[float]], percentile: float = 50.0) -> Interval:
    """A percentile over processes with its 95 % interval.

    ``processes``: raw values of each process. Within one process neighboring values are not independent, so the
    interval comes from how the processes differ: Student's t on the logarithm of each process's percentile.
    """
    logs = _log_percentiles(processes, percentile)
    center, half = float(logs.mean()), _quantile(len(logs)) * _standard_error(logs)
    return Interval(math.exp(center), math.exp(center - half), math.exp(center + half))


def ratio(
    numerator: Sequence[Sequence[float]], denominator: Sequence[Sequence[float]], percentile: float = 50.0
) -> Interval:
    """``numerator / denominator`` of a percentile with its 95 % interval (Welch's t on logarithms)."""
    a, b = (_log_percentiles(side, percentile) for side in (numerator, denominator))
    errors = [_standard_error(a), _standard_error(b)]
    center = float(a.mean() - b.mean())
    half = _quantile(min(len(a), len(b))) * math.hypot(*errors)
    return Interval(math.exp(center), math.exp(center - half), math.exp(center + half))


def unstable(processes: Sequence[Sequence[float]]) -> bool:
    """Whether the medians of the processes differ by more than a tenth."""
    return spread(processes) > UNSTABLE_SPREAD


def _log_percentiles(processes: Sequence[Sequence[float]], percentile: float) -> Float64:
    return np.log([np.percentile(np.asarray(values, np.float64), percentile) for values in processes])


def _standard_error(logs: Float64) -> float:
    deviation = max(float(logs.std(ddof=1)) if len(logs) > 1 else 0.0, SMALLEST_SPREAD)
    return deviation / math.sqrt(len(logs))


def _quantile(processes: int) -> float:
    """Two-sided quantile of Student's t; a single process leaves only the normal one."""
    upper = (1 + CONFIDENCE) / 2
    return float(stdtrit(processes - 1, upper)) if processes > 1 else NormalDist().inv_cdf(upper)
