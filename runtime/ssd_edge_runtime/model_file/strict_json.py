"""JSON from a stranger: bounded in size and depth, no duplicate keys, no NaN, every value's type asked for."""

from __future__ import annotations

import json
import re
from math import isfinite
from typing import Any

from ssd_edge_runtime.errors import EdgeModelError
from ssd_edge_runtime.options import MAX_COUNT

MAX_BYTES = 2 << 20
MAX_DEPTH, MAX_BRACKETS, MAX_KEYS = 32, 200_000, 50_000
SQUARE = bytes.maketrans(b"{}", b"[]")
OTHERS = bytes(set(range(256)) - set(b'[]{}:"'))
SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def marks_of(data: bytes) -> bytes:
    """The brackets, all of them square, and colons outside strings; in time linear in bytes."""
    plain = data.replace(b"\\\\", b"").replace(b'\\"', b"").translate(SQUARE, OTHERS)
    # Two quotes side by side begin and end nothing that matters: few strings are left to be taken out one by one.
    return b"".join(plain.replace(b'""', b"").split(b'"')[::2])


def is_deep(brackets: bytes) -> bool:
    """Whether they are nested more than ``MAX_DEPTH`` deep."""
    for _ in range(MAX_DEPTH):
        brackets = brackets.replace(b"[]", b"")
    return b"[]" in brackets or brackets.count(b"[") > MAX_DEPTH


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("a key stands twice")
    return document


def _finite(text: str) -> float:
    value = float(text)
    if not isfinite(value):
        raise ValueError(f"the number {text[:40]} is not finite")
    return value


def loads(data: bytes, what: str) -> Any:
    """Parse JSON.

    :raises EdgeModelError: naming ``what``, for anything too large, too deep, malformed or ambiguous.
    """
    if len(data) > MAX_BYTES:
        raise EdgeModelError(f"{what} has {len(data)} bytes, more than {MAX_BYTES}")
    marks = marks_of(data)
    brackets = marks.replace(b":", b"")
    if is_deep(brackets[:MAX_BRACKETS]):
        raise EdgeModelError(f"{what} is nested more than {MAX_DEPTH} deep")
    if len(brackets) > MAX_BRACKETS:
        raise EdgeModelError(f"{what} holds more than {MAX_BRACKETS // 2} lists and objects")
    if len(marks) - len(brackets) > MAX_KEYS:
        raise EdgeModelError(f"{what} holds more than {MAX_KEYS} keys")
    if SURROGATE.search(data):
        raise EdgeModelError(f"{what} holds half a character (an escaped surrogate)")
    try:
        text = data.decode()
        return json.loads(text, object_pairs_hook=_unique, parse_float=_finite, parse_constant=_finite)
    except (ValueError, RecursionError) as error:
        raise EdgeModelError(f"{what} is not valid JSON: {str(error)[:200]}") from None


def dumps(document: Any, what: str) -> bytes:
    """Canonical JSON: sorted keys, no spaces, UTF-8, no NaN; what :func:`loads` would refuse is refused."""
    try:
        text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        data = text.encode()
    except (ValueError, TypeError, RecursionError) as error:
        raise EdgeModelError(f"{what} cannot be written as JSON: {error}") from None
    loads(data, what)
    return data


def _is_number(value: Any) -> bool:
    return type(value) is float or (type(value) is int and abs(value) <= MAX_COUNT)


class Section:
    """A JSON object whose every key is taken once, with its type, by name; what is left over is refused."""

    def __init__(self, value: Any, name: str) -> None:
        if not isinstance(value, dict):
            raise EdgeModelError(f"{name} must be an object")
        self.name = name
        self.values: dict[str, Any] = dict(value)

    def take(self, key: str) -> Any:
        """The value of ``key``, whatever its type."""
        if key not in self.values:
            raise EdgeModelError(f"{self.name} lacks {key!r}")
        return self.values.pop(key)

    def end(self) -> None:
        """Refuse keys that nobody took."""
        if self.values:
            raise EdgeModelError(f"{self.name} holds {min(self.values)[:80]!r}, which is not understood")

    def _typed(self, key: str, good: bool, wanted: str, value: Any = None) -> None:
        if not good:
            raise EdgeModelError(f"{self.name}.{key} must be {wanted}, got {repr(value)[:80]}")

    def count(self, key: str, low: int = 0, high: int = MAX_COUNT) -> int:
        """An integer in [low, high]."""
        value = self.take(key)
        self._typed(key, type(value) is int and low <= value <= high, f"an integer from {low} to {high}", value)
        return int(value)

    def number(self, key: str) -> float:
        """A finite number."""
        value = self.take(key)
        self._typed(key, _is_number(value), "a number", value)
        return float(value)

    def numbers(self, key: str, most: int) -> list[float]:
        """A list of at most so many finite numbers."""
        values = self.items(key, most=most)
        for value in values:
            self._typed(key, _is_number(value), "numbers", value)
        return [float(value) for value in values]

    def texts(self, key: str) -> list[str]:
        """A list of strings."""
        values = self.items(key)
        for value in values:
            self._typed(key, isinstance(value, str), "strings", value)
        return values

    def flag(self, key: str) -> bool:
        """True or false."""
        value = self.take(key)
        self._typed(key, type(value) is bool, "true or false", value)
        return bool(value)

    def text(self, key: str, *choices: str) -> str:
        """A string, one of ``choices`` where given."""
        value = self.take(key)
        good = isinstance(value, str) and (not choices or value in choices)
        self._typed(key, good, f"one of {', '.join(choices)}" if choices else "a string", value)
        return str(value)

    def items(self, key: str, length: int | None = None, most: int = MAX_BYTES) -> list[Any]:
        """A list, of ``length`` elements where given."""
        value = self.take(key)
        good = isinstance(value, list) and len(value) <= most and length in (None, len(value))
        self._typed(key, good, "a list" if length is None else f"a list of {length}", value)
        return list(value)

    def counts(self, key: str, length: int | None = None, low: int = 0, high: int = MAX_COUNT) -> list[int]:
        """A list of integers in [low, high]."""
        values = self.items(key, length)
        bad = [value for value in values if not (type(value) is int and low <= value <= high)]
        self._typed(key, not bad, f"integers from {low} to {high}", *bad[:1])
        return values
