"""Models of every form that a file stores, and whether two are the same."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np

VALUES = ("float32", "float16", "int8")
CASES: dict[str, dict[str, Any]] = {
    "gaps": {},
    "csr": {"hidden": (5,), "input_shape": (4000,), "density": 0.0005, "k": 2},
    "dense": {"density": 1.0},
    "partly dense": {"density": 0.9},
    "two layers": {"hidden": (25, 12), "density": 0.3},
    "image": {"input_shape": (3, 4, 5)},
    "no center": {"center": False},
    "analytic": {"readout": "analytic"},
    "teacher": {"hidden": (25, 12), "density": 0.3, "teacher": True},
    "switch": {"hidden": (25, 12), "density": 0.3, "teacher": True, "switch": 12.5},
    "wide": {"hidden": (4,), "input_shape": (70001,), "density": 0.0002, "k": 1, "center": False},
    "no entries": {"density": 0.0},
    "cosine": {"activation": "cosine", "teacher": True},
    "cosine, csr": {"activation": "cosine", "hidden": (5,), "input_shape": (4000,), "density": 0.0005, "k": 2},
    "cosine, dense": {"activation": "cosine", "density": 1.0},
    "cosine, partly dense": {"activation": "cosine", "density": 0.9, "hidden": (25, 12)},
    "normalized first": {"normalized_first": True},
    "sketch": {"normalized_first": True, "sketch": 7, "density": 0.5},
    "sketch of as many sums": {"sketch": 30, "center": False, "hidden": (20, 12)},
}
"""Arguments of ``make_state``."""


def assert_same(a: Any, b: Any, where: str = "state") -> None:
    """Equal field by field, arrays bit by bit and of the same type."""
    if isinstance(a, np.ndarray):
        assert a.dtype == b.dtype, where
        np.testing.assert_array_equal(a, b, err_msg=where)
    elif hasattr(a, "__dataclass_fields__"):
        for each in fields(a):
            assert_same(getattr(a, each.name), getattr(b, each.name), f"{where}.{each.name}")
    elif isinstance(a, list) and a and not isinstance(a[0], str | int):
        for at, (left, right) in enumerate(zip(a, b, strict=True)):
            assert_same(left, right, f"{where}[{at}]")
    else:
        assert a == b, where
