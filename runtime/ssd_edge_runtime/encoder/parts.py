"""What the nodes and initializers of an encoder may be, checked on their bytes without the onnx package."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod

from ssd_edge_runtime.errors import EdgeModelError
from ssd_edge_runtime.onnx.protobuf import fields, utf8

PREFIX = "encoder."
"""What the name of every value inside an encoder begins with."""
INPUT, OUTPUT = "input", "encoder.output"
"""What an encoder reads, float32 (batch, *input_shape), and what the model reads of it, float32 (batch, width)."""
ELEMENT_TYPES = {1: 4, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 8, 9: 1, 10: 2, 11: 8, 12: 4, 13: 8}
"""Bytes of an element by ``TensorProto.DataType``: floats of 16 to 64 bits, integers of 8 to 64, booleans."""
MAX_DIMENSIONS, MAX_NAME = 16, 1000
FREE_PARTS, BYTES_PER_PART, MAX_PARTS = 20_000, 12, 200_000
"""Fields in all messages of an encoder, which each take a reader time: so many in any, and one more for so many
bytes, up to a limit. A Vision Transformer has 15,000."""
NODE_INPUT, NODE_OUTPUT, OPERATOR, ATTRIBUTE = 1, 2, 4, 5
"""Fields of ``NodeProto`` that an encoder's node has; a domain is none of them, so operators are ONNX's own."""
TENSOR_ATTRIBUTE = 5
PLAIN_ATTRIBUTES = {1, 2, 3, 4, 7, 8, 9, 20}
"""Fields of ``AttributeProto``: name, numbers, strings, type. A graph, and so control flow, is none of them."""
DIMS, DATA_TYPE, NAME, RAW_DATA = 1, 2, 8, 9

Buffer = bytes | memoryview


class Parts:
    """Walks messages until there have been too many fields for an encoder of ``size`` bytes."""

    def __init__(self, size: int) -> None:
        self._left = self._most = min(MAX_PARTS, FREE_PARTS + size // BYTES_PER_PART)

    def of(self, data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
        """Field numbers and values of one message."""
        for number, value, _ in fields(data):
            self._left -= 1
            EdgeModelError.unless(self._left >= 0, f"the encoder has more than {self._most} parts")
            yield number, value


def check_parts(nodes: Sequence[Buffer], tensors: Sequence[Buffer]) -> None:
    """Refuse nodes or initializers that an encoder must not have, or whose names do not hang together.

    Each value is made once, before it is used; all names begin with ``encoder.`` but that of the input.

    :raises EdgeModelError: naming the part.
    """
    made, parts = {INPUT}, Parts(sum(map(len, nodes)) + sum(map(len, tensors)))
    for tensor in tensors:
        name = check_tensor(memoryview(tensor), "an encoder's initializer", parts)
        _make(made, name)
    for node in nodes:
        inputs, outputs = check_node(memoryview(node), parts)
        for name in inputs:
            EdgeModelError.unless(not name or name in made, f"the encoder uses {name[:80]!r} before it is made")
        for name in filter(None, outputs):
            _make(made, name)
    EdgeModelError.unless(OUTPUT in made, f"the encoder does not make {OUTPUT}")


def _make(made: set[str], name: str) -> None:
    short = repr(name[:80])
    EdgeModelError.unless(
        name.startswith(PREFIX) and len(name) <= MAX_NAME, f"an encoder's names begin with {PREFIX}, not {short}"
    )
    EdgeModelError.unless(name not in made, f"the encoder makes {short} twice")
    made.add(name)


def check_tensor(data: memoryview, what: str, parts: Parts) -> str:
    """The name of a ``TensorProto`` whose bytes of elements are what its type and shape say."""
    dims, kind, name, size = [1], 0, "", 0
    for number, value in parts.of(data):
        if number == DIMS and isinstance(value, int):
            dims.append(value)
        elif number == DATA_TYPE and isinstance(value, int):
            kind = value
        elif number == NAME and isinstance(value, memoryview):
            name = utf8(value, "an initializer's name")
        elif number == RAW_DATA and isinstance(value, memoryview):
            size = len(value)
        else:
            raise EdgeModelError(f"{what} {name[:80]!r} has field {number}, which is not understood")
    EdgeModelError.unless(
        len(dims) <= MAX_DIMENSIONS, f"{what} {name[:80]!r} has more than {MAX_DIMENSIONS - 1} dimensions"
    )
    EdgeModelError.unless(
        kind in ELEMENT_TYPES, f"{what} {name[:80]!r} has element type {kind}, which is not understood"
    )
    wanted = prod(dims) * ELEMENT_TYPES[kind]
    EdgeModelError.unless(size == wanted, f"{what} {name[:80]!r} should hold {wanted} bytes, found {size}")
    return name


def check_node(data: memoryview, parts: Parts) -> tuple[list[str], list[str]]:
    """Names of the inputs and outputs of a ``NodeProto`` with an operator of ONNX's own and plain attributes."""
    inputs: list[str] = []
    outputs: list[str] = []
    operators: list[str] = []
    for number, value in parts.of(data):
        text = value if isinstance(value, memoryview) else None
        if text is not None and number == NODE_INPUT:
            inputs.append(utf8(text, "a name in the encoder"))
        elif text is not None and number == NODE_OUTPUT:
            outputs.append(utf8(text, "a name in the encoder"))
        elif text is not None and number == OPERATOR:
            operators.append(utf8(text, "an operator in the encoder"))
        elif text is not None and number == ATTRIBUTE:
            check_attribute(text, operators, parts)
        else:
            raise EdgeModelError(f"a node of the encoder has field {number}, which is not understood")
    EdgeModelError.unless(
        len(operators) == 1 and operators[0].isalnum(), "a node of the encoder must name one operator"
    )
    return inputs, outputs


def check_attribute(data: memoryview, operators: list[str], parts: Parts) -> None:
    """Refuse attributes that hold a graph, a type, or a tensor of another form."""
    for number, value in parts.of(data):
        if number == TENSOR_ATTRIBUTE and isinstance(value, memoryview):
            check_tensor(value, "an encoder's constant", parts)
        elif number not in PLAIN_ATTRIBUTES:
            raise EdgeModelError(
                f"operator {''.join(operators)[:80]!r} in the encoder has an attribute with field {number}: "
                "control flow and graphs are refused"
            )
