"""The inference graph: standard ONNX operators that rebuild the weights from CSR and run the network.

ONNX Runtime folds the rebuilding away once at load; what is left is one Gemm per layer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ssd_edge_runtime.encoder.parts import OUTPUT as ENCODER_OUTPUT
from ssd_edge_runtime.model_file.codecs import FILLER
from ssd_edge_runtime.model_file.structure import LayerShape, Structure
from ssd_edge_runtime.onnx.messages import attribute, graph_message, value_info
from ssd_edge_runtime.onnx.protobuf import Message
from ssd_edge_runtime.onnx.tensors import CODES, TensorSpec, little_endian, tensor_message
from ssd_edge_runtime.state import COSINE_EPSILON

if TYPE_CHECKING:
    from ssd_edge_runtime.encoder import Encoder

OPERATORS = (
    "Add",
    "Cast",
    "ConstantOfShape",
    "CumSum",
    "Div",
    "Flatten",
    "Gemm",
    "Less",
    "MatMul",
    "Max",
    "Mul",
    "OneHot",
    "ReduceL2",
    "ReduceMin",
    "ReduceSum",
    "Relu",
    "Reshape",
    "ScatterElements",
    "Slice",
    "Softmax",
    "Sqrt",
    "Sub",
    "TopK",
)
"""Every operator that a file may use outside its encoder, all of ONNX's default domain."""


BOOL = 9
"""ONNX's number of the one element type that no tensor of a file has."""


class Graph:
    """Nodes, inputs and outputs as encoded bytes, and what each initializer must be, in file order."""

    def __init__(self) -> None:
        self.nodes: list[bytes] = []
        self.tensors: list[TensorSpec] = []
        self.inputs: list[bytes] = []
        self.outputs: list[bytes] = []
        self._constants: dict[str, TensorSpec] = {}

    def tensor(self, name: str, dtype: str, *shape: int) -> str:
        """Declare an initializer whose elements the model brings."""
        self.tensors.append(TensorSpec(name, dtype, shape))
        return name

    def constant(self, name: str, dtype: str, values: list[int] | float) -> str:
        """Declare an initializer that is always the same; the same name may be asked for again."""
        array = np.array(values, little_endian(dtype))
        spec = TensorSpec(name, dtype, array.shape, array.tobytes())
        if name not in self._constants:
            self._constants[name] = spec
            self.tensors.append(spec)
        assert self._constants[name] == spec, name
        return name

    def node(self, operator: str, inputs: list[str], *outputs: str, **attributes: int | str | TensorSpec) -> str:
        """Append a node and return its last output."""
        assert operator in OPERATORS, operator
        message = Message()
        for name in inputs:
            message.text(1, name)
        for name in outputs:
            message.text(2, name)
        message.text(4, operator)
        for key in sorted(attributes):
            message.message(5, attribute(key, attributes[key]))
        self.nodes.append(message.tobytes())
        return outputs[-1]

    def filled(self, name: str, value: NDArray[np.generic], length: int) -> str:
        """A vector of ``length`` elements that all equal ``value``, which also gives the type."""
        shape = self.constant(f"{name}.length", "int64", [length])
        spec = TensorSpec("", value.dtype.name, (1,), value.reshape(1).tobytes())
        return self.node("ConstantOfShape", [shape], name, value=spec)


def input_nodes(graph: Graph, structure: Structure) -> str:
    """``u = v / max(||v||_2, epsilon)``, v the centered, perhaps sketched input; returns the name of u."""
    source = "input" if structure.encoder is None else ENCODER_OUTPUT
    u = graph.node("Flatten", [source], "input.flat", axis=1)
    if structure.normalized_first:
        u = unit_nodes(graph, structure, u, "input.raw")
    if structure.center:
        center = graph.tensor("input.center", "float32", structure.input_width)
        u = graph.node("Sub", [u, center], "input.centered")
    if structure.sketch is not None:
        u = sketch_nodes(graph, structure, structure.sketch, u)
    return unit_nodes(graph, structure, u, "input")


def unit_nodes(graph: Graph, structure: Structure, u: str, name: str) -> str:
    """``u / max(||u||_2, epsilon)``."""
    axis = graph.constant("axis1", "int64", [1])
    norm = graph.node("ReduceL2", [u, axis], f"{name}.norm", keepdims=1)
    epsilon = graph.constant("input.epsilon", "float32", structure.epsilon)
    norm = graph.node("Max", [norm, epsilon], f"{name}.divisor")
    return graph.node("Div", [u, norm], f"{name}.normalized")


def sketch_nodes(graph: Graph, structure: Structure, width: int, u: str) -> str:
    """``P u``, (batch, width); P is folded to one thin matrix, the fastest form (gathering first is 1.5 to 6 times
    slower)."""
    sums = graph.tensor("input.sketch.sums", structure.sums_type, structure.input_width)
    if structure.sums_type != "int32":
        sums = graph.node("Cast", [sums], "input.sketch.sums.int32", to=CODES["int32"])
    depth = graph.constant("input.sketch.width", "int32", width)
    values = graph.constant("input.sketch.values", "float32", [0, 1])
    hits = graph.node("OneHot", [sums, depth, values], "input.sketch.hits", axis=1)
    signs = graph.tensor("input.sketch.signs", "int8", structure.input_width, 1)
    signs = graph.node("Cast", [signs], "input.sketch.signs.float32", to=CODES["float32"])
    matrix = graph.node("Mul", [hits, signs], "input.sketch.matrix")
    return graph.node("MatMul", [u, matrix], "input.sketched")


def flat_position_nodes(graph: Graph, layer: LayerShape) -> str:
    """Where each stored value stands in the flattened matrix, int32 (entries,)."""
    name = layer.name
    assert layer.columns_type is not None
    columns = graph.tensor(f"{name}.columns", layer.columns_type, layer.entries)
    if layer.columns_type != "int32":
        columns = graph.node("Cast", [columns], f"{name}.columns.int32", to=CODES["int32"])
    zero_axis = graph.constant("axis0", "int64", 0)
    if layer.storage == "gaps":
        return graph.node("CumSum", [columns, zero_axis], f"{name}.flat")
    # A mark where each row after the first begins; rows that begin together (empty ones) add up, and rows that
    # begin after the last entry land on the extra mark at the end.
    indptr = graph.tensor(f"{name}.indptr", "int32", layer.rows + 1)
    first, last = graph.constant("one", "int64", [1]), graph.constant(f"{name}.rows", "int64", [layer.rows + 1])
    starts = graph.node("Slice", [indptr, first, last], f"{name}.starts")
    marks = graph.filled(f"{name}.marks", np.array(0, "<i4"), layer.entries + 1)
    ones = graph.filled(f"{name}.ones", np.array(1, "<i4"), layer.rows)
    marks = graph.node("ScatterElements", [marks, starts, ones], f"{name}.marked", axis=0, reduction="add")
    row = graph.node("CumSum", [marks, zero_axis], f"{name}.row.all")
    entries = graph.constant(f"{name}.entries", "int64", [layer.entries])
    row = graph.node("Slice", [row, graph.constant("zero", "int64", [0]), entries], f"{name}.row")
    width = graph.constant(f"{name}.width", "int32", [layer.width])
    offset = graph.node("Mul", [row, width], f"{name}.offset")
    return graph.node("Add", [offset, columns], f"{name}.flat")


def stored_values(graph: Graph, name: str, values_type: str, *shape: int) -> str:
    """The stored values as float32, scales not yet applied."""
    values = graph.tensor(f"{name}.values", values_type, *shape)
    if values_type == "float32":
        return values
    return graph.node("Cast", [values], f"{name}.values.float32", to=CODES["float32"])


def scaled(graph: Graph, name: str, dense: str, values_type: str, rows: int) -> str:
    """Apply the int8 scale of each row to a (rows, columns) matrix; other types have none."""
    if values_type != "int8":
        return dense
    scale = graph.tensor(f"{name}.scale", "float32", rows, 1)
    return graph.node("Mul", [dense, scale], f"{name}.scaled")


def weight_nodes(graph: Graph, layer: LayerShape, values_type: str) -> str:
    """Rebuild W, float32 (rows, width), from what is stored."""
    name = layer.name
    if layer.storage == "dense":
        dense = stored_values(graph, name, values_type, layer.rows, layer.width)
        return scaled(graph, name, dense, values_type, layer.rows)
    values = stored_values(graph, name, values_type, layer.entries)
    flat = flat_position_nodes(graph, layer)
    zeros = graph.filled(f"{name}.zeros", np.array(0, "<f4"), layer.rows * layer.width)
    # Fillers are zeros that may stand where an entry does: adding keeps the entry.
    dense = graph.node("ScatterElements", [zeros, flat, values], f"{name}.scattered", axis=0, reduction="add")
    shape = graph.constant(f"{name}.shape", "int64", [layer.rows, layer.width])
    dense = graph.node("Reshape", [dense, shape], f"{name}.dense")
    return scaled(graph, name, dense, values_type, layer.rows)


def support_nodes(graph: Graph, layer: LayerShape, weights: str) -> str:
    """A one wherever W has an entry, float32 (rows, width)."""
    name = layer.name
    if layer.storage == "dense":
        present = graph.node("Cast", [weights], f"{name}.present", to=BOOL)
        return graph.node("Cast", [present], f"{name}.support", to=CODES["float32"])
    if layer.storage == "gaps":
        filler = graph.constant("filler", "int32", FILLER)
        entry = graph.node("Less", [f"{name}.columns.int32", filler], f"{name}.is_entry")
        ones = graph.node("Cast", [entry], f"{name}.entry", to=CODES["float32"])
    else:
        ones = graph.filled(f"{name}.entry", np.array(1, "<f4"), layer.entries)
    inputs = [f"{name}.zeros", f"{name}.flat", ones]
    dense = graph.node("ScatterElements", inputs, f"{name}.support.flat", axis=0, reduction="add")
    return graph.node("Reshape", [dense, f"{name}.shape"], f"{name}.support")


def length_nodes(graph: Graph, layer: LayerShape, u: str, weights: str) -> str:
    """``sqrt(sum u_j^2 + COSINE_EPSILON)`` over each row's support, (batch, rows), or (batch, 1) without gaps."""
    name = layer.name
    squares = graph.node("Mul", [u, u], f"{name}.squares")
    if layer.storage == "dense" and not layer.partial:
        seen = graph.node(
            "ReduceSum", [squares, graph.constant("axis1", "int64", [1])], f"{name}.seen", keepdims=1
        )
    else:
        seen = graph.node("Gemm", [squares, support_nodes(graph, layer, weights)], f"{name}.seen", transB=1)
    epsilon = graph.constant("cosine.epsilon", "float32", COSINE_EPSILON)
    return graph.node("Sqrt", [graph.node("Add", [seen, epsilon], f"{name}.square")], f"{name}.length")


def layer_nodes(graph: Graph, layer: LayerShape, values_type: str, u: str) -> str:
    """``a = relu(W u)``, ``z = relu(a - I)``, I the (k+1)-th largest of a; returns the name of z."""
    name = layer.name
    weights = weight_nodes(graph, layer, values_type)
    a = graph.node("Gemm", [u, weights], f"{name}.h", transB=1)
    if layer.activation == "cosine":
        a = graph.node("Div", [a, length_nodes(graph, layer, u, weights)], f"{name}.cosine")
    a = graph.node("Relu", [a], f"{name}.a")
    count = graph.constant(f"{name}.k", "int64", [layer.k + 1])
    graph.node("TopK", [a, count], f"{name}.top", f"{name}.top.indices", axis=1, sorted=0)
    axis = graph.constant("axis1", "int64", [1])
    inhibition = graph.node("ReduceMin", [f"{name}.top", axis], f"{name}.inhibition", keepdims=1)
    z = graph.node("Sub", [a, inhibition], f"{name}.difference")
    return graph.node("Relu", [z], f"{name}.z")


def readout_nodes(graph: Graph, structure: Structure, z: str) -> None:
    """``logits = V z (+ b)`` and ``probabilities = softmax(logits / temperature)``."""
    classes = structure.classes
    weights = stored_values(graph, "readout", structure.values_type, classes, structure.code_width)
    weights = scaled(graph, "readout", weights, structure.values_type, classes)
    inputs = [z, weights]
    if structure.bias:
        inputs.append(graph.tensor("readout.bias", "float32", classes))
    graph.node("Gemm", inputs, "logits", transB=1)
    temperature = graph.constant("temperature", "float32", structure.temperature)
    divided = graph.node("Div", ["logits", temperature], "logits.divided")
    graph.node("Softmax", [divided], "probabilities", axis=1)


def build_graph(structure: Structure) -> Graph:
    """The one graph that stands for ``structure``, encoder aside; a file with any other is refused."""
    graph = Graph()
    graph.inputs = [value_info("input", ("batch", *structure.input_shape))]
    outputs = ("logits", "probabilities")
    graph.outputs = [value_info(name, ("batch", structure.classes)) for name in outputs]
    code = input_nodes(graph, structure)
    for layer in structure.layers:
        code = layer_nodes(graph, layer, structure.values_type, code)
    readout_nodes(graph, structure, code)
    return graph


def encode_graph(name: str, graph: Graph, data: dict[str, memoryview], encoder: Encoder | None = None) -> Message:
    """A ``GraphProto``; ``data`` holds the elements of the tensors that are not constants."""
    tensors = [
        tensor_message(spec, data[spec.name] if spec.constant is None else spec.constant) for spec in graph.tensors
    ]
    if encoder is None:
        return graph_message(name, graph.nodes, tensors, graph.inputs, graph.outputs)
    nodes = (*encoder.nodes, *graph.nodes)
    return graph_message(name, nodes, (*encoder.tensors, *tensors), graph.inputs, graph.outputs)
