"""ONNX tensors: what each initializer must be, and its bytes."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssd_edge_runtime.errors import EdgeModelError
from ssd_edge_runtime.onnx.protobuf import Message, fields, utf8

CODES = {
    "float32": 1,
    "uint8": 2,
    "int8": 3,
    "uint16": 4,
    "int32": 6,
    "int64": 7,
    "float16": 10,
    "float64": 11,
    "uint32": 12,
}
"""ONNX's number (``TensorProto.DataType``) of each element type that a file may use."""
NAMES = {code: name for name, code in CODES.items()}
MAX_DIMENSIONS = 8
MAX_PARTS = 50
"""Fields of a tensor; ours have at most one for each dimension, and three."""
DIMS, DATA_TYPE, NAME, RAW_DATA, EXTERNAL_DATA, DATA_LOCATION = 1, 2, 8, 9, 13, 14
"""Fields of ``TensorProto``."""


@dataclass(frozen=True)
class TensorSpec:
    """What one initializer must be: name, element type, shape and, for constants of the graph, its bytes."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    constant: bytes | None = None

    @property
    def elements(self) -> int:
        """Number of elements, as an exact integer."""
        return prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of its data in the file."""
        return self.elements * np.dtype(self.dtype).itemsize

    def __str__(self) -> str:
        return f"{self.dtype}[{', '.join(map(str, self.shape))}]"


def little_endian(dtype: str) -> np.dtype[Any]:
    """The dtype as the file stores it."""
    return np.dtype(dtype).newbyteorder("<")


def tensor_message(spec: TensorSpec, data: bytes | memoryview) -> Message:
    """A ``TensorProto`` with its elements in ``raw_data``."""
    assert len(data) == spec.nbytes, spec.name
    message = Message()
    for length in spec.shape:
        message.integer(DIMS, length)
    message.integer(DATA_TYPE, CODES[spec.dtype])
    if spec.name:
        message.text(NAME, spec.name)
    return message.data(RAW_DATA, data)


def array_bytes(array: NDArray[Any], spec: TensorSpec) -> memoryview:
    """The elements of ``array``, which must have the spec's type and size, little endian, row by row."""
    assert array.size == spec.elements, spec.name
    contiguous = np.ascontiguousarray(array, little_endian(spec.dtype))
    return contiguous.reshape(-1).view(np.uint8).data


@dataclass(frozen=True)
class TensorView:
    """A tensor in the file, not yet trusted."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    raw: memoryview

    def match(self, spec: TensorSpec) -> None:
        """Refuse the tensor unless it is what ``spec`` says, before a single element is read."""
        if self.name != spec.name:
            raise EdgeModelError(f"expected initializer {spec.name!r}, found {self.name[:80]!r}")
        if (self.dtype, self.shape) != (spec.dtype, spec.shape):
            found = f"{self.dtype}[{', '.join(map(str, self.shape))}]"
            raise EdgeModelError(f"{self.name} should be {spec}, found {found}")
        if len(self.raw) != spec.nbytes:
            raise EdgeModelError(f"{self.name} should hold {spec.nbytes} bytes, found {len(self.raw)}")
        if spec.constant is not None and self.raw != spec.constant:
            raise EdgeModelError(f"{self.name} is not the constant that the graph needs")

    def array(self) -> NDArray[Any]:
        """A read-only view of the elements; it may be unaligned, so copy before computing."""
        return np.frombuffer(self.raw, little_endian(self.dtype)).reshape(self.shape)


def decode_tensor(data: memoryview) -> TensorView:
    """Parse a ``TensorProto`` of the one form that files here use.

    :raises EdgeModelError: for external data, for elements outside ``raw_data``, for element types not in use.
    """
    shape: list[int] = []
    name, dtype, raw, unknown = "", 0, memoryview(b""), 0
    for number, value, _ in fields(data, most=MAX_PARTS):
        if number == DIMS and isinstance(value, int):
            shape.append(value)
        elif number == DATA_TYPE and isinstance(value, int):
            dtype = value
        elif number == NAME and isinstance(value, memoryview):
            name = utf8(value, "an initializer's name")
        elif number == RAW_DATA and isinstance(value, memoryview):
            raw = value
        else:
            unknown = unknown or number
        if len(shape) > MAX_DIMENSIONS:
            raise EdgeModelError(f"initializer {name[:80]!r} has more than {MAX_DIMENSIONS} dimensions")
    if unknown in (EXTERNAL_DATA, DATA_LOCATION):
        raise EdgeModelError(f"initializer {name[:80]!r} refers to external data, which is refused")
    if unknown:
        raise EdgeModelError(f"initializer {name[:80]!r} has field {unknown}, which is not understood")
    if dtype not in NAMES:
        raise EdgeModelError(f"initializer {name[:80]!r} has element type {dtype}, which is not understood")
    return TensorView(name, NAMES[dtype], tuple(shape), raw)
