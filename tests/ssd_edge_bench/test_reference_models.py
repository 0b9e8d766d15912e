"""Models with random rows: what every measurement of cost starts from."""

from __future__ import annotations

import numpy as np
import pytest

from ssd_edge_bench.reference_models import Case, random_features, random_rows, random_state
from ssd_edge_runtime import EdgeModel


@pytest.mark.parametrize("nonnegative", [False, True])
def test_rows_are_sparse_and_of_length_one(nonnegative: bool) -> None:
    rows = random_rows(np.random.default_rng(0), 30, 50, 0.2, nonnegative=nonnegative)
    assert rows.shape == (30, 50)
    assert (np.diff(rows.indptr) == 10).all()
    dense = rows.to_dense()
    assert (np.count_nonzero(dense, axis=1) == 10).all()
    np.testing.assert_allclose(np.linalg.norm(dense, axis=1), 1.0, rtol=1e-6)
    assert (dense >= 0).all() == nonnegative


def test_seed_decides_the_model() -> None:
    case = Case(40, 60, 0.2, 5, k=4)
    first, again, other = (random_state(case, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.readout.weights, again.readout.weights)
    np.testing.assert_array_equal(first.layers[0].weights.values, again.layers[0].weights.values)
    assert not np.array_equal(first.layers[0].weights.values, other.layers[0].weights.values)
    assert case.name == "40->60 at 20%"


def test_random_features_learn_what_they_are_shown() -> None:
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.random((50, 20)), rng.random((50, 20)) + np.eye(20)[0] * 3]).astype(np.float32)
    names = np.repeat(["low", "high"], 50)
    state = random_features(20, 60, 12, 0.3, x.mean(axis=0), seed=0)
    assert state.classes == [] and state.input_shape == (20,)
    assert EdgeModel(state).partial_fit(x, names).score(x, names) > 0.95
