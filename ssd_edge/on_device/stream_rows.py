"""Rows of a logger on a stream: lists of numbers, or objects with names, as the windows that a model takes."""

from __future__ import annotations

from typing import Any

from ssd_edge.data.windows import cut
from ssd_edge_runtime.arrays import Float32
from ssd_edge_runtime.errors import DataError
from ssd_edge_runtime.input_facts import Windows


def by_name(rows: Any, windows: Windows | None, source: str) -> Any:
    """``[{"ax": 0.1, "ay": 0.2}, ...]`` as lists in the order of the channels; anything else as it is.

    Raises DataError for a row without a channel, and where the model's file names none.
    """
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        return rows
    names = () if windows is None else windows.channels
    DataError.unless(bool(names), f"{source}: rows have names, and the model's file has no names of channels")
    return [_values(row, names, f"{source}, row {number}") for number, row in enumerate(rows, 1)]


def as_windows(x: Float32, shape: tuple[int, ...], windows: Windows | None, source: str) -> Float32 | None:
    """Rows (N, channels) as samples (M, *shape), None where ``x`` is no such rows.

    Raises DataError for fewer rows than a window has.
    """
    if windows is None or x.ndim != 2 or x.shape == shape or x.shape[1] != shape[0]:
        return None
    DataError.unless(len(x) >= windows.length, f"{source}: {len(x)} rows, a window takes {windows.length}")
    return cut(x, windows, source)[0]


def _values(row: dict[str, Any], names: tuple[str, ...], source: str) -> list[Any]:
    """Of the channels; other columns, such as a time, are no concern of the model."""
    found = {name.strip().lower(): value for name, value in row.items()}
    missing = [name for name in names if name.strip().lower() not in found]
    if missing:
        raise DataError(f"{source} has no {missing[0]!r}; it has {', '.join(list(row)[:20]) or 'nothing'}")
    return [found[name.strip().lower()] for name in names]
