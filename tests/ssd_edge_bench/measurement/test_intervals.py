"""Percentiles and intervals against closed forms and against their promise."""

from __future__ import annotations

import numpy as np
import pytest

from ssd_edge_bench.measurement.intervals import SMALLEST_SPREAD, interval, percentiles, ratio, spread, unstable


def test_percentiles_of_known_values() -> None:
    found = percentiles(np.arange(1001, dtype=np.float64))
    assert found == pytest.approx({"p50": 500, "p90": 900, "p99": 990, "p99.9": 999})


def test_interval_of_agreeing_processes_has_a_floor() -> None:
    found = interval([[10.0, 11.0, 12.0]] * 4)
    assert found.value == pytest.approx(11.0)
    # Student's t with 3 degrees of freedom: 3.182.
    assert found.high / found.value == pytest.approx(np.exp(3.1824 * SMALLEST_SPREAD / 2), rel=1e-4)
    assert found.low * found.high == pytest.approx(found.value**2)


def test_interval_widens_with_disagreement_and_narrows_with_processes() -> None:
    few = interval([[10.0], [12.0], [14.0]])
    many = interval([[10.0], [12.0], [14.0]] * 4)
    close = interval([[11.9], [12.0], [12.1]])
    assert few.high / few.low > many.high / many.low
    assert few.high / few.low > close.high / close.low


def test_two_runs_agree_within_their_intervals_nineteen_times_of_twenty() -> None:
    """Medians that vary by 5 % between processes: the interval of one run's ratio to another holds 1."""
    rng = np.random.default_rng(0)
    trials, held = 400, 0
    for _ in range(trials):
        runs = [[[float(value)] for value in np.exp(0.05 * rng.standard_normal(5))] for _ in range(2)]
        found = ratio(*runs)
        held += found.low <= 1.0 <= found.high
    assert held / trials >= 0.9


def test_ratio_is_the_quotient_of_medians_and_inverts() -> None:
    slow, fast = [[20.0, 22.0, 24.0], [21.0, 22.0, 23.0]], [[10.0, 11.0, 12.0], [10.5, 11.0, 11.5]]
    found, inverse = ratio(slow, fast), ratio(fast, slow)
    assert found.value == pytest.approx(2.0)
    assert found.low == pytest.approx(1 / inverse.high)
    assert 1 < found.low < 2 < found.high


def test_a_percentile_other_than_the_median() -> None:
    values = [list(range(1, 102))]
    assert interval(values, 90.0).value == pytest.approx(91.0)


def test_unstable_means_that_processes_disagree_by_more_than_a_tenth() -> None:
    assert not unstable([[100.0], [104.0], [98.0]])
    assert unstable([[100.0], [150.0], [98.0]])
    assert spread([[100.0]]) == 0.0
