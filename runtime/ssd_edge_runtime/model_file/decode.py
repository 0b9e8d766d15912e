"""From the bytes of a file to a model's arrays; everything is checked before it is used or allocated."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ssd_edge_runtime.errors import EdgeModelError
from ssd_edge_runtime.model_file.checks import check_state
from ssd_edge_runtime.model_file.encode import GRAPH_NAME, LEARNING_NAME
from ssd_edge_runtime.model_file.graph import build_graph
from ssd_edge_runtime.model_file.header import Header
from ssd_edge_runtime.model_file.learning_tensors import (
    Arrays,
    decode_statistics,
    decode_teacher,
    learning_specs,
)
from ssd_edge_runtime.model_file.manifest import Manifest
from ssd_edge_runtime.model_file.structure import Structure
from ssd_edge_runtime.model_file.weights import decode_layer, decode_readout, decode_sketch
from ssd_edge_runtime.onnx.messages import INITIALIZER, INPUT, NAME, NODE, OUTPUT
from ssd_edge_runtime.onnx.protobuf import fields
from ssd_edge_runtime.onnx.tensors import TensorSpec, decode_tensor
from ssd_edge_runtime.state import ModelState

if TYPE_CHECKING:
    from ssd_edge_runtime.encoder import Encoder

BASE_MEMORY, MEMORY_PER_BYTE = 64 << 20, 16
"""Reading a file allocates at most ``BASE_MEMORY`` and this many bytes for each of its own."""


def memory_needed(manifest: Manifest) -> int:
    """Upper bound in bytes of what reading allocates, from sizes alone."""
    structure, classes = manifest.structure, manifest.structure.classes
    total = 12 * classes * structure.code_width + 4 * structure.input_width * structure.center + 100 * classes
    if structure.sketch is not None:
        total += 32 * structure.input_width + 8 * structure.sketch
    for layer in structure.layers:
        total += 24 * layer.entries + layer.rows * (40 + 8 * classes)
    if manifest.learning_shape is not None:
        total += 2 * sum(spec.elements * 8 for spec in learning_specs(structure, manifest.learning_shape))
    return total


def check_memory(manifest: Manifest, file_bytes: int, limit: int | None) -> None:
    """Refuse sizes that no honest file of this length has, or that are beyond ``limit`` bytes."""
    needed = memory_needed(manifest)
    most = BASE_MEMORY + MEMORY_PER_BYTE * file_bytes
    if manifest.structure.encoder is not None:
        needed += file_bytes
    if limit is not None:
        most = min(most, limit)
    EdgeModelError.unless(
        needed <= most, f"its sizes ask for {needed} bytes of memory, the limit for this file is {most}"
    )


def decode_graph(data: memoryview, name: str) -> dict[int, list[memoryview]]:
    """The parts of a ``GraphProto``, as bytes by field; any other field is refused."""
    parts: dict[int, list[memoryview]] = {number: [] for number in (NODE, NAME, INITIALIZER, INPUT, OUTPUT)}
    for number, value, _ in fields(data):
        if number not in parts or isinstance(value, int):
            raise EdgeModelError(f"graph {name} has field {number}, which is not understood")
        parts[number].append(value)
    EdgeModelError.unless(parts[NAME] == [name.encode()], f"the graph must be called {name}")
    return parts


def match_tensors(specs: list[TensorSpec], found: list[memoryview], what: str) -> Arrays:
    """Hold each initializer against what it must be; returns read-only views by name."""
    EdgeModelError.unless(
        len(specs) == len(found), f"{what} should have {len(specs)} initializers, found {len(found)}"
    )
    tensors = [decode_tensor(tensor) for tensor in found]
    for spec, tensor in zip(specs, tensors, strict=True):
        tensor.match(spec)
    return {tensor.name: tensor.array() for tensor in tensors}


def decode_encoder(
    parts: dict[int, list[memoryview]], structure: Structure, confined: bool = False
) -> Encoder | None:
    """Take the encoder's nodes and initializers, if there are any, off the front of the graph's."""
    shape = structure.encoder
    if shape is None:
        return None
    from ssd_edge_runtime.encoder import Encoder

    nodes, tensors = parts[NODE][: shape.nodes], parts[INITIALIZER][: shape.initializers]
    del parts[NODE][: shape.nodes], parts[INITIALIZER][: shape.initializers]
    encoder = Encoder(
        shape.name,
        structure.input_shape,
        shape.width,
        tuple(map(bytes, nodes)),
        tuple(map(bytes, tensors)),
        confined,
    )
    EdgeModelError.unless(encoder.shape == shape, "the encoder is not the one whose digest the manifest names")
    return encoder


def decode_inference(
    data: memoryview, manifest: Manifest, confined: bool = False
) -> tuple[Arrays, Encoder | None]:
    """Check that the graph is the one the manifest stands for; returns its initializers and its encoder."""
    graph = build_graph(manifest.structure)
    parts = decode_graph(data, GRAPH_NAME)
    encoder = decode_encoder(parts, manifest.structure, confined)
    expected = ((NODE, graph.nodes, "nodes"), (INPUT, graph.inputs, "inputs"), (OUTPUT, graph.outputs, "outputs"))
    for number, wanted, what in expected:
        EdgeModelError.unless(
            parts[number] == wanted, f"the graph's {what} are not those that the manifest stands for"
        )
    return match_tensors(graph.tensors, parts[INITIALIZER], "the graph"), encoder


def decode_training(found: list[memoryview], manifest: Manifest) -> Arrays | None:
    """Initializers of the learning state; None where the manifest says that there is none."""
    shape = manifest.learning_shape
    EdgeModelError.unless(
        len(found) == (shape is not None), "training_info and the manifest's learning_state must come together"
    )
    if shape is None:
        return None
    graphs = list(fields(found[0], most=2))
    EdgeModelError.unless(
        len(graphs) == 1 and graphs[0][0] == 2, "training_info must hold one algorithm and nothing else"
    )
    EdgeModelError.unless(isinstance(graphs[0][1], memoryview), "training_info must hold a graph")
    data = graphs[0][1]
    assert isinstance(data, memoryview)
    parts = decode_graph(data, LEARNING_NAME)
    empty = not (parts[NODE] or parts[INPUT] or parts[OUTPUT])
    EdgeModelError.unless(empty, "the learning state holds initializers and nothing else")
    return match_tensors(learning_specs(manifest.structure, shape), parts[INITIALIZER], "the learning state")


def decode(header: Header, memory_limit: int | None = None, *, confined: bool = False) -> ModelState:
    """The model in a file, its sparse weights straight from the file's CSR.

    :param memory_limit: most bytes to allocate; never more than 64 MiB and 16 times the file anyway.
    :param confined: whether an encoder will run in a process of its own, with limits.
    :raises EdgeModelError: for anything but a sound file, naming what is wrong with it.
    """
    parts, manifest = header.parts, header.manifest
    check_memory(manifest, len(header.data), memory_limit)
    arrays, encoder = decode_inference(parts.graph, manifest, confined)
    learning = decode_training(parts.training, manifest)
    structure, shape = manifest.structure, manifest.learning_shape
    statistics = teacher = None
    if learning is not None and shape and shape.statistics:
        statistics = decode_statistics(learning, shape)
    if learning is not None and shape and shape.teacher:
        teacher = decode_teacher(learning, structure.layers, shape.teacher)
    state = ModelState(
        input_shape=structure.input_shape,
        classes=manifest.classes,
        center=arrays["input.center"].astype(np.float32) if structure.center else None,
        epsilon=structure.epsilon,
        layers=[decode_layer(layer, arrays, learning, manifest) for layer in structure.layers],
        readout=decode_readout(arrays, manifest),
        temperature=structure.temperature,
        values_type=structure.values_type,
        learning=manifest.learning,
        analytic=manifest.analytic,
        statistics=statistics,
        teacher=teacher,
        samples_seen=manifest.samples_seen,
        task_samples=manifest.task_samples,
        class_samples=np.array(manifest.class_samples, np.int64),
        generation=manifest.generation,
        parent=manifest.parent,
        replaced=manifest.replaced,
        provenance=manifest.provenance,
        ledger=manifest.ledger,
        encoder=encoder,
        normalized_first=structure.normalized_first,
        sketch=decode_sketch(arrays, structure),
        inputs=manifest.inputs,
    )
    check_state(state)
    return state


def stored_sizes(header: Header) -> dict[str, int]:
    """Bytes of each initializer behind the encoder, by name; of a file that has been decoded."""
    graph, encoder = decode_graph(header.parts.graph, GRAPH_NAME), header.manifest.structure.encoder
    tensors = map(decode_tensor, graph[INITIALIZER][encoder.initializers if encoder is not None else 0 :])
    return {tensor.name: len(tensor.raw) for tensor in tensors}
