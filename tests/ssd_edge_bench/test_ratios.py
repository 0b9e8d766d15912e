"""Compressed rows against dense rivals, on a small model."""

from __future__ import annotations

import pytest

from ssd_edge_bench import ratios
from ssd_edge_bench.reference_models import Case


def test_ratios_compare_the_same_function() -> None:
    pytest.importorskip("torch")
    pytest.importorskip("onnxruntime")
    case = Case(40, 60, 0.2, 5, k=4)
    found = ratios.measure(case, seconds=0.01)
    assert [(r.operation, r.batch) for r in found] == [
        ("predict", 1),
        ("predict", 32),
        ("learn", 1),
        ("learn", 32),
    ]
    assert all(r.ratio == pytest.approx(r.theirs_us / r.ours_us) and len(r.raw_us[0]) >= 5 for r in found)
    assert len(ratios.table(found).splitlines()) == 5
