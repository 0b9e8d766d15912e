"""``ssd-edge bench``: measure this device."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ssd_edge.cli.arguments import NameList, model_argument
from ssd_edge.cli.output import common_options, emit_json, progress
from ssd_edge_bench.engines import ENGINES
from ssd_edge_bench.options import OPERATIONS, BenchOptions

DEFAULT = BenchOptions()
OF_OPERATIONS = f"Of {', '.join(OPERATIONS)}."
SHOW: dict[str, Any] = {"show_default": True}

EXAMPLE = """\b
Example:
  ssd-edge bench model.onnx --engines csr,onnxruntime-dense --batches 1,32
  ssd-edge bench model.onnx --json > today.json
"""


@click.command(short_help="Measure this device.", epilog=EXAMPLE)
@model_argument
@click.option("--engines", type=NameList(), default=DEFAULT.engines, help=f"Of {', '.join(ENGINES)}.", **SHOW)
@click.option(
    "--operations", type=NameList(), default=DEFAULT.operations, help=f"Of {', '.join(OPERATIONS)}.", **SHOW
)
@click.option("--batches", type=NameList(int), default=DEFAULT.batches, help="Samples per call.", **SHOW)
@click.option("--threads", type=int, default=1, help="Threads, and cores to pin each process to.", **SHOW)
@click.option("--processes", type=int, default=5, help="Fresh processes per engine.", **SHOW)
@click.option("--seconds", type=float, default=0.3, help="Time per process, operation and batch.", **SHOW)
@click.option("--seed", type=int, default=0, help="Of the made-up inputs.", **SHOW)
@common_options
def command(model: Path, as_json: bool, **options: Any) -> None:
    """Measure MODEL on this machine: latency, throughput, memory, size.

    Each engine runs in fresh processes of its own, pinned and warmed up; the intervals come from how these differ.
    """
    from ssd_edge_bench.measure import measure

    chosen = BenchOptions(**options)
    with progress("measuring", chosen.processes * len(chosen.engines)) as advance:
        document = measure(model, chosen, advance=lambda _: advance(1))
    if as_json:
        emit_json(document)
    else:
        from ssd_edge_bench.tables import print_document

        print_document(document)
