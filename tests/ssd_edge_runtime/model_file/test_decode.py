"""Every kind of bad file is refused by name, even where its digest has been made to match."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pytest
from forged import Model, edited, edited_manifest, refuse, set_element, tensor

from ssd_edge_runtime import model_file
from ssd_edge_runtime.errors import EdgeModelError
from ssd_edge_runtime.model_file.codecs import matrix_from_flat
from ssd_edge_runtime.state import ModelState

MakeState = Callable[..., ModelState]


def external(model: Model) -> None:
    found = tensor(model, "hidden1.values")
    found.ClearField("raw_data")
    found.data_location = onnx.TensorProto.EXTERNAL
    found.external_data.add(key="location", value="/etc/passwd")


def as_float_data(model: Model) -> None:
    found = tensor(model, "hidden1.values")
    found.float_data.extend(np.frombuffer(found.raw_data, np.float32).tolist())
    found.ClearField("raw_data")


EDITS: dict[str, tuple[Callable[[Model], Any], str]] = {
    "external data": (external, "'hidden1.values' refers to external data, which is refused"),
    "other field for data": (as_float_data, "'hidden1.values' has field 4, which is not understood"),
    "column past the end": (set_element("hidden1.columns", slice(-2, None), 254), "runs past the end"),
    "filler at the end": (set_element("hidden1.columns", -1, 255), "ends with a filler"),
    "column twice": (set_element("hidden1.columns", 1, 0), "names an entry twice"),
    "NaN": (set_element("hidden1.values", 3, np.nan), "hidden1.values holds NaN or infinity"),
    "infinity in the readout": (set_element("readout.values", (0, 0), np.inf), "readout.values holds NaN"),
    "NaN in the center": (set_element("input.center", 0, np.nan), "center holds NaN"),
    "wrong k": (set_element("hidden1.k", 0, 1 << 40), "hidden1.k is not the constant that the graph needs"),
    "huge constant": (set_element("hidden1.shape", 0, 1 << 40), "hidden1.shape is not the constant"),
    "teacher row": (set_element("hidden1.teacher.rows", -1, 20), "hidden1.teacher.rows holds"),
    "teacher row negative": (set_element("hidden1.teacher.rows", 0, -1), "teacher.rows holds a negative"),
    "another operator": (lambda m: setattr(m.graph.node[0], "op_type", "Size"), "the graph's nodes are not those"),
    "a node more": (lambda m: m.graph.node.add(op_type="Loop"), "the graph's nodes are not those"),
    "a custom domain": (lambda m: m.opset_import.add(domain="evil", version=1), "only operator set"),
    "another opset": (lambda m: setattr(m.opset_import[0], "version", 19), "only operator set"),
    "another IR version": (lambda m: setattr(m, "ir_version", 9), "IR version must be 8, got 9"),
    "local functions": (lambda m: m.functions.add(name="f"), "field 25 of ModelProto"),
    "other metadata": (lambda m: m.metadata_props.add(key="x", value="y"), "metadata key 'x' is not understood"),
    "metadata twice": (lambda m: m.metadata_props.append(m.metadata_props[0]), "'ssd_edge.format' stands twice"),
    "another input": (lambda m: m.graph.input.add(name="y"), "the graph's inputs are not those"),
    "sparse initializer": (lambda m: m.graph.sparse_initializer.add(), "field 15, which is not understood"),
    "initializer missing": (lambda m: m.graph.initializer.pop(0), "initializers, found"),
    "renamed initializer": (lambda m: setattr(tensor(m, "hidden1.values"), "name", "w"), "expected initializer"),
    "other type": (lambda m: setattr(tensor(m, "hidden1.values"), "data_type", 11), "should be float32"),
    "string tensor": (lambda m: setattr(tensor(m, "hidden1.values"), "data_type", 8), "element type 8"),
    "other shape": (lambda m: tensor(m, "hidden1.values").dims.append(1), r"hidden1.values should be float32\["),
    "shape of 2^40": (lambda m: tensor(m, "hidden1.values").dims.__setitem__(0, 1 << 40), "1099511627776"),
    "data missing": (lambda m: setattr(tensor(m, "hidden1.values"), "raw_data", b""), "bytes, found 0"),
    "training missing": (lambda m: m.training_info.pop(), "must come together"),
    "training twice": (lambda m: m.training_info.append(m.training_info[0]), "must come together"),
    "training algorithm": (
        lambda m: m.training_info[0].algorithm.node.add(op_type="Relu"),
        "initializers and nothing",
    ),
    "training binding": (lambda m: m.training_info[0].update_binding.add(key="a", value="b"), "one algorithm"),
}


@pytest.mark.parametrize("name", EDITS)
def test_an_edited_file_is_refused_by_name(make_state: MakeState, name: str) -> None:
    edit, message = EDITS[name]
    refuse(edited(make_state(teacher=True), edit), message)


@pytest.mark.parametrize(
    ("at", "value", "message"),
    [
        (2, 30000, "hidden1.indptr must run from 0 to"),
        (0, 1, "hidden1.indptr must run from 0 to"),
        (-1, 2**31 - 1, "hidden1.indptr must run from 0 to"),
        (1, -5, "hidden1.indptr must run from 0 to"),
    ],
)
def test_row_starts_that_do_not_ascend(make_state: MakeState, at: int, value: int, message: str) -> None:
    state = make_state(hidden=(5,), input_shape=(4000,), density=0.0005, k=2)
    refuse(edited(state, set_element("hidden1.indptr", at, value)), message)


def test_columns_out_of_range_never_reach_compiled_code(make_state: MakeState) -> None:
    state = make_state(hidden=(5,), input_shape=(4000,), density=0.0005, k=2)
    refuse(edited(state, set_element("hidden1.columns", -1, 65535)), "hidden1.columns holds 65535, not below 4000")
    refuse(edited(state, set_element("hidden1.columns", slice(None), 7)), "must ascend within each row")


def test_a_small_file_cannot_ask_for_much_memory(make_state: MakeState) -> None:
    """A narrow layer with as many rows as the limit allows: refused or read, never a large allocation."""
    data = edited_manifest(make_state(), lambda d: d["layers"][0].update(shape=[1 << 26, 30]))
    tracemalloc.start()
    refuse(data, "bytes of memory")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 << 20


def test_the_memory_limit_can_be_lower(make_state: MakeState) -> None:
    data = model_file.to_bytes(make_state())
    with pytest.raises(EdgeModelError, match="the limit for this file is 1000"):
        model_file.from_bytes(data, memory_limit=1000)


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
