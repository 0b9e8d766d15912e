"""How a text file separates its cells and writes its numbers, found from its first lines."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from ssd_edge.data.limits import bounded_lines
from ssd_edge_runtime.errors import DataError

SEPARATORS = "\t;,"
"""Where two fit alike the first is taken: commas may be decimal marks, or stand in text."""
LOOKED_AT = 100
"""Lines that decide."""
UTF16 = (b"\xff\xfe", b"\xfe\xff")
NUMBER = r"\s*[+-]?\d*{}\d+([eE][+-]?\d+)?\s*"
COMMA, POINT = re.compile(NUMBER.format(",")), re.compile(NUMBER.format(r"\."))


@dataclass(frozen=True)
class Dialect:
    """What it takes to read a table."""

    separator: str
    decimal: str | None = None
    """``.`` or ``,``; None where no number has one."""
    encoding: str = "utf-8-sig"
    before: int = 0
    """Lines before the table: ``sep=;``, as spreadsheets have it, or remarks that begin with ``#``."""

    def number(self, cell: str) -> float:
        """The number in a cell. Raises ValueError where there is none."""
        return float(cell.replace(",", ".") if self.decimal == "," else cell)


def sniff(path: Path) -> Dialect:
    """The dialect of a table. Raises DataError for what is no text in Unicode."""
    with path.open("rb") as stream:
        encoding = "utf-16" if stream.read(2) in UTF16 else "utf-8-sig"
    with _table(path, encoding) as found:
        lines = list(islice(found, LOOKED_AT))
        told = re.fullmatch(r'"?sep=(.)"?\s*', lines[0], re.IGNORECASE) if lines else None
        before = 1 if told else _remarks(lines)
        lines = lines[before:]
        separator = told[1] if told else max(SEPARATORS, key=lambda mark: _fit(lines, mark))
        cells = [cell for row in csv.reader(lines, delimiter=separator) for cell in row]
    decimal = "." if any(map(POINT.fullmatch, cells)) else "," if any(map(COMMA.fullmatch, cells)) else None
    return Dialect(separator, decimal, encoding, before)


def _remarks(lines: list[str]) -> int:
    """How many lines at the top begin with ``#``; one that has as many cells as the next names the columns."""
    marked = next((at for at, line in enumerate(lines) if not line.startswith("#")), 0)
    if marked == 0:
        return 0
    marks = [lines[marked - 1].count(mark) for mark in SEPARATORS]
    return marked - any(marks) * (marks == [lines[marked].count(mark) for mark in SEPARATORS])


def _fit(lines: list[str], separator: str) -> tuple[float, bool]:
    """How many numbers a line has where it is cut like this, and whether it is cut at all."""
    rows = [row for row in csv.reader(lines, delimiter=separator) if row]
    width, count = Counter(map(len, rows)).most_common(1)[0] if rows else (1, 0)
    if width < 2:
        return 0.0, False
    alike = [row for row in rows if len(row) == width]
    numbers = sum(_is_number(cell) for row in alike for cell in row)
    return numbers / count * count / len(rows), True


def _is_number(cell: str) -> bool:
    try:
        float(cell.replace(",", ".", 1))
    except ValueError:
        return False
    return True


def read_rows(path: Path, dialect: Dialect) -> Iterator[tuple[int, list[str]]]:
    """The cells of each record that is not blank, and the line it ends on, from 1.

    Raises DataError for what is no table in Unicode, and as ``bounded_lines`` does.
    """
    with _table(path, dialect.encoding) as lines:
        for _ in range(dialect.before):
            next(lines)
        rows = csv.reader(lines, delimiter=dialect.separator)
        for row in rows:
            if any(row):
                yield rows.line_num + dialect.before, row


@contextmanager
def _table(path: Path, encoding: str) -> Iterator[Iterator[str]]:
    """The lines of a file, and DataError for what goes wrong with them."""
    try:
        with path.open(newline="", encoding=encoding) as stream:
            yield bounded_lines(stream, path)
    except UnicodeError as error:
        raise DataError(f"{path}: not a CSV file in UTF-8 ({error}): save it in UTF-8") from error
    except csv.Error as error:
        raise DataError(f"{path}: not a CSV file that can be read ({error})") from error
