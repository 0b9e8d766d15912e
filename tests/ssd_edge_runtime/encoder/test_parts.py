"""What an encoder must not be is refused by name, in a file and when one is made."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import onnx
import pytest
from encoders import behind, tiny_encoder
from forged import edited, match_encoder_digest, refuse
from onnx import helper, numpy_helper

from ssd_edge_runtime.encoder import Encoder
from ssd_edge_runtime.errors import EdgeModelError
from ssd_edge_runtime.onnx.protobuf import Message
from ssd_edge_runtime.state import ModelState

MakeState = Callable[..., ModelState]


@pytest.fixture
def state(make_state: MakeState) -> ModelState:
    return behind(tiny_encoder(), make_state(input_shape=(20,), teacher=True))


def encoder_tensor(model: Any) -> Any:
    return model.graph.initializer[0]


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

    def both(model: Any) -> None:
        edit(model)
        match_encoder_digest(model)

    refuse(edited(state, both), message)


def test_an_encoder_in_very_many_pieces_is_given_up() -> None:
    """Each piece costs a reader time; the file need not be large."""
    good, many = tiny_encoder(), Message().text(1, "x").integer(20, 7)
    for _ in range(9000):
        many.integer(8, 1)
    one = Message().data(5, many.tobytes()).text(4, "Relu").text(1, "input").tobytes()
    nodes = tuple(one + Message().text(2, f"encoder.n{i}").tobytes() for i in range(30))
    begun = time.process_time()
    with pytest.raises(EdgeModelError, match=r"the encoder has more than 6[0-9]{4} parts"):
        Encoder("x", good.input_shape, good.width, (*nodes, *good.nodes), good.tensors)
    assert time.process_time() - begun < 2


def test_parts_are_checked_when_an_encoder_is_made() -> None:
    good = tiny_encoder()
    with pytest.raises(EdgeModelError, match=r"uses 'encoder\.c' before it is made"):
        Encoder("x", good.input_shape, good.width, good.nodes[1:], good.tensors)
