"""ONNX's message around a graph, ``ModelProto``; without numpy, so that a shell can look into a file quickly."""

from __future__ import annotations

from ssd_edge_runtime.onnx.protobuf import Message

OPSET = 18
IR_VERSION = 8
PRODUCER_NAME = "ssd-edge"
IR, PRODUCER, GRAPH, OPSETS, METADATA, TRAINING = 1, 2, 7, 8, 14, 20
"""Fields of ``ModelProto``."""


def opset_message() -> Message:
    """The one ``OperatorSetIdProto`` in use: ONNX's own operators, version 18."""
    return Message().text(1, "").integer(2, OPSET)


def model_message(graph: Message) -> Message:
    """A ``ModelProto`` with nothing in it but the graph: an ordinary ONNX file."""
    model = Message().integer(IR, IR_VERSION).text(PRODUCER, PRODUCER_NAME).message(GRAPH, graph)
    return model.message(OPSETS, opset_message())
