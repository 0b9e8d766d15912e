"""Counts and statistics of one pass."""

import numpy as np
import pytest
import torch

from ssd_edge.model import TopKNetwork
from ssd_edge_export import calibrate
from ssd_edge_export.assembly.state import layer_matrices
from ssd_edge_runtime import analytic
from ssd_edge_runtime.analytic.gram import unpack
from ssd_edge_runtime.errors import DataError
from ssd_edge_runtime.sparse.exact import ExactInput, ExactNetwork


@pytest.fixture
def setup():
    rng = np.random.default_rng(0)
    network = TopKNetwork.create((7,), (20, 9), (4, 3), seed=3, nonnegative=False)
    network.add_classes(["a", "b", "c"])
    return network, rng.standard_normal((2500, 7)).astype(np.float32), rng.integers(0, 3, 2500)


def test_counts_and_statistics_are_the_closed_form(setup):
    network, x, y = setup
    found = calibrate(network, x, y, last_task=[1, 2])
    with torch.no_grad():
        codes = [z.numpy() for z in network.codes(torch.from_numpy(x))]
    for counts, z in zip(found.layers, codes, strict=True):
        np.testing.assert_array_equal(counts.activation_count, (z > 0).sum(0))
        np.testing.assert_array_equal(counts.task_count, (z[y > 0] > 0).sum(0))
        np.testing.assert_array_equal(counts.class_count, [(z[y == c] > 0).sum(0) for c in range(3)])
    z = codes[-1].astype(np.float64)
    np.testing.assert_allclose(unpack(found.statistics.gram, 9), np.tril(z.T @ z), rtol=1e-12)
    np.testing.assert_allclose(found.statistics.class_sums, [z[y == c].sum(0) for c in range(3)], rtol=1e-12)
    np.testing.assert_array_equal(found.class_samples, np.bincount(y))
    np.testing.assert_array_equal(found.statistics.class_counts, np.bincount(y))
    assert found.task_samples == (y > 0).sum()


def test_exact_codes_are_those_that_a_device_learns_by(setup):
    network, x, y = setup
    layers = list(zip(layer_matrices(network), (layer.k for layer in network.topk_layers), strict=True))
    exact = ExactNetwork(ExactInput(), layers)
    found, plain = calibrate(network, x, y, last_task=[1, 2], exact=exact), calibrate(network, x, y)
    codes = exact.codes(x)
    for counts, z in zip(found.layers, (each.to_dense() for each in codes), strict=True):
        np.testing.assert_array_equal(counts.activation_count, (z > 0).sum(0))
        np.testing.assert_array_equal(counts.task_count, (z[y > 0] > 0).sum(0))
        np.testing.assert_array_equal(counts.class_count, [(z[y == c] > 0).sum(0) for c in range(3)])
    assert found.statistics.code_bits == exact.bits
    expected = analytic.gather(codes[-1], y, 3)
    np.testing.assert_array_equal(found.statistics.gram, expected.gram)
    np.testing.assert_array_equal(found.statistics.class_sums, expected.class_sums)
    np.testing.assert_allclose(found.statistics.gram, plain.statistics.gram, rtol=1e-3)


def test_without_statistics(setup):
    assert calibrate(*setup, statistics=False).statistics is None


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (np.zeros((0, 7), np.float32), np.zeros(0, np.int64), "no samples given"),
        (np.zeros((2, 6), np.float32), np.zeros(2, np.int64), r"shape \(N, 7\), got float32 \(2, 6\)"),
        (np.zeros((2, 7)), np.zeros(2, np.int64), "must be float32"),
        (np.zeros((2, 7), np.float32), np.zeros(3, np.int64), r"labels must be integers of shape \(2,\)"),
        (np.zeros((2, 7), np.float32), np.array([0, 3]), "between 0 and 2, got 0 to 3"),
    ],
)
def test_bad_data(setup, x, y, message):
    with pytest.raises(DataError, match=message):
        calibrate(setup[0], x, y)
