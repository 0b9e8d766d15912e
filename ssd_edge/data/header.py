"""Whether the first row of a table names its columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

from ssd_edge.data.columns import LABEL_COLUMNS

FEW, MANY = 4, 8
"""Numbers from which on a row that counts, or that only goes up or down, is a row of names."""

Rows = Sequence[Sequence[str]]


def has_header(rows: Rows, is_number: Callable[[str], bool]) -> tuple[bool, bool]:
    """Whether ``rows[0]`` names the columns, and whether that is a guess: its names are numbers.

    It does where it holds no number, or a usual name of a label column that is no label further down; where most
    of what stands above numbers is text; and where its own numbers count (0, 1, 2, ...) or ascend (wavelengths) as
    those below do not.
    """
    first, others = rows[0], rows[1:]
    numeric = [is_number(cell) for cell in first]
    if not any(numeric):
        return True, False
    if any(_names_label(cell, [row[at] for row in others if at < len(row)]) for at, cell in enumerate(first)):
        return True, False
    if not others:
        return False, False
    above = [numeric[at] for at in range(len(first)) if _column_of_numbers(others, at, is_number)]
    if above.count(False) > len(above) / 2:
        return True, False
    guess = _is_sequence(first, others, is_number)
    return guess, guess


def _names_label(cell: str, below: Sequence[str]) -> bool:
    return cell.strip().lower() in LABEL_COLUMNS and cell not in below


def _column_of_numbers(rows: Rows, at: int, is_number: Callable[[str], bool]) -> bool:
    return all(is_number(row[at]) or not row[at].strip() for row in rows if at < len(row))


def _is_sequence(first: Sequence[str], others: Rows, is_number: Callable[[str], bool]) -> bool:
    places = [at for at, cell in enumerate(first) if is_number(cell)]
    own, *below = (_numbers(row, places, is_number) for row in (first, *others))
    if own[:1] in ([0], [1]) and _counts(own) and not any(map(_counts, below)):
        cells = [row[at] for row in others for at in places if at < len(row)]
        return len(own) >= FEW or any(mark in cell for cell in cells for mark in ".,")
    alike = sum(_ascends(row) == _ascends(own) for row in below)
    return len(own) >= MANY and _ascends(own) != 0 and alike <= len(below) / 10


def _numbers(row: Sequence[str], places: Sequence[int], is_number: Callable[[str], bool]) -> list[float]:
    return [float(row[at].replace(",", ".")) for at in places if at < len(row) and is_number(row[at])]


def _counts(values: Sequence[float]) -> bool:
    """Whether they go up by one, three of them or more."""
    return len(values) > 2 and all(b - a == 1 for a, b in pairwise(values))


def _ascends(values: Sequence[float]) -> int:
    """1 where each number is above the one before, -1 where each is below, else 0."""
    steps = {(b > a) - (b < a) for a, b in pairwise(values)}
    return steps.pop() if len(steps) == 1 else 0
