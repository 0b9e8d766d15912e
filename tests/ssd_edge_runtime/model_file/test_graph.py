"""The graph computes the model, in ONNX Runtime and in ONNX's own reference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx.reference import ReferenceEvaluator
from stored_models import CASES, VALUES, assert_same

from ssd_edge_runtime import model_file
from ssd_edge_runtime.model_file.graph import OPERATORS
from ssd_edge_runtime.sparse.csr import CSRMatrix
from ssd_edge_runtime.state import ModelState

MakeState = Callable[..., ModelState]


def reference(state: ModelState, x: np.ndarray) -> np.ndarray:
    """Logits by dense arithmetic, float64."""
    u = x.reshape(len(x), -1).astype(np.float64)
    if state.normalized_first:
        u = u / np.maximum(np.linalg.norm(u, axis=1, keepdims=True), state.epsilon)
    if state.center is not None:
        u = u - state.center
    if state.sketch is not None:
        sums = np.zeros((len(u), state.sketch.width))
        for value, (place, sign) in enumerate(zip(state.sketch.sums, state.sketch.signs, strict=True)):
            sums[:, place] += sign * u[:, value]
        u = sums
    z = u / np.maximum(np.linalg.norm(u, axis=1, keepdims=True), state.epsilon)
    for layer in state.layers:
        a = np.maximum(z @ layer.weights.to_dense().astype(np.float64).T, 0)
        if layer.activation == "cosine":
            support = np.zeros(layer.weights.shape)
            support[layer.weights.row_of_entry(), layer.weights.columns] = 1
            a /= np.sqrt(z**2 @ support.T + 1e-3)
        z = np.maximum(a - np.sort(a, axis=1)[:, [-layer.k - 1]], 0)
    logits = z @ state.readout.weights.T.astype(np.float64)
    return logits if state.readout.bias is None else logits + state.readout.bias


def run(data: bytes, x: np.ndarray) -> list[np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    return list(session.run(["logits", "probabilities"], {"input": x}))


def empty_rows(state: ModelState, rows: slice) -> ModelState:
    dense = state.layers[0].weights.to_dense()
    dense[rows] = 0
    return replace(
        state, layers=[replace(state.layers[0], weights=CSRMatrix.from_dense(dense)), *state.layers[1:]]
    )


@pytest.mark.parametrize("values", VALUES)
@pytest.mark.parametrize("learning_state", [True, False])
@pytest.mark.parametrize("case", CASES)
def test_onnx_runtime_computes_the_model(
    make_state: MakeState, case: str, values: str, learning_state: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    state = make_state(values=values, **CASES[case])
    data = model_file.to_bytes(state, learning_state=learning_state)
    model = onnx.load_from_string(data)
    onnx.checker.check_model(model, full_check=True)
    assert {node.op_type for node in model.graph.node} <= set(OPERATORS)
    x = np.random.default_rng(1).random((4, *state.input_shape), np.float32)
    x[0] = 0
    logits, probabilities = run(data, x)
    expected = reference(state, x)
    scale = max(1.0, float(np.abs(expected).max()))
    np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-5 * scale)
    exponents = np.exp((logits - logits.max(axis=1, keepdims=True)) / state.temperature)
    np.testing.assert_allclose(probabilities, exponents / exponents.sum(axis=1, keepdims=True), atol=1e-6)
    dense_logits = run(model_file.to_dense_onnx(state), x)[0]
    np.testing.assert_array_equal(logits, dense_logits)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("values", VALUES)
@pytest.mark.parametrize("case", [case for case in CASES if case != "wide"])
def test_onnx_itself_computes_the_same(make_state: MakeState, case: str, values: str) -> None:
    state = make_state(values=values, **CASES[case])
    model = onnx.load_from_string(model_file.to_bytes(state))
    x = np.random.default_rng(1).random((4, *state.input_shape), np.float32)
    logits = ReferenceEvaluator(model).run(["logits"], {"input": x})[0]
    np.testing.assert_allclose(logits, reference(state, x), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("rows", [slice(0, 3), slice(8, 12), slice(17, None), slice(None)])
@pytest.mark.parametrize("storage", ["gaps", "csr"])
def test_empty_rows_anywhere(make_state: MakeState, rows: slice, storage: str) -> None:
    wide: dict[str, Any] = {"input_shape": (3000,), "density": 0.001} if storage == "csr" else {}
    state = empty_rows(make_state(**wide), rows)
    data = model_file.to_bytes(state)
    if rows != slice(None):
        assert model_file.describe(data)["layers"][0]["storage"] == storage
    x = np.random.default_rng(1).random((3, *state.input_shape), np.float32)
    np.testing.assert_allclose(run(data, x)[0], reference(state, x), atol=1e-5)
    assert_same(model_file.from_bytes(data), state)


@settings(max_examples=40)
@given(
    st.integers(2, 6), st.integers(1, 400), st.integers(0, 30), st.sampled_from(VALUES), st.integers(0, 2**32 - 1)
)
def test_any_support_round_trips(
    make_state: MakeState, rows: int, width: int, entries: int, values: str, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    mask = np.zeros(rows * width, np.bool_)
    mask[rng.choice(rows * width, min(entries, rows * width), replace=False)] = True
    dense = rng.standard_normal((rows, width)) * (rng.random((rows, width)) < 0.8)
    weights = CSRMatrix.from_dense(dense, mask.reshape(rows, width))
    state = make_state(hidden=(rows,), input_shape=(width,), k=1, values=values, center=False)
    state = model_file.round_state(replace(state, layers=[replace(state.layers[0], weights=weights)]))
    data = model_file.to_bytes(state)
    assert_same(model_file.from_bytes(data), state)
    x = rng.random((2, width), np.float32)
    np.testing.assert_allclose(run(data, x)[0], reference(state, x), atol=1e-4)


def test_onnx_runtime_folds_the_decoding_away(make_state: MakeState, tmp_path: Any) -> None:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(tmp_path / "folded.onnx")
    for case in ("gaps", "csr"):
        data = model_file.to_bytes(make_state(values="int8", **CASES[case]))
        onnxruntime.InferenceSession(data, options)
        left = {node.op_type for node in onnx.load(options.optimized_model_filepath).graph.node}
        assert not left & {"ScatterElements", "CumSum", "Cast", "ConstantOfShape", "Slice", "Mul"}
