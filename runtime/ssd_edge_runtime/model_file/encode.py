"""From a model's arrays to the bytes of its file."""

from __future__ import annotations

from ssd_edge_runtime.model_file import codecs, container, learning_tensors, manifest
from ssd_edge_runtime.model_file.checks import check_state
from ssd_edge_runtime.model_file.codecs import Storage
from ssd_edge_runtime.model_file.graph import Graph, build_graph, encode_graph
from ssd_edge_runtime.model_file.learning_tensors import Arrays, learning_shape, learning_specs
from ssd_edge_runtime.model_file.structure import LayerShape, Structure
from ssd_edge_runtime.model_file.weights import encode_input, encode_layer, encode_readout
from ssd_edge_runtime.onnx.protobuf import Message
from ssd_edge_runtime.onnx.tensors import TensorSpec, array_bytes
from ssd_edge_runtime.state import Layer, ModelState

GRAPH_NAME, LEARNING_NAME = "ssd_edge", "ssd_edge_learning_state"


def layer_shape(layer: Layer, storage: Storage) -> LayerShape:
    """How a layer is stored, with its number of entries."""
    (rows, width), entries = layer.weights.shape, layer.weights.nonzeros
    if storage == "dense":
        entries = rows * width
    elif storage == "gaps":
        entries += codecs.count_fillers(layer.weights)
    partial = storage == "dense" and layer.activation == "cosine" and layer.weights.nonzeros < entries
    return LayerShape(layer.name, rows, width, layer.k, storage, entries, layer.activation, partial)


def structure_of(state: ModelState, storages: list[Storage] | None = None) -> Structure:
    """How ``state`` is stored; by default each layer in its smallest storage."""
    if storages is None:
        storages = [
            codecs.choose_storage(layer.weights, state.values_type, keep_support=layer.activation == "cosine")
            for layer in state.layers
        ]
    return Structure(
        input_shape=state.input_shape,
        classes=len(state.classes),
        center=state.center is not None,
        epsilon=float(state.epsilon),
        temperature=float(state.temperature),
        values_type=state.values_type,
        layers=tuple(map(layer_shape, state.layers, storages)),
        readout=state.readout.kind,
        bias=state.readout.bias is not None,
        encoder=state.encoder.shape if state.encoder is not None else None,
        normalized_first=state.normalized_first,
        sketch=state.sketch.width if state.sketch is not None else None,
    )


def buffers(specs: list[TensorSpec], arrays: Arrays) -> dict[str, memoryview]:
    """The elements of every tensor that is no constant, as the file stores them."""
    return {spec.name: array_bytes(arrays[spec.name], spec) for spec in specs if spec.constant is None}


def inference_graph(state: ModelState, structure: Structure) -> Message:
    """The ``GraphProto`` that computes ``logits`` and ``probabilities``."""
    graph = build_graph(structure)
    arrays = encode_input(state, structure) | encode_readout(state)
    for layer, shape in zip(state.layers, structure.layers, strict=True):
        arrays |= encode_layer(layer, shape, state)
    return encode_graph(GRAPH_NAME, graph, buffers(graph.tensors, arrays), state.encoder)


def encode(state: ModelState, *, keep_learning: bool = True) -> bytes:
    """The file of ``state``; the same state always gives the same bytes.

    :param keep_learning: keep counts, statistics, options of learning and teacher, where there are any.
    :raises EdgeModelError: if parts of the state do not fit each other, or a weight does not fit its type.
    """
    check_state(state)
    structure = structure_of(state)
    shape = learning_shape(state, structure) if keep_learning and state.has_learning_state else None
    training = None
    if shape is not None:
        graph = Graph()
        graph.tensors = learning_specs(structure, shape)
        arrays = learning_tensors.encode(state, shape)
        training = encode_graph(LEARNING_NAME, graph, buffers(graph.tensors, arrays))
    text = manifest.encode(state, structure, shape)
    return container.join(inference_graph(state, structure), text, training)
