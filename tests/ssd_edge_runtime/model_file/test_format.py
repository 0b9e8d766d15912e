from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx.reference import ReferenceEvaluator

from ssd_edge_runtime import model_file
from ssd_edge_runtime.model_file.codecs import matrix_from_flat
from ssd_edge_runtime.model_file.graph import OPERATORS
from ssd_edge_runtime.sparse.csr import CSRMatrix
from ssd_edge_runtime.state import ModelState

VALUES = ("float32", "float16", "int8")
MakeState = Callable[..., ModelState]


def assert_same(a: Any, b: Any, where: str = "state") -> None:
    """Equal field by field, arrays bit by bit and of the same type."""
    if isinstance(a, np.ndarray):
        assert a.dtype == b.dtype, where
        np.testing.assert_array_equal(a, b, err_msg=where)
    elif hasattr(a, "__dataclass_fields__"):
        for each in fields(a):
            assert_same(getattr(a, each.name), getattr(b, each.name), f"{where}.{each.name}")
    elif isinstance(a, list) and a and not isinstance(a[0], str | int):
        for at, (left, right) in enumerate(zip(a, b, strict=True)):
            assert_same(left, right, f"{where}[{at}]")
    else:
        assert a == b, where


def reference(state: ModelState, x: np.ndarray) -> np.ndarray:
    """Logits by dense arithmetic, float64."""
    u = x.reshape(len(x), -1).astype(np.float64)
    if state.center is not None:
        u = u - state.center
    z = u / np.maximum(np.linalg.norm(u, axis=1, keepdims=True), state.epsilon)
    for layer in state.layers:
        a = np.maximum(z @ layer.weights.to_dense().astype(np.float64).T, 0)
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


CASES: dict[str, dict[str, Any]] = {
    "gaps": {},
    "csr": {"hidden": (5,), "input_shape": (4000,), "density": 0.0005, "k": 2},
    "dense": {"density": 1.0},
    "partly dense": {"density": 0.9},
    "two layers": {"hidden": (25, 12), "density": 0.3},
    "image": {"input_shape": (3, 4, 5)},
    "no center": {"center": False},
    "analytic": {"readout": "analytic"},
    "teacher": {"hidden": (25, 12), "density": 0.3, "teacher": True},
    "switch": {"hidden": (25, 12), "density": 0.3, "teacher": True, "switch": 12.5},
    "wide": {"hidden": (4,), "input_shape": (70001,), "density": 0.0002, "k": 1, "center": False},
    "no entries": {"density": 0.0},
}


@pytest.mark.parametrize("values", VALUES)
@pytest.mark.parametrize("case", CASES)
def test_round_trip_is_exact(make_state: MakeState, case: str, values: str) -> None:
    state = make_state(values=values, **CASES[case])
    data = model_file.to_bytes(state)
    loaded = model_file.from_bytes(data)
    assert_same(loaded, state)
    assert model_file.to_bytes(loaded) == data


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


def test_sizes_against_the_dense_file(make_state: MakeState) -> None:
    def ratio(values: str) -> float:
        state = make_state(hidden=(1000,), input_shape=(1, 28, 28), classes=10, k=10, density=0.05, values=values)
        return len(model_file.to_dense_onnx(state)) / len(model_file.to_bytes(state, learning_state=False))

    assert ratio("float32") > 13
    assert ratio("float16") > 20
    assert ratio("int8") > 28


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


def test_metadata_says_what_the_file_is(make_state: MakeState) -> None:
    state = make_state()
    data = model_file.to_bytes(state)
    model = onnx.load_from_string(data)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    assert list(metadata) == ["ssd_edge.format", "ssd_edge.manifest", "ssd_edge.digest"]
    assert metadata["ssd_edge.format"] == "1"
    assert json.loads(metadata["ssd_edge.manifest"])["classes"] == state.classes
    assert metadata["ssd_edge.digest"] == model_file.digest_of(data)
    assert (model.ir_version, model.opset_import[0].version) == (8, 18)


def test_an_onnx_library_writes_the_same_bytes(make_state: MakeState) -> None:
    data = model_file.to_bytes(make_state(readout="analytic"))
    assert onnx.load_from_string(data).SerializeToString(deterministic=True) == data


def test_describe_tells_everything(make_state: MakeState) -> None:
    state = make_state(values="int8")
    layer, classes = state.layers[0], np.array([100, 100, 0])
    layer.activation_count[:] = 0
    layer.activation_count[:2] = 50
    layer.class_count[:] = 0
    layer.class_count[:2, 0] = 30
    layer.class_count[0, 1] = 30
    told = model_file.describe(model_file.to_bytes(replace(state, class_samples=classes)))
    assert told["neurons"] == {"active": 2, "reused": 1, "free": 18}
    assert told["layers"][0]["shape"] == [20, 30]
    assert told["layers"][0]["nonzeros"] == layer.weights.nonzeros
    assert told["layers"][0]["bytes"] >= 2 * layer.weights.nonzeros + 4 * 20
    assert (told["format"], told["readout"], told["input_shape"]) == (1, "gradient", [30])
    json.dumps(told, allow_nan=False)


def test_load_reads_what_was_written(make_state: MakeState, tmp_path: Any) -> None:
    state = make_state()
    path = tmp_path / "model.onnx"
    path.write_bytes(model_file.to_bytes(state))
    assert_same(model_file.load(path), state)
    assert model_file.describe(path) == model_file.describe(path.read_bytes())


def test_reading_never_builds_the_dense_matrix(make_state: MakeState) -> None:
    rng, shape = np.random.default_rng(0), (10_000, 3072)
    flat = np.unique(rng.integers(0, shape[0] * shape[1], shape[0] * shape[1] // 50)).astype(np.int32)
    weights = matrix_from_flat(flat, rng.standard_normal(len(flat)).astype(np.float32), shape)
    state = make_state(hidden=(10_000,), input_shape=(1,), density=0.0, center=False, values="float16")
    layer = replace(state.layers[0], weights=weights)
    data = model_file.to_bytes(replace(state, input_shape=(3072,), layers=[layer]))
    tracemalloc.start()
    loaded = model_file.from_bytes(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert loaded.layers[0].weights.nonzeros == len(flat)
    assert peak < 4 * shape[0] * shape[1] / 6, "the dense matrix has 123 MB"
