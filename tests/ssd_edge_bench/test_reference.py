"""The reference run, on a miniature of its models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ssd_edge_bench.engines import ENGINES
from ssd_edge_bench.measurement.intervals import ratio
from ssd_edge_bench.measurement.options import BenchOptions
from ssd_edge_bench.measurement.results import find_row
from ssd_edge_bench.reference import RIVALS, file_name, measure_case, ratio_rows
from ssd_edge_bench.reference_models import CASES, Case

DOCS = Path(__file__).parents[2] / "docs"

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


@pytest.mark.parametrize("case", CASES, ids=file_name)
def test_the_published_table_is_what_the_published_values_give(case: Case) -> None:
    document = json.loads((DOCS / "lab" / "results" / f"bench-{file_name(case)}.json").read_text())
    assert [line["engine"] for line in document["engines"]] == list(ENGINES)
    text = (DOCS / "lab" / "device-speed.md").read_text()
    rows = ratio_rows(case, document)
    assert len(rows) == 4
    for row in rows:
        assert row in text


def test_the_readme_gives_the_published_ratios() -> None:
    text = (DOCS.parent / "README.md").read_text()
    small, middle = (
        json.loads((DOCS / "lab" / "results" / f"bench-{file_name(case)}.json").read_text()) for case in CASES[:2]
    )

    def faster(document: dict[str, Any], operation: str) -> float:
        ours, theirs = find_row(document, operation, 1, "csr"), find_row(document, operation, 1, RIVALS[operation])
        assert ours is not None
        assert theirs is not None
        return ratio(theirs["values_us"], ours["values_us"]).value

    text = " ".join(text.split())
    small_predict, middle_predict = (faster(model, "predict") for model in (small, middle))
    small_learn, middle_learn = (faster(model, "learn") for model in (small, middle))
    assert f"{middle_predict:.1f} times faster with 3072 inputs and 4000 neurons" in text
    assert f"4000 neurons, {small_predict:.1f} times with 784 and 1000 |" in text
    assert f"{small_learn:.1f} times faster with 784 inputs and 1000 neurons" in text
    assert f"1000 neurons, {middle_learn:.0f} times with 3072 and 4000 |" in text
