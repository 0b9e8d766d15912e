"""What a class may be called: one rule at every door, and nothing passes it that a file could not hold."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ssd_edge_runtime.errors import EdgeModelError

MAX_NAME = 1000
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
MISSING = frozenset({"nan", "NaN", "NAN", "NaT", "<NA>", "None"})
"""How NumPy and pandas write a label that is not there."""
LONGEST_INTEGER = int(MAX_NAME * math.log2(10))
"""Bits; writing a longer one out takes quadratic time."""


def check_name(name: str) -> None:
    """Raise EdgeModelError unless a file can hold a class of this name."""
    EdgeModelError.unless(
        0 < len(name) <= MAX_NAME, f"a class name has 1 to {MAX_NAME} characters, got {len(name)}"
    )
    EdgeModelError.unless(
        CONTROL.search(name) is None, f"class name {name[:80]!r} holds a line break or control character"
    )


def check_names(names: Sequence[str]) -> None:
    """:func:`check_name` of each, quick where all are good. Raises EdgeModelError for the first that is not."""
    lengths = [*map(len, names)]
    if 0 in lengths or max(lengths, default=0) > MAX_NAME or CONTROL.search("".join(names)):
        for name in names:
            check_name(name)


def canonical(name: str) -> str:
    """``name`` without white space at its ends, its accents composed (Unicode's NFC)."""
    name = name.strip()
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def class_name(label: Any) -> str:
    """The name of the class that one label stands for: text as :func:`canonical` writes it, or a whole number.

    Raises EdgeModelError for anything else, for a label that is missing (None, NaN), and for text that no file
    holds.

    >>> class_name("  cafe\\u0301"), class_name(3), class_name(3.0)
    ('café', '3', '3')
    """
    if isinstance(label, bytes):
        label = _decoded(label)
    if isinstance(label, str):
        name = canonical(label)
        EdgeModelError.unless(name != "", "a class name must not be empty")
        EdgeModelError.unless(name not in MISSING, f"{name!r} stands for a label that is missing, not for a class")
        _require_utf8(name)
        check_name(name)
        return name
    return str(_whole(label))


def _decoded(label: bytes) -> str:
    try:
        return label.decode()
    except UnicodeDecodeError as error:
        raise EdgeModelError(f"a class name must be text in UTF-8: {error}") from error


def _require_utf8(name: str) -> None:
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise EdgeModelError(f"a class name must be text that UTF-8 can hold: {error}") from error


def _whole(label: Any) -> int:
    """A number that counts, without a fraction, as Python's own."""
    if isinstance(label, (float, np.floating)):
        EdgeModelError.unless(not math.isnan(label), "a label is missing: NaN is no class name")
        EdgeModelError.unless(
            math.isfinite(label) and label == int(label),
            f"labels must be strings or integers: {label} is no whole number",
        )
    elif isinstance(label, (bool, np.bool_)) or not isinstance(label, (int, np.integer)):
        kind = "None" if label is None else type(label).__name__
        raise EdgeModelError(f"labels must be strings or integers, got {kind}")
    number = int(label)
    EdgeModelError.unless(
        number.bit_length() <= LONGEST_INTEGER, f"a class name has 1 to {MAX_NAME} characters, this number more"
    )
    return number


def class_names(labels: Iterable[Any]) -> list[str]:
    """:func:`class_name` of each label; labels that are alike are looked at once."""
    seen: dict[tuple[type, Any], str] = {}
    names = []
    for label in labels:
        try:
            key = (type(label), label)
            name = seen.get(key)
        except TypeError:
            raise EdgeModelError(f"labels must be strings or integers, got {type(label).__name__}") from None
        if name is None:
            name = seen[key] = class_name(label)
        names.append(name)
    return names


def spelled_as(names: list[str], known: Sequence[str]) -> list[str]:
    """``names``, those of ``known`` as they stand there: earlier revisions kept names as they came."""
    strange = set(names).difference(known)
    if not strange:
        return names
    old = {canonical(name): name for name in known}
    return [old.get(name, name) if name in strange else name for name in names]
