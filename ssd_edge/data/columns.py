"""Which columns of a table are measurements, which one is the label, and which are left out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from ssd_edge_runtime.errors import DataError
from ssd_edge_runtime.input_facts import Windows

LABEL_COLUMNS = ("label", "class", "target", "activity", "y")
"""Names of a label column, in any capitals; where a table has several, the first of these."""
AXES = {"x", "z"}
"""Beside these, y is an axis."""
TIME = re.compile(r"(timestamp|date ?time|time|date|t)([ _]?[\[(]?(s|ms|us|µs|ns|sec|seconds|utc)[\])]?)?")
INDEX = re.compile(r"|unnamed: ?\d+|__index_level_\d+__")
"""Names that pandas gives its index."""
COUNTED = 4
"""Rows from which on numbers that go up by one are a count, not a measurement."""
SHOWN = 5
"""Columns that a note names."""

Kind = Literal["number", "text", "time", "empty"]


@dataclass(frozen=True)
class Column:
    """What is known of a column before it is read."""

    kind: Kind
    name: str | None = None
    """None in a table without names."""
    whole: bool = False
    """Numbers without fractions."""
    counting: bool = False
    """Numbers that go up by one from row to row."""
    constant: bool = False
    """The same in every row."""

    @property
    def lower(self) -> str | None:
        """Its name as it is compared."""
        return None if self.name is None else self.name.strip().lower()

    def is_called(self, pattern: re.Pattern[str]) -> bool:
        """Whether it has a name, and all of that fits ``pattern``."""
        return self.lower is not None and pattern.fullmatch(self.lower) is not None


@dataclass(frozen=True)
class Roles:
    """What becomes of the columns, by number from 0."""

    label: int | None
    features: list[int]
    notes: list[str]
    """What a person should be told."""
    group: int | None = None
    """Of windows."""


def assign(
    columns: Sequence[Column],
    source: str,
    *,
    labelled: bool,
    label_column: str | None = None,
    width: int | None = None,
    windows: Windows | None = None,
) -> Roles:
    """Decide; ``width``: how many measurements a model takes, where one is at hand.

    Of ``windows`` the channels are the features, by their names; in a table without names, by their order. Their
    group may be missing where labels may.

    Without a ``label_column``, by name or number from 1, it is one called so, else, where there must be one
    (``labelled``), the column of text or of whole numbers that is last. Raises DataError where that leaves doubt.
    """
    notes: list[str] = []
    channels, group = _of_windows(columns, source, windows, labelled=labelled)
    others = [Column("empty") if i == group or i in channels else column for i, column in enumerate(columns)]
    label = _named_label(others) if label_column is None else find(columns, label_column, source)
    if label is None and labelled:
        label = _guessed_label(others, source)
        if columns[label].name is not None or label != len(columns) - 1:
            notes.append(f"{source}: taking {called(columns, label)} as the labels")
    if channels:
        if label in channels:
            raise DataError(f"{source}: {called(columns, label)} is a channel and cannot be the label")
        return Roles(label, channels, notes, group)
    if windows is not None:
        width = len(windows.channels) or (None if width is None else width // windows.length)
    aside = (label, group)
    numbers = [i for i, column in enumerate(columns) if i not in aside and _left_out(column, first=i == 0) is None]
    features = [i for i in numbers if not columns[i].counting]
    features = numbers if len(numbers) == width or not features else features
    if not features:
        raise DataError(f"{source}: no column of measurements in it; numbers are told apart by , ; or tab")
    if windows is not None and windows.channels and len(features) != width:
        raise DataError(
            f"{source}: has no names of columns, and {len(features)} of measurements for the {width} channels "
            f"{', '.join(windows.channels)}"
        )
    out = [i for i in range(len(columns)) if i not in aside and i not in features]
    if out:
        why = [f"{called(columns, i)} ({_left_out(columns[i], first=i == 0) or 'counts up'})" for i in out]
        more = f" and {len(out) - SHOWN} more" if len(out) > SHOWN else ""
        notes.append(f"{source}: left out, as no measurement: {', '.join(why[:SHOWN])}{more}")
    return Roles(label, features, notes, group)


def counts(numbers: Sequence[float]) -> bool:
    """Whether each number is one more than the one before, and they are too many for chance."""
    return len(numbers) >= COUNTED and all(b - a == 1 for a, b in pairwise(numbers))


def find(columns: Sequence[Column], name: str, source: str) -> int:
    """The number of the column called ``name``, capitals aside, or that stands at that place, counted from 1."""
    names = [column.lower for column in columns]
    if name.strip().lower() in names:
        return names.index(name.strip().lower())
    if name.isdecimal() and 1 <= int(name) <= len(columns):
        return int(name) - 1
    there = [str(column.name) for column in columns[:20]] if names[0] is not None else [f"1 to {len(columns)}"]
    raise DataError(f"{source}: no column {name!r}; there are {', '.join(there)}")


def called(columns: Sequence[Column], at: int) -> str:
    """How a message names a column."""
    name = columns[at].name
    return f"column {name!r}" if name else f"column {at + 1}"


def _of_windows(
    columns: Sequence[Column], source: str, windows: Windows | None, *, labelled: bool
) -> tuple[list[int], int | None]:
    """Channels, none where their names decide nothing, and the group."""
    if windows is None:
        return [], None
    by_name = any(column.name is not None for column in columns) or all(map(str.isdecimal, windows.channels))
    channels = [find(columns, name, source) for name in windows.channels] if by_name else []
    if windows.group is None:
        return channels, None
    try:
        group = find(columns, windows.group, source)
    except DataError:
        if labelled:
            raise
        return channels, None
    if group in channels:
        raise DataError(f"{source}: {called(columns, group)} is a channel and cannot be the group")
    return channels, group


def _named_label(columns: Sequence[Column]) -> int | None:
    names = [column.lower for column in columns]
    wanted = LABEL_COLUMNS[:-1] if set(names) >= AXES else LABEL_COLUMNS
    return next((names.index(name) for name in wanted if name in names), None)


def _guessed_label(columns: Sequence[Column], source: str) -> int:
    given = [i for i, column in enumerate(columns) if column.kind in ("text", "number")]
    candidates = [i for i in given if not _is_time(columns[i])]
    if not candidates:
        raise DataError(f"{source}: no column of labels in it")
    first, last = candidates[0], candidates[-1]
    text = [i for i in candidates if columns[i].kind == "text"]
    varying = [i for i in text if not columns[i].constant]
    if last in text or len(varying) == 1:
        return last if last in text else varying[0]
    if varying:
        raise DataError(f"{source}: several columns could be the label: name it with --label-column")
    for at in (last, *text[:1], first):
        if columns[at].kind == "text" or (columns[at].whole and not columns[at].counting):
            return at
    why = "counts up" if columns[last].counting else "holds fractions"
    raise DataError(f"{source}: {called(columns, last)} {why}, and names no class: say which does, --label-column")


def _is_time(column: Column) -> bool:
    return column.kind == "time" or column.is_called(TIME)


def _left_out(column: Column, *, first: bool) -> str | None:
    """Why a column is never a measurement; None where it may be one."""
    if _is_time(column):
        return "time"
    if column.kind == "text":
        return "the same text everywhere" if column.constant else "text"
    if column.kind == "empty":
        return "empty"
    return "an index" if column.is_called(INDEX) and (first or column.name) else None
