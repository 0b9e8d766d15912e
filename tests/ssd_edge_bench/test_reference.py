"""The reference run, on a miniature of its models."""

from __future__ import annotations

import json
from pathlib import Path

from ssd_edge_bench.options import BenchOptions
from ssd_edge_bench.ratios import CASES, Case
from ssd_edge_bench.reference import measure_case, ratio_rows

SMALL = Case(20, 30, 0.2, 3, (0.0001, 1e9), (1.0, 1.0), k=4)


def test_a_case_leaves_json_and_page_and_rows(tmp_path: Path) -> None:
    options = BenchOptions(
        engines=("csr", "onnxruntime-dense"), operations=("predict",), processes=2, seconds=0.01
    )
    document = measure_case(SMALL, options, tmp_path)
    assert json.loads((tmp_path / "bench-20-30.json").read_text())["results"] == document["results"]
    assert "<svg" in (tmp_path / "bench-20-30.html").read_text()
    rows = ratio_rows(SMALL, document)
    assert [row.count("onnxruntime-dense") for row in rows] == [1, 1]
    assert rows[0].endswith("| 0.0001 | reached |")
    assert rows[1].endswith("| 1e+09 | no |")


def test_cases_are_the_models_of_the_table() -> None:
    assert [(case.inputs, case.hidden, case.density) for case in CASES] == [
        (784, 1000, 0.05),
        (3072, 4000, 0.05),
        (3072, 10000, 0.02),
    ]
