"""How weights are stored: rounding of values, and three ways to say where they stand.

Columns are coded as ``gaps`` (uint8 distances in the flattened matrix, one CumSum decodes them), as ``csr``
(uint16 or int32 column numbers with indptr), or not at all (``dense``), whichever is smallest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ssd_edge_runtime.arrays import Float32
from ssd_edge_runtime.errors import EdgeModelError
from ssd_edge_runtime.options import ValuesType
from ssd_edge_runtime.sparse.csr import CSRMatrix

Rows = NDArray[np.integer[Any]]
"""Row number of each entry."""
Storage = Literal["gaps", "csr", "dense"]
FILLER = 255
"""A gap code that advances by 255 and is no entry; its value is 0, so that adding it changes nothing."""
HALF_MAX = 65504.0
SCALE_BITS = 17
"""Significant bits of an int8 scale: a product with a 7-bit integer is then exact in float32."""
MIN_SCALE = np.float32(2.0**-126)


@dataclass(frozen=True)
class StoredValues:
    """Values as the file holds them; ``scale`` (rows,) float32 goes with int8 only."""

    values: NDArray[Any]
    scale: Float32 | None


def row_scales(values: Float32, rows: Rows, count: int) -> Float32:
    """int8 scale of each row, float32 (count,): max |v| / 127 rounded up to 17 significant bits.

    With so few bits every ``q * scale`` is exact, and coding the decoded values again gives the same bytes.
    """
    largest = np.zeros(count, np.float32)
    np.maximum.at(largest, rows, np.abs(values))
    mantissa, exponent = np.frexp(largest.astype(np.float64) / 127.0)
    mantissa = np.ceil(mantissa * 2.0**SCALE_BITS) / 2.0**SCALE_BITS
    scale = np.maximum(np.ldexp(mantissa, exponent), MIN_SCALE)
    return scale.astype(np.float32)


def encode_values(values: Float32, rows: Rows, count: int, values_type: ValuesType, name: str) -> StoredValues:
    """Round ``values`` (entries,), which stand in ``rows`` (entries,) of ``count`` rows, to ``values_type``.

    float32 is exact, float16 rounds to nearest, int8 is within half a scale of its row.

    :raises EdgeModelError: if a value does not fit float16; ``name`` says where it stands.
    """
    if values_type == "float32":
        return StoredValues(values, None)
    if values_type == "float16":
        with np.errstate(over="ignore"):
            half = values.astype(np.float16)
        if not np.isfinite(half).all():
            worst = float(np.abs(values).max())
            raise EdgeModelError(
                f"{name} holds {worst:.6g}, beyond float16's {HALF_MAX:.0f}: store it with values float32"
            )
        return StoredValues(half, None)
    scale = row_scales(values, rows, count)
    quantized = np.rint(values.astype(np.float64) / scale[rows])
    return StoredValues(np.clip(quantized, -127, 127).astype(np.int8), scale)


def decode_values(stored: StoredValues, rows: Rows) -> Float32:
    """Inverse of :func:`encode_values`, float32; the same arithmetic as the ONNX graph's."""
    values = stored.values.astype(np.float32)
    if stored.scale is not None:
        values *= stored.scale[rows]
    return values


def round_values(array: NDArray[np.floating[Any]], values_type: ValuesType, name: str = "array") -> Float32:
    """What a file of ``values_type`` would hold for ``array`` (rows, columns), as float32 of the same shape.

    Rounding twice is rounding once. int8 uses one scale per row.

    :raises EdgeModelError: if a value does not fit float16.
    """
    values = np.ascontiguousarray(array, np.float32)
    rows = np.repeat(np.arange(values.shape[0]), values.shape[1])
    stored = encode_values(values.reshape(-1), rows, values.shape[0], values_type, name)
    return decode_values(stored, rows).reshape(values.shape)


def round_matrix(matrix: CSRMatrix, values_type: ValuesType, name: str = "matrix") -> CSRMatrix:
    """The same support with values as a file of ``values_type`` would hold them."""
    rows = matrix.row_of_entry()
    stored = encode_values(matrix.values, rows, matrix.shape[0], values_type, name)
    return CSRMatrix(matrix.indptr, matrix.columns, decode_values(stored, rows), matrix.shape)


def flat_indices(matrix: CSRMatrix) -> NDArray[np.int64]:
    """Position of each entry in the flattened matrix, int64 (nnz), ascending."""
    return matrix.row_of_entry() * np.int64(matrix.shape[1]) + matrix.columns


def count_fillers(matrix: CSRMatrix) -> int:
    """How many fillers :func:`encode_gaps` would need."""
    return int((np.diff(flat_indices(matrix), prepend=0) // FILLER).sum())


def encode_gaps(flat: NDArray[np.int64]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Code ascending positions as uint8 distances; returns the codes and where among them the entries stand.

    A distance of 255 or more takes fillers first: 255 is (255, 0), 600 is (255, 255, 90). The first distance
    counts from position 0.
    """
    distance = np.diff(flat, prepend=0)
    fillers = distance // FILLER
    entry_at = np.arange(len(flat)) + np.cumsum(fillers)
    codes = np.full(len(flat) + int(fillers.sum()), FILLER, np.uint8)
    codes[entry_at] = distance % FILLER
    return codes, entry_at


def decode_gaps(codes: NDArray[np.uint8], shape: tuple[int, int], name: str) -> NDArray[np.int32]:
    """Positions of the entries (fillers left out) in the flattened ``shape``, int32, checked to ascend within it.

    :raises EdgeModelError: for positions past the end or not ascending, or a filler with nothing after it.
    """
    if len(codes) and codes[-1] == FILLER:
        raise EdgeModelError(f"{name}.columns ends with a filler")
    if int(codes.sum(dtype=np.int64)) >= max(1, shape[0] * shape[1]):
        raise EdgeModelError(f"{name}.columns runs past the end of the {shape[0]} x {shape[1]} matrix")
    flat: NDArray[np.int32] = np.cumsum(codes, dtype=np.int32)[codes != FILLER]
    if np.any(flat[1:] <= flat[:-1]):
        raise EdgeModelError(f"{name}.columns names an entry twice")
    return flat


def matrix_from_flat(flat: NDArray[np.int32], values: Float32, shape: tuple[int, int]) -> CSRMatrix:
    """The CSR matrix whose entries stand at ascending positions ``flat``; never builds the dense matrix."""
    starts = np.arange(shape[0] + 1, dtype=np.int64) * shape[1]
    indptr = np.searchsorted(flat, starts).astype(np.int32)
    return CSRMatrix(indptr, flat % np.int32(shape[1]), values, shape)


def column_type(width: int) -> str:
    """uint16 where every column number fits, else int32."""
    return "uint16" if width <= 1 << 16 else "int32"


def choose_storage(matrix: CSRMatrix, values_type: ValuesType, *, keep_support: bool = False) -> Storage:
    """The smallest of the three; ties go to dense, then gaps, which decode in fewer steps.

    ``keep_support``: dense is not for a matrix with gaps, which it does not tell from zeros.
    """
    rows, width = matrix.shape
    value_bytes = np.dtype(values_type).itemsize
    column_bytes = np.dtype(column_type(width)).itemsize
    sizes: dict[Storage, int] = {
        "dense": rows * width * value_bytes,
        "gaps": (matrix.nonzeros + count_fillers(matrix)) * (value_bytes + 1),
        "csr": matrix.nonzeros * (value_bytes + column_bytes) + 4 * (rows + 1),
    }
    if keep_support and matrix.nonzeros < rows * width:
        del sizes["dense"]
    return min(sizes, key=lambda storage: sizes[storage])
