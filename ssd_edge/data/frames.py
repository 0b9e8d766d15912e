"""Tables of typed columns: ``.parquet`` files, and data frames of pandas, polars or pyarrow."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssd_edge.data.columns import Column, assign, called, counts
from ssd_edge.data.cuts import Cut
from ssd_edge.data.dataset import Dataset
from ssd_edge.data.labels import named, number_labels
from ssd_edge.data.limits import check_memory
from ssd_edge.data.reading import Reading
from ssd_edge.data.windows import cut
from ssd_edge_runtime.arrays import Float32
from ssd_edge_runtime.errors import DataError, DataWarning, first_line
from ssd_edge_runtime.serving.foreign import NUMBERS

SEEN = 1000
"""Rows that decide what the columns are."""
Columns = Mapping[str, NDArray[Any]]


def is_frame(data: object) -> bool:
    """Whether ``data`` is a data frame."""
    return hasattr(data, "columns") and hasattr(data, "__getitem__")


def from_frame(frame: Any, reading: Reading = Reading(), width: int | None = None) -> Dataset:
    """The labelled samples of a data frame, one a row, its columns as those of a table in text."""
    return _labelled(columns_of(frame), "data frame", reading, width)


def load_parquet(path: Path, reading: Reading = Reading(), width: int | None = None) -> Dataset:
    """The labelled samples of a ``.parquet`` file, one a row."""
    return _labelled(read_parquet(path), str(path), reading, width)


def _labelled(found: Columns, source: str, reading: Reading, width: int | None) -> Dataset:
    x, y, cut = read_columns(found, source, reading, width)
    assert y is not None
    return Dataset(x, *number_labels(y), source, cut)


def columns_of(frame: Any) -> dict[str, NDArray[Any]]:
    """The columns of a frame by name, as arrays."""
    names = getattr(frame, "column_names", None) or list(frame.columns)
    return {str(name): np.asarray(frame[name]) for name in names}


def read_parquet(path: Path) -> dict[str, NDArray[Any]]:
    """The columns of a file by name. Raises DataError, also where pyarrow is not installed."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise DataError(f"{path}: reading parquet needs pyarrow: pip install pyarrow") from error
    try:
        with parquet.ParquetFile(path) as file:
            check_memory(file.metadata.num_rows * file.metadata.num_columns * 16, str(path))
            return columns_of(file.read())
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"{path}: not a parquet file that can be read ({first_line(error)})") from error


def read_columns(
    found: Columns, source: str, reading: Reading = Reading(), width: int | None = None, *, labelled: bool = True
) -> tuple[Float32, list[str] | None, Cut | None]:
    """Measurements float32 (N, columns) or (N, channels, length), and class names (N,) where a column has them.

    Third, how windows were cut. Arguments as :func:`~ssd_edge.data.tables.read_table` has them. Raises DataError,
    naming the row.
    """
    columns, values = [_column(name, array) for name, array in found.items()], list(found.values())
    rows = len(values[0]) if values else 0
    DataError.unless(rows > 0, f"{source}: no samples in it")
    roles = assign(
        columns,
        source,
        labelled=labelled,
        label_column=reading.label_column,
        width=width,
        windows=reading.windows,
    )
    for note in roles.notes:
        warnings.warn(note, DataWarning, stacklevel=3)
    x = np.empty((rows, len(roles.features)), np.float32)
    for place, at in enumerate(roles.features):
        with np.errstate(over="ignore"):
            x[:, place] = values[at]
        bad = ~np.isfinite(x[:, place])
        DataError.unless(
            not bad.any(), f"{source}: row {int(bad.argmax()) + 1}, {called(columns, at)} holds NaN or infinity"
        )
    names = None
    if roles.label is not None:
        names = named(values[roles.label].tolist(), lambda at: f"{source}: row {at + 1}")
    if reading.windows is None:
        return x, names, None
    group = None if roles.group is None else values[roles.group]
    x, found_cut = cut(x, reading.windows, source, None if names is None else np.array(names), group)
    labels = None if names is None else [names[row] for row in found_cut.rows]
    return x, labels, found_cut.named([str(columns[at].name) for at in roles.features])


def _column(name: str, values: NDArray[Any]) -> Column:
    """What the first rows show of a column."""
    values = values[:SEEN]
    if values.dtype.kind in "Mm":
        return Column("time", name)
    if values.dtype.kind not in NUMBERS:
        given = {str(value) for value in values.tolist() if value is not None and value == value}
        return Column("text" if given else "empty", name, constant=len(given) == 1)
    numbers = values[np.isfinite(values)].astype(np.float64)
    if not numbers.size:
        return Column("empty", name)
    whole, constant = bool((numbers % 1 == 0).all()), bool((numbers == numbers[0]).all())
    return Column("number", name, whole, len(numbers) == len(values) and counts(numbers.tolist()), constant)
