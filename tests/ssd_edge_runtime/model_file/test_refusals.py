"""Every kind of bad file is refused by name, even where its digest has been made to match."""

from __future__ import annotations

import hashlib
import json
import os
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import psutil
import pytest
from onnx import helper, numpy_helper

from ssd_edge_runtime import EdgeModel, model_file
from ssd_edge_runtime.errors import EdgeModelError
from ssd_edge_runtime.state import ModelState

MakeState = Callable[..., ModelState]
Model = Any
DIGEST = b"ssd_edge.digest\x12@"


def seal(data: bytes) -> bytes:
    """Make the digest match, as an attacker would."""
    at = data.rindex(DIGEST) + len(DIGEST)
    digest = hashlib.sha256(data[:at] + b"0" * 64 + data[at + 64 :]).hexdigest().encode()
    return data[:at] + digest + data[at + 64 :]


def refuse(data: bytes, message: str) -> None:
    with pytest.raises(EdgeModelError, match=message):
        model_file.from_bytes(data)


def edited(state: ModelState, edit: Callable[[Model], Any]) -> bytes:
    """The file of ``state`` after ``edit`` of its ModelProto, digest made to match."""
    model = onnx.load_from_string(model_file.to_bytes(state))
    edit(model)
    return seal(model.SerializeToString(deterministic=True))


def with_manifest(state: ModelState, change: Callable[[dict[str, Any]], Any]) -> bytes:
    def edit(model: Model) -> None:
        document = json.loads(model.metadata_props[1].value)
        change(document)
        model.metadata_props[1].value = json.dumps(document)

    return edited(state, edit)


def tensor(model: Model, name: str) -> Any:
    graphs = [model.graph, *(info.algorithm for info in model.training_info)]
    return next(t for graph in graphs for t in graph.initializer if t.name == name)


def set_element(name: str, at: Any, value: Any) -> Callable[[Model], None]:
    """An edit that changes one element of an initializer, in place."""

    def edit(model: Model) -> None:
        found = tensor(model, name)
        array = numpy_helper.to_array(found).copy()
        array[at] = value
        found.raw_data = array.tobytes()

    return edit


def plain_onnx() -> bytes:
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        "other",
        [helper.make_tensor_value_info("x", 1, [1])],
        [helper.make_tensor_value_info("y", 1, [1])],
    )
    return bytes(helper.make_model(graph).SerializeToString())


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the file is empty"),
        (b"PK\x03\x04 a zip file", "not an ONNX model, or cut short"),
        (b"\x08\x08", "not an ONNX model: it has no graph"),
        (b'{"json": true}', "not an ONNX model"),
        (plain_onnx(), "not one of SSD-Edge's"),
        (b"\x0a\x00" * 20_000, "more than 10000 fields"),
    ],
)
def test_other_files_are_told_apart(data: bytes, message: str) -> None:
    refuse(data, message)


def test_a_file_cut_short_or_altered(make_state: MakeState) -> None:
    data = model_file.to_bytes(make_state())
    for length in (1, 10, len(data) // 2, len(data) - 1):
        with pytest.raises(EdgeModelError):
            model_file.from_bytes(data[:length])
    refuse(data[: len(data) // 2], "cut short")
    at = data.rindex(b"hidden1.values")
    altered = data[: at + 20] + bytes([data[at + 20] ^ 1]) + data[at + 21 :]
    refuse(altered, "digest mismatch, the file was altered or damaged")
    assert model_file.from_bytes(altered, verify=False).classes == ["class 0", "class 1", "class 2"]


def test_an_unknown_format_number_is_named(make_state: MakeState) -> None:
    def edit(model: Model) -> None:
        model.metadata_props[0].value = "7"

    refuse(edited(make_state(), edit), "ssd_edge.format '7' is not known to this version, which reads 1")


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


MANIFESTS: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "unknown key": (lambda d: d.update(extra=1), "the manifest holds 'extra', which is not understood"),
    "missing key": (lambda d: d.pop("classes"), "the manifest lacks 'classes'"),
    "class twice": (lambda d: d.update(classes=["a", "a", "b"]), "class names must be unique"),
    "class not a string": (lambda d: d.update(classes=[1, 2, 3]), "class names are strings"),
    "class with a line break": (lambda d: d.update(classes=["a\n", "b", "c"]), "line break or control"),
    "no class": (lambda d: d.update(classes=[]), "at least one class"),
    "classes not a list": (lambda d: d.update(classes={"a": 1}), "classes must be a list"),
    "input of 2^40": (lambda d: d.update(input_shape=[1 << 40]), "input_shape must be integers from 1 to"),
    "input of zero": (lambda d: d.update(input_shape=[0]), "input_shape must be integers from 1 to"),
    "layer of 2^40": (lambda d: d["layers"][0].update(shape=[1 << 40, 30]), "shape must be integers from 1 to"),
    "layer too large": (lambda d: d["layers"][0].update(shape=[1 << 30, 30]), "beyond 2147483647 entries"),
    "rows": (lambda d: d["layers"][0].update(shape=[1 << 26, 30]), "ask for .* bytes of memory, the limit"),
    "k": (lambda d: d["layers"][0].update(k=20), "k must be an integer from 1 to 19, got 20"),
    "true for a number": (lambda d: d["layers"][0].update(k=True), "k must be an integer"),
    "entries": (lambda d: d["layers"][0].update(entries=5), "the graph's nodes|should be"),
    "storage": (lambda d: d["layers"][0].update(storage="zip"), "storage must be one of gaps, csr, dense"),
    "width": (lambda d: d["layers"][0].update(shape=[20, 31]), "hidden1 takes 31 inputs, gets 30"),
    "no layers": (lambda d: d.update(layers=[]), "1 to 64 layers, got 0"),
    "epsilon": (lambda d: d.update(epsilon=0.0), "epsilon must be positive"),
    "temperature": (lambda d: d.update(temperature=-1), "temperature must be positive"),
    "values": (lambda d: d.update(values="float8"), "values must be one of"),
    "readout": (lambda d: d["readout"].update(kind="svm"), "kind must be one of gradient, analytic"),
    "bias": (lambda d: d["readout"].update(bias=True), "the graph's nodes"),
    "counts": (lambda d: d["learning_state"].update(counts="float32"), "counts must be one of"),
    "teacher classes": (lambda d: d["learning_state"]["teacher"].update(classes=9), "an integer from 1 to 3"),
    "teacher size": (
        lambda d: d["learning_state"]["teacher"].update(columns=1 << 40),
        "columns must be an integer",
    ),
    "support": (lambda d: d["learning_state"].update(supports=[True]), "is not dense, so it needs no support"),
    "switch without counts": (lambda d: d["learning"].update(switch=5.0), "goes with the learning option switch"),
    "switch of zero": (lambda d: d["learning"].update(switch=0.0), "switch must be positive"),
    "counts not there": (
        lambda d: d["learning_state"].update(inhibition=True),
        "should have 9 initializers, found 8",
    ),
    "option": (lambda d: d["learning"].update(learning_rate=-1.0), "lr must be positive"),
    "option's type": (lambda d: d["learning"].update(learning_rate="x"), "learning_rate must be a number"),
    "option unknown": (lambda d: d["learning"]["distill"].update(kl="js"), "kl must be one of"),
    "samples": (lambda d: d.update(samples_seen=-1), "samples_seen must be an integer from 0"),
    "samples per class": (lambda d: d.update(class_samples=[1]), "class_samples must be a list of 3"),
    "parent": (lambda d: d.update(parent="x"), "parent must be a digest"),
    "provenance": (lambda d: d.update(provenance=[]), "provenance must be an object"),
    "analytic options": (lambda d: d.update(analytic={"solver": "lda", "rho": 0.1}), "belong to the analytic"),
}


@pytest.mark.parametrize("name", MANIFESTS)
def test_an_edited_manifest_is_refused_by_name(make_state: MakeState, name: str) -> None:
    change, message = MANIFESTS[name]
    refuse(with_manifest(make_state(teacher=True), change), message)


def nested(depth: int) -> str:
    return '{"a":' * depth + "1" + "}" * depth


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (nested(100_000), "nested more than 32 deep"),
        ("[" * 1_000_000, "nested more than 32 deep"),
        (" " * (3 << 20), "more than 2097152"),
        ('{"a": NaN}', "not finite"),
        ('{"a": 1e999}', "not finite"),
        ('{"a": 1, "a": 2}', "a key stands twice"),
        ('{"a": ' + "9" * 5000 + "}", "not valid JSON"),
        ('{"a": "\\ud800"}', "half a character"),
        ("{", "not valid JSON"),
        ("[]", "must be an object"),
    ],
)
def test_json_that_bites(make_state: MakeState, text: str, message: str) -> None:
    def edit(model: Model) -> None:
        model.metadata_props[1].value = text

    refuse(edited(make_state(), edit), message)


def test_a_small_file_cannot_ask_for_much_memory(make_state: MakeState) -> None:
    """A narrow layer with as many rows as the limit allows: refused or read, never a large allocation."""
    data = with_manifest(make_state(), lambda d: d["layers"][0].update(shape=[1 << 26, 30]))
    tracemalloc.start()
    refuse(data, "bytes of memory")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 << 20


def test_a_small_file_of_a_huge_dense_matrix_is_not_unfolded(
    make_state: MakeState, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ONNX Runtime would rebuild the 20 x 30 matrix five times over on the way."""
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=20 * 30 * 4 * 5 - 1))
    x = np.ones((1, 30), np.float32)
    with pytest.raises(EdgeModelError, match=r"needs about 0 MiB to unfold .* use engine='csr'"):
        EdgeModel(make_state(), engine="onnxruntime").predict(x)
    EdgeModel(make_state(), engine="csr").predict(x)


def test_the_memory_limit_can_be_lower(make_state: MakeState) -> None:
    data = model_file.to_bytes(make_state())
    with pytest.raises(EdgeModelError, match="the limit for this file is 1000"):
        model_file.from_bytes(data, memory_limit=1000)


def test_load_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"nothing")
    with pytest.raises(EdgeModelError, match=r"broken\.onnx: not an ONNX model"):
        model_file.load(path)
    with pytest.raises(EdgeModelError, match=r"broken\.onnx: not an ONNX model"):
        model_file.describe(path)
    with pytest.raises(FileNotFoundError):
        model_file.load(tmp_path / "missing.onnx")
    with pytest.raises(IsADirectoryError):
        model_file.load(tmp_path)


def test_what_never_ends_is_not_read(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (pipe, Path("/dev/zero")):
        with pytest.raises(EdgeModelError, match=r"(pipe|/dev/zero) is not a regular file"):
            model_file.load(path)
    large = tmp_path / "large.onnx"
    with large.open("wb") as file:
        file.truncate(1 << 31)
    with pytest.raises(EdgeModelError, match=r"large.onnx has 2147483648 bytes, more than protobuf's 2147483647"):
        model_file.load(large)


def broken(**changes: Any) -> Callable[[ModelState], ModelState]:
    return lambda state: replace(state, **changes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (broken(classes=["a", "a", "b"]), "class names must be unique"),
        (broken(epsilon=0.0), "epsilon must be positive"),
        (broken(temperature=float("nan")), "temperature must be positive"),
        (broken(input_shape=(31,)), "center must be float32"),
        (broken(class_samples=np.zeros(2, np.int64)), "class_samples must be int64"),
        (broken(samples_seen=-1), "samples_seen must be a count"),
        (broken(provenance={"x": object()}), "cannot be written as JSON"),
        (broken(provenance={"x": float("nan")}), "cannot be written as JSON"),
        (broken(layers=[]), "1 to 64 layers"),
        (broken(values_type="int4"), "values must be float32, float16 or int8"),
    ],
)
def test_a_state_that_does_not_fit_is_not_written(
    make_state: MakeState, change: Callable[[ModelState], ModelState], message: str
) -> None:
    with pytest.raises(EdgeModelError, match=message):
        model_file.to_bytes(change(make_state()))


def test_a_weight_too_large_for_float16_is_not_written(make_state: MakeState) -> None:
    state = make_state()
    state.layers[0].weights.values[5] = 1e6
    with pytest.raises(EdgeModelError, match=r"hidden1\.values holds 1e"):
        model_file.to_bytes(replace(state, values_type="float16"))
