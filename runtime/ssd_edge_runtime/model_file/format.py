"""The file format: one model, one ONNX file, read without building a dense matrix.

``docs/reference/format.md`` specifies it to the byte.
"""

from __future__ import annotations

from dataclasses import replace
from os import PathLike

import numpy as np

from ssd_edge_runtime.errors import EdgeModelError
from ssd_edge_runtime.model_file.checks import check_state
from ssd_edge_runtime.model_file.codecs import round_matrix, round_values
from ssd_edge_runtime.model_file.container import read_file
from ssd_edge_runtime.model_file.decode import decode
from ssd_edge_runtime.model_file.encode import encode, inference_graph, structure_of
from ssd_edge_runtime.model_file.header import read_header
from ssd_edge_runtime.onnx.model_proto import model_message
from ssd_edge_runtime.sparse.csr import CSRMatrix
from ssd_edge_runtime.state import ModelState


def to_bytes(state: ModelState, *, learning_state: bool = True) -> bytes:
    """The file of ``state``; the same state always gives the same bytes.

    :param learning_state: keep counts, statistics, options of learning and teacher, where there are any.
    :raises EdgeModelError: if parts of the state do not fit each other, or a weight does not fit its type.
    """
    return encode(state, keep_learning=learning_state)


def from_bytes(data: bytes, *, verify: bool = True, memory_limit: int | None = None) -> ModelState:
    """The model in ``data``, its sparse weights straight from the file's CSR.

    :param verify: check the digest; everything else is checked always.
    :param memory_limit: most bytes to allocate; never more than 64 MiB and 16 times the file anyway.
    :raises EdgeModelError: for anything but a sound file of a known format, naming what is wrong with it.
    """
    return decode(read_header(data, verify=verify), memory_limit)


def load(path: str | PathLike[str], *, verify: bool = True, memory_limit: int | None = None) -> ModelState:
    """Like :func:`from_bytes`, from a file; errors name it.

    :raises OSError: if the file cannot be read.
    """
    data = read_file(path)
    try:
        return from_bytes(data, verify=verify, memory_limit=memory_limit)
    except EdgeModelError as error:
        raise EdgeModelError(f"{path}: {error}") from None


def round_state(state: ModelState) -> ModelState:
    """``state`` with weights rounded to what a file of its ``values_type`` holds; other arrays are shared.

    :raises EdgeModelError: if a weight does not fit the type.
    """
    kind = state.values_type
    layers = [
        replace(layer, weights=round_matrix(layer.weights, kind, f"{layer.name}.values")) for layer in state.layers
    ]
    weights = round_values(state.readout.weights, kind, "readout.values")
    return replace(state, layers=layers, readout=replace(state.readout, weights=weights))


def to_dense_onnx(state: ModelState) -> bytes:
    """An ordinary ONNX file of the same function with dense float32 weights, to compare with.

    :raises EdgeModelError: if parts of the state do not fit each other.
    """
    check_state(state)
    layers = [replace(layer, weights=_without_zeros(layer.weights)) for layer in state.layers]
    dense = replace(state, values_type="float32", layers=layers)
    graph = inference_graph(dense, structure_of(dense, ["dense"] * len(state.layers)))
    return model_message(graph).tobytes()


def _without_zeros(matrix: CSRMatrix) -> CSRMatrix:
    """The same with the smallest of numbers where an entry is zero: a dense matrix still tells its support."""
    tiny = np.finfo(np.float32).tiny
    values = np.where(matrix.values == 0.0, tiny, matrix.values)
    return CSRMatrix(matrix.indptr, matrix.columns, values, matrix.shape)
