"""The Top-K is its definition, ties and all."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ssd_edge_runtime.sparse.codes import Codes
from ssd_edge_runtime.sparse.topk import thresholds, top_k


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    samples_=st.integers(1, 6),
    n=st.integers(2, 40),
    data=st.data(),
    ties=st.booleans(),
)
def test_top_k_is_its_definition(seed: int, samples_: int, n: int, data: st.DataObject, ties: bool) -> None:
    k = data.draw(st.one_of(st.integers(1, min(4, n - 1)), st.integers(1, n - 1)))
    h = np.random.default_rng(seed).standard_normal((samples_, n)).astype(np.float32)
    if ties:
        h = np.round(h)
    a = np.maximum(h, 0.0)
    threshold = np.sort(a, axis=1)[:, -k - 1]
    np.testing.assert_array_equal(thresholds(h, k), threshold)
    codes = top_k(np.ascontiguousarray(h.T), k)
    dense = np.maximum(a - threshold[:, None], 0.0)
    np.testing.assert_array_equal(codes.to_dense(), dense)
    assert (np.diff(codes.indptr) <= k).all()
    np.testing.assert_array_equal(Codes.from_dense(dense).neurons, codes.neurons)
    np.testing.assert_array_equal(codes.slice(1, samples_).to_dense(), dense[1:])
