"""ONNX's messages inside a model: graph, value and attribute, as protobuf."""

from __future__ import annotations

from collections.abc import Iterable

from ssd_edge_runtime.onnx.protobuf import Buffer, Message
from ssd_edge_runtime.onnx.tensors import CODES, TensorSpec, tensor_message

NODE, NAME, INITIALIZER, INPUT, OUTPUT = 1, 2, 5, 11, 12
"""Fields of ``GraphProto``."""
INT, STRING, TENSOR = 2, 3, 4
"""``AttributeProto.type``."""


def attribute(name: str, value: int | str | TensorSpec) -> Message:
    """An ``AttributeProto``: an integer, a string or a constant tensor."""
    message = Message().text(1, name)
    if isinstance(value, int):
        return message.integer(3, value).integer(20, INT)
    if isinstance(value, str):
        return message.text(4, value).integer(20, STRING)
    assert value.constant is not None
    return message.message(5, tensor_message(value, value.constant)).integer(20, TENSOR)


def value_info(name: str, shape: tuple[int | str, ...]) -> bytes:
    """A ``ValueInfoProto`` of float32; strings are symbolic dimensions."""
    dims = Message()
    for length in shape:
        dim = Message().integer(1, length) if isinstance(length, int) else Message().text(2, length)
        dims.message(1, dim)
    tensor = Message().integer(1, CODES["float32"]).message(2, dims)
    return Message().text(1, name).message(2, Message().message(1, tensor)).tobytes()


def graph_message(
    name: str,
    nodes: Iterable[Buffer],
    tensors: Iterable[Buffer | Message],
    inputs: Iterable[Buffer] = (),
    outputs: Iterable[Buffer] = (),
) -> Message:
    """A ``GraphProto`` of parts that are encoded already."""
    message = Message()
    for node in nodes:
        message.data(NODE, node)
    message.text(NAME, name)
    for tensor in tensors:
        if isinstance(tensor, Message):
            message.message(INITIALIZER, tensor)
        else:
            message.data(INITIALIZER, tensor)
    for info in inputs:
        message.data(INPUT, info)
    for info in outputs:
        message.data(OUTPUT, info)
    return message
