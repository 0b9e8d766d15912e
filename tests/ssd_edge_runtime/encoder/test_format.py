"""Files with an encoder: the bytes come back as they were, and what an encoder must not be is refused by name."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest
from encoders import behind, tiny_encoder
from onnx import helper, numpy_helper

from ssd_edge_runtime import model_file
from ssd_edge_runtime.encoder import Encoder
from ssd_edge_runtime.errors import EdgeModelError
from ssd_edge_runtime.onnx.protobuf import Message
from ssd_edge_runtime.state import ModelState

MakeState = Callable[..., ModelState]
DIGEST = b"ssd_edge.digest\x12@"


def seal(data: bytes) -> bytes:
    """Make the file's digest match, as an attacker would."""
    at = data.rindex(DIGEST) + len(DIGEST)
    digest = hashlib.sha256(data[:at] + b"0" * 64 + data[at + 64 :]).hexdigest().encode()
    return data[:at] + digest + data[at + 64 :]


@pytest.fixture
def state(make_state: MakeState) -> ModelState:
    return behind(tiny_encoder(), make_state(input_shape=(20,), teacher=True))


@pytest.mark.parametrize("case", [{}, {"readout": "analytic"}, {"values": "int8", "hidden": (25, 12)}])
@pytest.mark.parametrize("learning_state", [True, False])
def test_round_trip(make_state: MakeState, case: dict[str, Any], learning_state: bool) -> None:
    state = behind(tiny_encoder(), make_state(input_shape=(20,), **case))
    data = model_file.to_bytes(state, learning_state=learning_state)
    loaded = model_file.from_bytes(data)
    assert loaded.encoder == state.encoder and loaded.encoder is not None
    assert (loaded.input_shape, loaded.input_width, loaded.sample_width) == ((1, 8, 8), 20, 64)
    assert model_file.to_bytes(loaded, learning_state=learning_state) == data
    onnx.checker.check_model(onnx.load_from_string(data), full_check=True)
    described = model_file.describe(data)["encoder"]
    assert described == {
        "name": "tiny",
        "width": 20,
        "nodes": 4,
        "initializers": 2,
        "digest": loaded.encoder.digest,
        "bytes": loaded.encoder.nbytes,
    }


def test_the_head_is_the_model_behind_it(make_state: MakeState) -> None:
    bare = make_state(input_shape=(20,), teacher=True)
    assert model_file.to_bytes(behind(tiny_encoder(), bare).head) == model_file.to_bytes(bare)
    assert bare.head is bare


def test_the_digest_is_over_the_fields_as_they_stand_in_the_file(state: ModelState) -> None:
    assert state.encoder is not None
    model = onnx.load_from_string(model_file.to_bytes(state))
    part = onnx.GraphProto(node=model.graph.node[:4], initializer=model.graph.initializer[:2])
    digest = hashlib.sha256(part.SerializeToString(deterministic=True)).hexdigest()
    assert state.encoder.digest == digest == json.loads(model.metadata_props[1].value)["encoder"]["digest"]


def test_a_file_without_encoder_imports_nothing_for_one(make_state: MakeState, tmp_path: Path) -> None:
    paths = [tmp_path / "bare.onnx", tmp_path / "encoded.onnx"]
    bare = make_state(input_shape=(20,))
    for path, each in zip(paths, (bare, behind(tiny_encoder(), bare)), strict=True):
        path.write_bytes(model_file.to_bytes(each))
    told = "import sys\nfrom ssd_edge_runtime import EdgeModel\nEdgeModel.load(sys.argv[1])\n"
    told += "print(*(name in sys.modules for name in ('ssd_edge_runtime.encoder.encoder', 'onnx', 'onnxruntime')))"
    found = [subprocess.check_output([sys.executable, "-c", told, path], text=True).split() for path in paths]
    assert found == [["False", "False", "False"], ["True", "False", "False"]]


def encoder_tensor(model: Any) -> Any:
    return model.graph.initializer[0]


def redo_digest(model: Any) -> None:
    """The encoder's own digest made to match, too."""
    document = json.loads(model.metadata_props[1].value)
    nodes, tensors = document["encoder"]["nodes"], document["encoder"]["initializers"]
    part = onnx.GraphProto(node=model.graph.node[:nodes], initializer=model.graph.initializer[:tensors])
    document["encoder"]["digest"] = hashlib.sha256(part.SerializeToString(deterministic=True)).hexdigest()
    model.metadata_props[1].value = json.dumps(document)


def external(model: Any) -> None:
    tensor = encoder_tensor(model)
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")


def a_loop(model: Any) -> None:
    body = helper.make_graph([], "body", [], [])
    model.graph.node[1].CopyFrom(helper.make_node("Loop", ["input"], ["encoder.output_"], body=body))


def sparse_constant(model: Any) -> None:
    value = numpy_helper.to_array(encoder_tensor(model))[0, 0, 0, :1]
    sparse = helper.make_sparse_tensor(
        numpy_helper.from_array(value, "v"), helper.make_tensor("i", 7, [1], [0]), [3]
    )
    model.graph.node[1].attribute.add(name="value", sparse_tensor=sparse, type=11)


def node(model: Any, at: int = 1) -> Any:
    return model.graph.node[at]


EDITS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "custom domain": (lambda m: setattr(node(m), "domain", "evil"), "node of the encoder has field 7"),
    "node name": (lambda m: setattr(node(m), "name", "x"), "node of the encoder has field 3"),
    "control flow": (a_loop, "operator 'Loop' in the encoder has an attribute with field 6: control flow"),
    "sparse constant": (sparse_constant, "operator 'Relu' in the encoder has an attribute with field 22"),
    "no operator": (lambda m: node(m).ClearField("op_type"), "must name one operator"),
    "odd operator": (lambda m: setattr(node(m), "op_type", "a::b"), "must name one operator"),
    "a name of the model's": (
        lambda m: node(m).output.append("input.flat"),
        "an encoder's names begin with encoder., not 'input.flat'",
    ),
    "the input made again": (lambda m: node(m).output.append("input"), "names begin with encoder., not 'input'"),
    "a value made twice": (lambda m: node(m).output.append("encoder.c"), "makes 'encoder.c' twice"),
    "a value from nowhere": (lambda m: node(m).input.append("encoder.x"), "uses 'encoder.x' before it is made"),
    "a value of the model's": (lambda m: node(m).input.append("logits"), "uses 'logits' before it is made"),
    "an initializer twice": (
        lambda m: setattr(m.graph.initializer[1], "name", "encoder.kernel"),
        "makes 'encoder.kernel' twice",
    ),
    "an initializer of the model's": (
        lambda m: setattr(encoder_tensor(m), "name", "axis1"),
        "names begin with encoder., not 'axis1'",
    ),
    "no output": (lambda m: node(m, 3).output.__setitem__(0, "encoder.y"), "does not make encoder.output"),
    "external data": (external, "an encoder's initializer 'encoder.kernel' has field 13"),
    "strings": (lambda m: setattr(encoder_tensor(m), "data_type", 8), "'encoder.kernel' has element type 8"),
    "data missing": (lambda m: setattr(encoder_tensor(m), "raw_data", b""), "should hold 144 bytes, found 0"),
    "shape of 2^40": (
        lambda m: encoder_tensor(m).dims.__setitem__(0, 1 << 40),
        "'encoder.kernel' should hold 39582418599936 bytes, found 144",
    ),
    "many dimensions": (lambda m: encoder_tensor(m).dims.extend([1] * 20), "more than 15 dimensions"),
    "a node less": (lambda m: m.graph.node.pop(0), "uses 'encoder.c' before it is made"),
}


@pytest.mark.parametrize("name", EDITS)
def test_what_an_encoder_must_not_be(state: ModelState, name: str) -> None:
    edit, message = EDITS[name]
    model = onnx.load_from_string(model_file.to_bytes(state))
    edit(model)
    redo_digest(model)
    with pytest.raises(EdgeModelError, match=message):
        model_file.from_bytes(seal(model.SerializeToString(deterministic=True)))


def test_another_encoder_than_the_one_named(state: ModelState) -> None:
    data = model_file.to_bytes(state)
    at = data.index(b"encoder.kernel\x4a") + 40
    altered = seal(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    with pytest.raises(EdgeModelError, match="not the one whose digest the manifest names"):
        model_file.from_bytes(altered)
    with pytest.raises(EdgeModelError, match="not the one whose digest the manifest names"):
        model_file.from_bytes(altered, verify=False)


MANIFESTS: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "unknown key": (lambda d: d["encoder"].update(more=1), "encoder holds 'more', which is not understood"),
    "missing key": (lambda d: d["encoder"].pop("width"), "encoder lacks 'width'"),
    "not an object": (lambda d: d.update(encoder=[]), "encoder must be an object"),
    "null": (lambda d: d.update(encoder=None), "encoder must be an object"),
    "left out": (lambda d: d.pop("encoder"), "hidden1 takes 20 inputs, gets 64"),
    "width": (lambda d: d["encoder"].update(width=21), "hidden1 takes 20 inputs, gets 21"),
    "no nodes": (lambda d: d["encoder"].update(nodes=0), "nodes must be an integer from 1 to"),
    "a node less": (lambda d: d["encoder"].update(nodes=3), "does not make encoder.output"),
    "a node more": (lambda d: d["encoder"].update(nodes=5), "names begin with encoder., not 'input.flat'"),
    "all nodes": (lambda d: d["encoder"].update(nodes=10_000), "uses|names begin with|field"),
    "an initializer less": (lambda d: d["encoder"].update(initializers=1), "uses 'encoder.projection' before"),
    "an initializer more": (lambda d: d["encoder"].update(initializers=3), "names begin with encoder."),
    "name": (lambda d: d["encoder"].update(name="a\nb"), "an encoder's name has 1 to 1000 plain characters"),
    "digest": (lambda d: d["encoder"].update(digest="0" * 64), "not the one whose digest"),
    "huge input": (lambda d: d.update(input_shape=[1 << 20, 1 << 20]), "the graph's inputs are not those"),
}


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_manifest_that_tells_otherwise(state: ModelState, name: str) -> None:
    change, message = MANIFESTS[name]
    model = onnx.load_from_string(model_file.to_bytes(state))
    document = json.loads(model.metadata_props[1].value)
    change(document)
    model.metadata_props[1].value = json.dumps(document)
    with pytest.raises(EdgeModelError, match=message):
        model_file.from_bytes(seal(model.SerializeToString(deterministic=True)))


def test_memory_for_the_encoder_counts(state: ModelState) -> None:
    data = model_file.to_bytes(state)
    bare = model_file.to_bytes(state.head)
    with pytest.raises(EdgeModelError, match="ask for") as refusal:
        model_file.from_bytes(bare, memory_limit=1)
    needed = int(str(refusal.value).split()[4])
    model_file.from_bytes(bare, memory_limit=needed)
    with pytest.raises(EdgeModelError, match=f"ask for {needed + len(data)} bytes of memory"):
        model_file.from_bytes(data, memory_limit=needed)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"input_shape": (1 << 20, 1 << 20)}, "beyond 2147483647 values"),
        ({"input_shape": (64,)}, r"the encoder takes \(1, 8, 8\), the model \(64,\)"),
        ({"encoder": replace(tiny_encoder(), width=21)}, "hidden1 takes 20 inputs, gets 21"),
        ({"encoder": replace(tiny_encoder(), name="")}, "an encoder's name has 1 to 1000"),
    ],
)
def test_an_encoder_that_does_not_fit_is_not_written(
    make_state: MakeState, change: dict[str, Any], message: str
) -> None:
    state = behind(tiny_encoder(), make_state(input_shape=(20,), center=False))
    with pytest.raises(EdgeModelError, match=message):
        model_file.to_bytes(replace(state, **change))


def test_an_encoder_in_very_many_pieces_is_given_up() -> None:
    """Each piece costs a reader time; the file need not be large."""
    good, many = tiny_encoder(), Message().text(1, "x").integer(20, 7)
    for _ in range(9000):
        many.integer(8, 1)
    one = Message().data(5, many.tobytes()).text(4, "Relu").text(1, "input").tobytes()
    nodes = tuple(one + Message().text(2, f"encoder.n{i}").tobytes() for i in range(30))
    begun = time.process_time()
    with pytest.raises(EdgeModelError, match="the encoder has more than 200000 parts"):
        Encoder("x", good.input_shape, good.width, (*nodes, *good.nodes), good.tensors)
    assert time.process_time() - begun < 2


def test_parts_are_checked_when_an_encoder_is_made() -> None:
    good = tiny_encoder()
    with pytest.raises(EdgeModelError, match=r"uses 'encoder\.c' before it is made"):
        Encoder("x", good.input_shape, good.width, good.nodes[1:], good.tensors)
