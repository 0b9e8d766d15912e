"""The bytes of the format, pinned: files written by the first version must read the same for ever."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ssd_edge_runtime import model_file
from ssd_edge_runtime.encoder import Encoder
from ssd_edge_runtime.ledger import Entry, Ledger, Merged
from ssd_edge_runtime.onnx.protobuf import Message
from ssd_edge_runtime.onnx.tensors import TensorSpec, tensor_message
from ssd_edge_runtime.options import AnalyticOptions, LearningOptions
from ssd_edge_runtime.sparse.csr import CSRMatrix
from ssd_edge_runtime.sparse.sketch import Sketch
from ssd_edge_runtime.state import Layer, ModelState, Readout, Statistics, StoredTeacher

GOLDEN = Path(__file__).parent / "golden"
DIGESTS = {
    "cosine-float32.onnx": "3661cba39de1e5d5df3e9fe0fc4b11446787bccc8efe0dfd1dde603116f4ea21",
    "sketch-float32.onnx": "6a7c2be9dd83dbb7c9e484a21bb689f68d284741f48df6f9d504803bc2161e47",
    "encoder-float32.onnx": "7a4b0809521288a43ce9cd1bd1f01e556144f2aca48209e241afa0ceba4203bf",
    "ledger-float32.onnx": "6b9ab4254e32a4565e013aca26acb6797383eb50ae5a7128bd244bed90ec1f9b",
    "gradient-float32.onnx": "a493b129a6a1139d2e3dc67ca6e959c24972b358baa036c1b2e84ad33daeb412",
    "analytic-float16.onnx": "7036e78d725f73cb9d1b7a1616e71554d533e8c65ec64e506b8e8a32388fc358",
    "inference-int8.onnx": "e84f1db89f1fe5931c0ee7aa909b74acb9e47a9ae6f08d3db33c62e251daf185",
}


def int64(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def int32(*values: int) -> np.ndarray:
    return np.array(values, np.int32)


def float32(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def layer(width: int, columns: np.ndarray) -> Layer:
    """Four neurons; the second row and the last are empty."""
    values = float32(0.5, -0.25, 1.0)
    weights = CSRMatrix(int32(0, 2, 2, 3, 3), columns, values, (4, width))
    return Layer("hidden1", weights, 2, int64(7, 0, 5, 1), int64(3, 0, 2, 1), np.arange(8).reshape(2, 4))


def gradient() -> ModelState:
    teacher = StoredTeacher(1, [int32(0, 2)], [int32(2)], [float32(0.75)], int32(1), float32(0.125).reshape(1, 1))
    return ModelState(
        input_shape=(2, 3),
        classes=["Stiefel", "café"],
        center=float32(0, 0.5, 0.25, 0, 1, 0),
        epsilon=1e-12,
        layers=[layer(6, int32(1, 4, 0))],
        readout=Readout("gradient", np.arange(8, dtype=np.float32).reshape(2, 4), None),
        learning=LearningOptions(),
        teacher=teacher,
        samples_seen=13,
        task_samples=6,
        class_samples=int64(8, 5),
        generation=2,
        parent="ab" * 32,
        provenance={"method": "ssd"},
    )


def analytic() -> ModelState:
    statistics = Statistics(np.arange(10.0), np.arange(8.0).reshape(2, 4) / 4, int64(8, 70000))
    return ModelState(
        input_shape=(3000,),
        classes=["a", "b"],
        center=None,
        epsilon=1e-12,
        layers=[layer(3000, int32(1, 2999, 0))],
        readout=Readout("analytic", np.arange(8, dtype=np.float32).reshape(2, 4), float32(-1, 0.5)),
        temperature=0.5,
        values_type="float16",
        analytic=AnalyticOptions(),
        statistics=statistics,
        class_samples=int64(8, 70000),
    )


def inference() -> ModelState:
    rows = [layer(3, int32(0, 2, 1))]
    readout = Readout("gradient", np.arange(8, dtype=np.float32).reshape(2, 4), None)
    state = ModelState((3,), ["a", "b"], None, 1e-12, rows, readout, values_type="int8", class_samples=int64(0, 0))
    return model_file.round_state(state)


def encoder() -> Encoder:
    """Four pixels to six values, as bytes that no library had a part in."""
    flatten = Message().text(1, "input").text(2, "encoder.f").text(4, "Flatten").tobytes()
    product = Message().text(1, "encoder.f").text(1, "encoder.w").text(2, "encoder.output").text(4, "MatMul")
    weights = TensorSpec("encoder.w", "float32", (4, 6))
    elements = (np.arange(24, dtype="<f4") / 8).tobytes()
    tensor = tensor_message(weights, elements).tobytes()
    return Encoder("four to six", (1, 2, 2), 6, (flatten, product.tobytes()), (tensor,))


def encoded() -> ModelState:
    return replace(gradient(), encoder=encoder(), input_shape=(1, 2, 2))


def sketched() -> ModelState:
    """Six values, normalized and centered, as two sums."""
    sums, signs = int32(0, 1, 1, 0, 0, 1), np.array([1, -1, 1, 1, -1, -1], np.int8)
    state = replace(gradient(), layers=[layer(2, int32(0, 1, 0))], normalized_first=True)
    return replace(state, sketch=Sketch(sums, signs, 2))


def cosine() -> ModelState:
    state = gradient()
    state.layers[0].activation = "cosine"
    return state


def with_ledger() -> ModelState:
    part = Merged("café.onnx", "ab" * 32, "cd" * 32, ("1e" * 8,))
    entries = (
        Entry("earlier", 3, 0, {"Stiefel": 5}, folded=2),
        Entry(
            "learn+rename", 4, 1_800_000_000, {"café": -2}, 7, renamed={"Kaffee": "café"}, note="Küche", guard=0.5
        ),
        Entry("merge", 5, 1_800_003_600, what="café.onnx", signer="0f" * 8, file="café.onnx"),
    )
    return replace(gradient(), ledger=Ledger((("0f" * 8, "1e" * 8), ()), (part,), entries))


STATES = {
    "gradient-float32.onnx": gradient,
    "analytic-float16.onnx": analytic,
    "inference-int8.onnx": inference,
    "encoder-float32.onnx": encoded,
    "sketch-float32.onnx": sketched,
    "ledger-float32.onnx": with_ledger,
    "cosine-float32.onnx": cosine,
}


@pytest.mark.parametrize("name", STATES)
def test_the_writer_writes_the_golden_bytes(name: str) -> None:
    assert model_file.to_bytes(STATES[name]()) == (GOLDEN / name).read_bytes()


@pytest.mark.parametrize("name", STATES)
def test_the_reader_reads_the_golden_bytes(name: str) -> None:
    data = (GOLDEN / name).read_bytes()
    assert hashlib.sha256(data).hexdigest() == DIGESTS[name]
    loaded, state = model_file.from_bytes(data), STATES[name]()
    assert (loaded.classes, loaded.input_shape, loaded.parent) == (state.classes, state.input_shape, state.parent)
    assert model_file.to_bytes(loaded) == data
    np.testing.assert_array_equal(loaded.layers[0].weights.to_dense(), state.layers[0].weights.to_dense())
    np.testing.assert_array_equal(loaded.readout.weights, state.readout.weights)
    assert (loaded.learning, loaded.analytic) == (state.learning, state.analytic)
    assert loaded.encoder == state.encoder
    assert loaded.ledger == state.ledger
    assert (loaded.statistics is None, loaded.teacher is None) == (state.statistics is None, state.teacher is None)
