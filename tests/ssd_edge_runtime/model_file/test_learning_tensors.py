"""The learning state: what it holds, in which types, and files without it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from stored_models import assert_same

from ssd_edge_runtime import model_file
from ssd_edge_runtime.state import ModelState

MakeState = Callable[..., ModelState]


def test_without_learning_state_nothing_of_it_is_left(make_state: MakeState) -> None:
    state = make_state(teacher=True)
    loaded = model_file.from_bytes(model_file.to_bytes(state, learning_state=False))
    assert not loaded.has_learning_state
    assert loaded.teacher is None
    assert not any(a.any() for a in (loaded.layers[0].activation_count, loaded.layers[0].class_count))
    assert_same(loaded.layers[0].weights, state.layers[0].weights)
    assert model_file.describe(model_file.to_bytes(loaded))["neurons"] is None


def test_a_dense_layer_without_learning_state_keeps_its_non_zeros(make_state: MakeState) -> None:
    state = make_state(density=0.9)
    weights = state.layers[0].weights
    weights.values[::7] = 0
    loaded = model_file.from_bytes(model_file.to_bytes(state, learning_state=False)).layers[0].weights
    assert loaded.nonzeros == np.count_nonzero(weights.values)
    np.testing.assert_array_equal(loaded.to_dense(), weights.to_dense())


@pytest.mark.parametrize(("count", "counts"), [(65535, "uint16"), (65536, "uint32"), (1 << 32, "int64")])
def test_counts_take_the_narrowest_type(make_state: MakeState, count: int, counts: str) -> None:
    state = make_state()
    state.layers[0].activation_count[0] = count
    data = model_file.to_bytes(state)
    stored = {tensor.name: tensor for tensor in onnx.load_from_string(data).training_info[0].algorithm.initializer}
    kind = onnx.helper.tensor_dtype_to_np_dtype(stored["hidden1.activation_count"].data_type)
    assert kind == np.dtype(counts)
    assert_same(model_file.from_bytes(data), state)
