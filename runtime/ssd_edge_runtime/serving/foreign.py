"""What other libraries call an array (torch, pandas, polars, scipy), as NumPy's; none of them is imported."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssd_edge_runtime.errors import EdgeModelError, first_line

NUMBERS = "fiub"


def as_array(values: Any, what: str) -> NDArray[Any]:
    """``values`` as an array; ``what`` names them in errors.

    Raises EdgeModelError for what is ragged, or masked in part.
    """
    masked = isinstance(values, np.ma.MaskedArray) and np.ma.getmaskarray(values).any()
    EdgeModelError.unless(not masked, f"{what} hold masked values: fill them first")
    try:
        return np.asarray(_plain(values))
    except (ValueError, TypeError, RuntimeError) as error:
        raise EdgeModelError(f"{what} cannot be read as one array: {first_line(error)}") from error


def as_numbers(values: Any, what: str) -> NDArray[Any]:
    """:func:`as_array` of numbers; text and Python objects are refused with the way out, never converted."""
    array = as_array(values, what)
    if array.dtype.kind in NUMBERS:
        return array
    others = [repr(str(name)) for name, kind in _columns(values) if not _is_number(kind)]
    if others:
        raise EdgeModelError(f"{what} must be numbers, column {', '.join(others[:5])} is not: leave it out")
    cure = ": convert them with .astype('float32') first" if array.dtype.kind in "OSUT" else ""
    raise EdgeModelError(f"{what} must be numbers, got dtype {array.dtype}{cure}")


def _plain(values: Any) -> Any:
    """Tensors leave their graph, sparse matrices become dense, frames of unlike numbers one array of floats."""
    if hasattr(values, "detach"):
        values = values.detach()
        return values.float() if str(values.dtype) == "torch.bfloat16" else values
    if hasattr(values, "toarray"):
        return values.toarray()
    columns = _columns(values)
    if len({str(kind) for _, kind in columns}) > 1 and all(_is_number(kind) for _, kind in columns):
        return np.asarray(values, np.float64)
    return values


def _columns(values: Any) -> list[tuple[Any, Any]]:
    """Name and type of each column of a frame; none for anything else."""
    if not hasattr(values, "columns") or not hasattr(values, "dtypes"):
        return []
    return list(zip(values.columns, values.dtypes, strict=True))


def _is_number(kind: Any) -> bool:
    if hasattr(kind, "kind"):
        return kind.kind in NUMBERS
    return bool(kind.is_numeric()) or str(kind) == "Boolean"
