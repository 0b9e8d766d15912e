"""Labels as files spell them, as class names and indices."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ssd_edge_runtime.arrays import Int64
from ssd_edge_runtime.errors import DataError, EdgeModelError
from ssd_edge_runtime.names import class_name

MISSING = frozenset({"", "na", "n/a", "#n/a", "nan", "nat", "<na>"})
"""What tables write, in any capitals, where a label is missing."""
WHOLE = re.compile(r"[+-]?\d+")
WHOLE_WITH_ZEROS = re.compile(r"([+-]?\d+)[.,]0*")


def label_of(cell: str, number: Callable[[str], float] = float) -> str:
    """The class that a cell of a table names; ``3.0``, as spreadsheets write it, is ``3``.

    ``number`` reads numbers as the table writes them. Raises DataError for a label that is missing, has a fraction
    or names no class.
    """
    text = cell.strip()
    if text.lower() in MISSING:
        raise DataError(f"a label is missing, the cell holds {text!r}" if text else "a label is missing")
    whole = WHOLE_WITH_ZEROS.fullmatch(text)
    try:
        fraction = not whole and number(text) % 1 > 0
    except (ValueError, OverflowError):
        fraction = False
    if fraction:
        raise DataError(f"label {text} has a fraction: labels are text or whole numbers")
    try:
        return class_name(whole[1] if whole else text)
    except EdgeModelError as error:
        raise DataError(str(error)) from error


def named(labels: Sequence[Any], where: Callable[[int], str]) -> list[str]:
    """The class that each label names: text as :func:`label_of` reads it, numbers that are whole.

    Raises DataError that begins with ``where(i)`` for the first that names none.
    """
    seen: dict[tuple[type, Any], str] = {}
    names = []
    for at, label in enumerate(labels):
        name = seen.get((type(label), label))
        if name is None:
            try:
                name = label_of(label) if isinstance(label, str) else class_name(label)
            except (DataError, EdgeModelError) as error:
                raise DataError(f"{where(at)}: {error}") from error
            seen[type(label), label] = name
        names.append(name)
    return names


def number_labels(names: list[str]) -> tuple[Int64, tuple[str, ...]]:
    """Indices and class names; names sort as numbers where all are whole numbers, else as text."""
    unique = sort_names(set(names))
    number = {name: i for i, name in enumerate(unique)}
    return np.array([number[name] for name in names], np.int64), unique


def sort_names(names: set[str]) -> tuple[str, ...]:
    """In the order of the numbers that they are, or of the alphabet."""
    whole = all(WHOLE.fullmatch(name) for name in names)
    return tuple(sorted(names, key=lambda name: (int(name), name) if whole else (0, name)))


class LabelIndex:
    """Numbers labels as they come, and checks each spelling once."""

    def __init__(self, number: Callable[[str], float] = float) -> None:
        self._number = number
        self._spelled: dict[str, int] = {}
        self._classes: dict[str, int] = {}

    def add(self, cell: str) -> int:
        """The number of the class that ``cell`` names. Raises DataError as :func:`label_of` does."""
        found = self._spelled.get(cell)
        if found is None:
            name = label_of(cell, self._number)
            found = self._spelled[cell] = self._classes.setdefault(name, len(self._classes))
        return found

    def sorted(self, numbers: np.ndarray[tuple[int], np.dtype[np.int32]]) -> tuple[Int64, tuple[str, ...]]:
        """The same labels as indices into sorted class names, and these."""
        names = sort_names(set(self._classes))
        place = {name: i for i, name in enumerate(names)}
        return np.array([place[name] for name in self._classes], np.int64)[numbers], names
