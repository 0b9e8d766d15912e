"""A few JSON fields and named arrays as bytes: plain data, checked before any of it is used."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssd_edge_runtime.errors import EdgeModelError
from ssd_edge_runtime.model_file import strict_json

TYPES = ("uint8", "uint16", "uint32", "float32")
HEAD = 4


def encode(fields: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> bytes:
    """One-dimensional ``arrays`` of the types in TYPES, little endian, behind a JSON head of 4 bytes' length."""
    described = [[name, array.dtype.name, len(array)] for name, array in arrays.items()]
    head = strict_json.dumps({"fields": fields, "arrays": described}, "a record")
    data = [array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes() for array in arrays.values()]
    return len(head).to_bytes(HEAD, "little") + head + b"".join(data)


def decode(data: bytes) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """What :func:`encode` made, the arrays as views of ``data``. Raises EdgeModelError for anything else."""
    length = int.from_bytes(data[:HEAD], "little")
    head = strict_json.Section(strict_json.loads(data[HEAD : HEAD + length], "a record"), "record")
    fields, at, arrays = head.take("fields"), HEAD + length, {}
    for row in head.items("arrays", most=1000):
        if not (isinstance(row, list) and len(row) == 3 and row[1] in TYPES and type(row[2]) is int):
            raise EdgeModelError(f"a record describes an array as {repr(row)[:80]}")
        name, kind, count = str(row[0]), np.dtype(row[1]).newbyteorder("<"), row[2]
        if not 0 <= count <= (len(data) - at) // kind.itemsize:
            raise EdgeModelError(f"a record claims {count} elements of {name[:80]!r}, but ends before")
        arrays[name] = np.frombuffer(data, kind, count, at)
        at += count * kind.itemsize
    head.end()
    if at != len(data) or not isinstance(fields, dict):
        raise EdgeModelError("a record holds bytes that it does not describe")
    return fields, arrays
