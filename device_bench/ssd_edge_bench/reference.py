"""The project's reference models, measured with every engine: JSON and page per model, and one table of ratios.

Run it on a quiet machine: ``python -m ssd_edge_bench.reference docs/lab/results``.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from ssd_edge_bench.engines import ENGINES
from ssd_edge_bench.measurement import BenchOptions, measure
from ssd_edge_bench.measurement.intervals import ratio
from ssd_edge_bench.measurement.results import find_row
from ssd_edge_bench.reference_models import CASES, Case, random_state
from ssd_edge_bench.report.page import write_page
from ssd_edge_bench.report.wording import machine_line, stability_lines
from ssd_edge_runtime import model_file

OPERATIONS = ("start", "predict", "learn", "save")
RIVALS = {"predict": "onnxruntime-dense", "learn": "torch"}


def file_name(case: Case) -> str:
    """``784-1000``: what a case's files are called."""
    return f"{case.inputs}-{case.hidden}"


def measure_case(case: Case, options: BenchOptions, folder: Path) -> dict[str, Any]:
    """Measure one reference model and write ``bench-NAME.json`` and ``bench-NAME.html``."""
    with tempfile.TemporaryDirectory() as place:
        model = Path(place, f"{file_name(case)}.onnx")
        model.write_bytes(model_file.to_bytes(random_state(case)))
        document = measure(model, options, progress=partial(tell, case))
    (folder / f"bench-{file_name(case)}.json").write_text(json.dumps(document) + "\n")
    write_page(folder / f"bench-{file_name(case)}.html", document)
    return document


def tell(case: Case, done: int, total: int) -> None:
    """How far the measurement has come, on standard error."""
    print(f"{case.name}: process {done} of {total}", file=sys.stderr)


def ratio_rows(case: Case, document: dict[str, Any]) -> list[str]:
    """Markdown rows: how many times faster than the rival, with the interval and the figure to reach first."""
    rows = []
    for operation, targets in (("predict", case.predict), ("learn", case.learn)):
        for batch, target in zip((1, 32), targets, strict=True):
            ours = find_row(document, operation, batch, "csr")
            theirs = find_row(document, operation, batch, RIVALS[operation])
            if ours is None or theirs is None:
                continue
            found = ratio(theirs["values_us"], ours["values_us"])
            times = f"{found.value:.2f} ({found.low:.2f} to {found.high:.2f})"
            verdict = "reached" if found.value >= target else "no"
            cells = (case.name, f"{operation}, batch {batch}", RIVALS[operation], times, f"{target:g}", verdict)
            rows.append(f"| {' | '.join(cells)} |")
    return rows


def main() -> None:
    """Measure every case into a folder, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--processes", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.5)
    arguments = parser.parse_args()
    options = BenchOptions(
        engines=ENGINES,
        operations=OPERATIONS,
        processes=arguments.processes,
        seconds=arguments.seconds,
        max_runs=300,
    )
    lines = ["| model | operation | against | times faster (95 %) | to reach | |", "|---|---|---|---|---|---|"]
    for case in CASES:
        document = measure_case(case, options, arguments.folder)
        lines += ratio_rows(case, document)
        notes = [machine_line(document), *stability_lines(document)]
    print("\n".join([*lines, "", *notes]))


if __name__ == "__main__":
    main()
