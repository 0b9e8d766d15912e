"""Both ways to the gradient of rows of different lengths give the one of the dense matrix."""

import numpy as np
import pytest

from ssd_edge_runtime.gradient import backward
from ssd_edge_runtime.network.counting import Touched
from ssd_edge_runtime.sparse.csr import CSRMatrix
from ssd_edge_runtime.sparse.row_index import RowIndex


@pytest.mark.parametrize("limit", [0, 10**9], ids=["entries", "product"])
def test_gradient_of_ragged_rows(monkeypatch, limit):
    monkeypatch.setattr(backward, "PRODUCTS_PER_ENTRY", limit)
    rng = np.random.default_rng(0)
    dense = np.where(rng.random((9, 14)) < rng.random((9, 1)), rng.standard_normal((9, 14)), 0.0).astype(
        np.float32
    )
    rows, columns = np.nonzero(dense)
    indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=9))]).astype(np.int32)
    weights = CSRMatrix(indptr, columns.astype(np.int32), dense[rows, columns], dense.shape)
    u = rng.standard_normal((14, 5)).astype(np.float32)
    neurons, samples = np.array([1, 4, 4, 7, 1, 4]), np.array([0, 0, 2, 3, 4, 2])
    pairs = backward.Pairs(samples, neurons, rng.standard_normal(6).astype(np.float32))
    touched = Touched.of(neurons, 9)
    by_hidden = np.zeros((9, 5), np.float32)
    np.add.at(by_hidden, (neurons, samples), pairs.values)
    wanted = (by_hidden @ u.T)[touched.rows][dense[touched.rows] != 0]
    found = backward.weight_gradient(weights, RowIndex(weights), u, pairs, touched)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)
