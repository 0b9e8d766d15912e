"""Work is counted by hand on small models; probes are only asked to be plausible."""

from __future__ import annotations

from pathlib import Path

import pytest

from ssd_edge_bench.measurement.measurement import measure, probe_ceilings
from ssd_edge_bench.measurement.options import BenchOptions
from ssd_edge_bench.roofline.roofline import Ceilings, Work, count, weight_bytes
from ssd_edge_runtime import model_file


def test_bound_is_the_slower_of_moving_and_computing() -> None:
    ceilings = Ceilings(bytes_per_second=10e9, dram_bytes_per_second=5e9, operations_per_second=100e9)
    assert ceilings.bound(Work(bytes=1e9, operations=1e9)) == pytest.approx(0.1)
    assert ceilings.limited_by(Work(1e9, 1e9)) == "bandwidth"
    assert ceilings.bound(Work(bytes=1e9, operations=50e9)) == pytest.approx(0.5)
    assert ceilings.limited_by(Work(1e9, 50e9)) == "arithmetic"


def test_work_of_a_prediction_counted_by_hand(gradient_model: Path) -> None:
    """12 -> 40, k 5, three classes: nnz values and columns, 41 row starts, 5 active columns of V."""
    state = model_file.load(gradient_model)
    nonzeros = state.layers[0].weights.nonzeros
    one = count(state, "predict", 1)
    assert one is not None
    assert one.bytes == 8 * nonzeros + 4 * 41 + 4 * 3 * 5 + 4 * (12 + 2 * 40)
    assert one.operations == 3 * 12 + 2 * nonzeros + 40 + 2 * 5 * 3
    dense = count(state, "predict", 2, dense=True)
    assert dense is not None
    assert dense.bytes == 4 * 12 * 40 + 4 * 3 * 40 + 2 * 4 * (12 + 2 * 40)
    assert dense.operations == 2 * (3 * 12 + 2 * 12 * 40 + 40 + 2 * 40 * 3)
    assert weight_bytes(state, dense=True) == 4 * (12 * 40 + 3 * 40)


def test_learning_costs_more_than_predicting_and_grows_with_the_batch(model: Path) -> None:
    state = model_file.load(model)
    work = [count(state, operation, batch) for operation, batch in (("predict", 1), ("learn", 1), ("learn", 8))]
    sizes = [(item.bytes, item.operations) for item in work if item is not None]
    assert len(sizes) == 3
    assert sizes[0] < sizes[1] < sizes[2]
    assert count(state, "start", 1) is None


def test_probes_are_plausible_and_every_row_has_a_bound(gradient_model: Path) -> None:
    sparse, dense = probe_ceilings(model_file.load(gradient_model))
    for ceilings in (sparse, dense):
        assert 1e8 < ceilings.bytes_per_second < 1e13
        assert 1e8 < ceilings.dram_bytes_per_second < 1e12
        assert 1e8 < ceilings.operations_per_second < 1e13
    options = BenchOptions(engines=("csr",), operations=("predict", "learn"), processes=1, seconds=0.01)
    rows = measure(gradient_model, options)["roofline"]["rows"]
    assert [(row["operation"], row["batch"]) for row in rows] == [
        ("predict", 1),
        ("predict", 32),
        ("learn", 1),
        ("learn", 32),
    ]
    assert all(row["share_of_bound"] > 0 for row in rows)
