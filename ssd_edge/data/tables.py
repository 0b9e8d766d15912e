"""Tables of text: one sample a row, some columns measurements, one the label."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ssd_edge.data.columns import Column, Roles, assign, called, counts
from ssd_edge.data.cuts import Cut
from ssd_edge.data.dataset import Dataset
from ssd_edge.data.dialect import COMMA, Dialect, read_rows, sniff
from ssd_edge.data.header import has_header
from ssd_edge.data.labels import MISSING, LabelIndex
from ssd_edge.data.reading import Reading
from ssd_edge.data.windows import cut
from ssd_edge_runtime.arrays import Float32, Int64
from ssd_edge_runtime.errors import DataError, DataWarning

TABLES = (".csv", ".tsv")
"""How files that hold tables end."""
FEWEST_SEEN, SEEN, SEEN_CELLS = 20, 1000, 50_000
"""Rows, and cells, that decide what the columns are."""
CHECKED = 1 << 16
"""Values between two looks for NaN and infinity."""

Rows = Iterator[tuple[int, list[str]]]


def load_csv(path: Path, reading: Reading = Reading(), width: int | None = None) -> Dataset:
    """A table with labels, as :func:`read_table` reads it."""
    table = read_table(path, reading, width)
    return Dataset(table.x, *table.labels(), cut=table.cut)


@dataclass(frozen=True, eq=False)
class Table:
    """The measurements of a table and, maybe, its labels."""

    x: Float32
    """(N, columns), or windows (N, channels, length)."""
    numbers: NDArray[np.int32]
    """(N,), of the labels in the order in which they were met; zeros where there are none."""
    index: LabelIndex
    cut: Cut | None = None

    def labels(self) -> tuple[Int64, tuple[str, ...]]:
        """Indices into sorted class names, and these."""
        return self.index.sorted(self.numbers)


def read_table(
    path: Path, reading: Reading = Reading(), width: int | None = None, *, labelled: bool = True
) -> Table:
    """One sample a row; separators, decimal marks and the header are found out.

    The label column is the one that ``reading`` names, or one called as a label is
    (:data:`~ssd_edge.data.columns.LABEL_COLUMNS`), or the last; with ``labelled=False`` there need be none.
    ``width``: how many measurements a model takes. Columns that carry none are left out, and DataWarning says so.
    Raises DataError, naming the line.
    """
    plan = _planned(path, reading, width, labelled=labelled)
    for note in plan.roles.notes:
        warnings.warn(note, DataWarning, stacklevel=2)
    rows = read_rows(path, plan.dialect)
    if plan.named:
        next(rows)
    reader = _Reader(path, plan)
    table = reader.read(rows)
    if reading.windows is None:
        return table
    x, found = cut(table.x, reading.windows, str(path), table.numbers, reader.groups)
    names = [str(plan.columns[at].name) for at in plan.roles.features] if plan.named else []
    return Table(x, table.numbers[found.rows], table.index, found.named(names))


@dataclass(frozen=True)
class _Plan:
    """How a table is read."""

    dialect: Dialect
    columns: list[Column]
    roles: Roles
    named: bool
    """Whether the first line holds the names of columns."""


def _planned(path: Path, reading: Reading, width: int | None, *, labelled: bool) -> _Plan:
    dialect = sniff(path)
    head = _head(path, dialect)
    names, notes = _names(path, head, dialect) if head else (None, [])
    head = head[1:] if names is not None else head
    DataError.unless(bool(head), f"{path}: no samples in it")
    columns = describe(head, names, dialect)
    roles = assign(
        columns,
        str(path),
        labelled=labelled,
        label_column=reading.label_column,
        width=width,
        windows=reading.windows,
    )
    return _Plan(dialect, columns, replace(roles, notes=notes + roles.notes), names is not None)


def _head(path: Path, dialect: Dialect) -> list[list[str]]:
    """The rows that decide; fewer where they are long."""
    rows = (row for _, row in read_rows(path, dialect))
    head = list(islice(rows, FEWEST_SEEN))
    return head + list(islice(rows, min(SEEN, SEEN_CELLS // len(head[0])))) if head else head


def _names(path: Path, rows: Sequence[list[str]], dialect: Dialect) -> tuple[list[str] | None, list[str]]:
    """Names of the columns, None where there are none, and what to tell of them."""
    header, guessed = has_header(rows, lambda cell: is_number(cell, dialect))
    if not header:
        return None, []
    names = [cell.strip() for cell in rows[0]]
    names[0] = names[0].removeprefix("#").strip()
    if rows[1:] and all(len(row) == len(names) + 1 and row[-1].strip() for row in rows[1:]):
        names = ["", *names]  # R names its rows in a column without a name.
    shown = f"{path}: taking the first line ({', '.join(names[:3])}, ...) as the names of columns"
    return names, [shown] if guessed else []


def describe(rows: Sequence[Sequence[str]], names: list[str] | None, dialect: Dialect) -> list[Column]:
    """What the first rows show of each column."""
    width = len(names if names is not None else rows[0])
    cells = [[row[at].strip() for row in rows if at < len(row)] for at in range(width)]
    return [_column(each, None if names is None else names[at], dialect) for at, each in enumerate(cells)]


def _column(cells: list[str], name: str | None, dialect: Dialect) -> Column:
    given = [cell for cell in cells if cell.lower() not in MISSING]
    numbers = [dialect.number(cell) for cell in given if is_number(cell, dialect)]
    if not given:
        return Column("empty" if not any(cells) else "number", name)
    if len(numbers) < len(given) / 2:
        return Column("text", name, constant=len(set(cells)) == 1)
    whole = all(number % 1 == 0 for number in numbers)
    counting = len(numbers) == len(cells) and counts(numbers)
    return Column("number", name, whole=whole, counting=counting, constant=len(set(numbers)) == 1)


def is_number(cell: str, dialect: Dialect) -> bool:
    """Whether a cell holds one, NaN included."""
    try:
        dialect.number(cell)
    except ValueError:
        return False
    return True


class _Reader:
    """Rows of text into rows of numbers, without keeping the text."""

    def __init__(self, path: Path, plan: _Plan) -> None:
        self._path, self._dialect = path, plan.dialect
        self._columns, self._roles = plan.columns, plan.roles
        self._labels = LabelIndex(plan.dialect.number)
        self.groups = np.empty(0, np.int32)
        """(N,), the group of each row, by number."""

    def read(self, rows: Rows) -> Table:
        """All of them. Raises DataError for the first that cannot be used."""
        features, label, group = self._roles.features, self._roles.label, self._roles.group
        most = most_rows(self._path, len(self._columns))
        x, y = np.empty((most, len(features)), np.float32), np.zeros(most, np.int32)
        groups, known = np.zeros(most, np.int32), dict[str, int]()
        lines: list[int] = []
        count = 0
        with np.errstate(over="ignore"):
            for line, row in rows:
                self._check_width(line, row)
                x[count] = self._numbers(line, [row[at] for at in features], x[:count])
                if label is not None:
                    y[count] = self._label(line, row[label])
                if group is not None:
                    groups[count] = known.setdefault(row[group].strip(), len(known))
                count += 1
                lines.append(line)
                if len(lines) * len(features) >= CHECKED:
                    self._check_finite(x[count - len(lines) : count], lines)
                    lines.clear()
        self._check_finite(x[count - len(lines) : count], lines)
        self.groups = groups[:count]
        return Table(x[:count], y[:count], self._labels)

    def _check_width(self, line: int, row: Sequence[str]) -> None:
        width = len(self._columns)
        if len(row) != width and (len(row) != width + 1 or row[-1]):
            raise DataError(f"{self._path}: line {line} has {len(row)} columns, expected {width}")

    def _numbers(self, line: int, cells: Sequence[str], before: Float32) -> list[float]:
        try:
            return [*map(float if self._dialect.decimal != "," else self._dialect.number, cells)]
        except ValueError:
            at = next(i for i, cell in enumerate(cells) if not is_number(cell, self._dialect))
        undecided = self._dialect.decimal is None and self._dialect.separator != ","
        if undecided and COMMA.fullmatch(cells[at]) and not (before % 1).any():
            self._dialect = replace(self._dialect, decimal=",")
            return self._numbers(line, cells, before)
        where = called(self._columns, self._roles.features[at])
        raise DataError(f"{self._path}: line {line}, {where}: {cells[at][:80]!r} is no number")

    def _label(self, line: int, cell: str) -> int:
        try:
            return self._labels.add(cell)
        except DataError as error:
            raise DataError(f"{self._path}: line {line}: {error}") from error

    def _check_finite(self, x: Float32, lines: Sequence[int]) -> None:
        good = np.isfinite(x).all(axis=1)
        if not good.all():
            raise DataError(f"{self._path}: line {lines[int(good.argmin())]} holds NaN or infinity")


def most_rows(path: Path, columns: int) -> int:
    """No fewer than the rows of ``columns`` cells in a file: each ends a line and has a mark after each cell."""
    size, ends = 0, 1
    with path.open("rb") as stream:
        while piece := stream.read(1 << 20):
            size += len(piece)
            ends += piece.count(b"\n") + piece.count(b"\r")
    return min(ends, size // columns + 1)
