"""A measurement as a table in the terminal."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

from ssd_edge_bench.measurement.intervals import ratio
from ssd_edge_bench.measurement.results import find_row
from ssd_edge_bench.report.units import duration, share, size
from ssd_edge_bench.report.wording import (
    comparison_cells,
    energy_lines,
    estimate_cells,
    estimate_note,
    machine_line,
    operation_name,
    stability_lines,
)


def print_document(document: dict[str, Any], console: Console) -> None:
    """Machine, latencies, memory and size, and whether the run was stable."""
    console.print(machine_line(document))
    console.print(latency_table(document))
    console.print(engine_table(document))
    console.print(f"without what learning needs the file takes {size(document['inference_bytes'])}")
    for line in document["engines"]:
        if line["skipped"]:
            console.print(f"{line['engine']}: left out, {line['skipped']}")
    for line in energy_lines(document):
        console.print(line)
    if document["roofline"] is not None:
        console.print(roofline_table(document["roofline"]))
    for entry in document.get("estimates", []):
        console.print(estimate_table(entry))
        console.print(estimate_note(entry))
    if "accuracy" in document:
        console.print(f"accuracy {document['accuracy']['accuracy']:.4f} on {document['accuracy']['n']} samples")
    if "comparison" in document:
        console.print(comparison_table(document["comparison"]["rows"], document["comparison"]["against"]))
    for line in stability_lines(document):
        console.print(line)


def latency_table(document: dict[str, Any]) -> Table:
    """One line per engine, operation and batch; ratios of medians to the first engine's."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("operation", no_wrap=True)
    table.add_column("engine", no_wrap=True)
    for heading in ("p50", "95 %", "p99", "samples/s", "ratio"):
        table.add_column(heading, justify="right", no_wrap=True)
    previous = ""
    for row in sorted(document["results"], key=_position(document)):
        first = find_row(document, row["operation"], row["batch"])
        operation = operation_name(row)
        table.add_row(
            "" if operation == previous else operation,
            row["engine"] + (" *" if row["unstable"] else ""),
            duration(row["p50_us"]),
            f"+-{row['p50_high_us'] / row['p50_us'] - 1:.0%}",
            duration(row["p99_us"]),
            f"{row['samples_per_second']:,.0f}",
            "1" if first is None or first is row else f"{ratio(row['values_us'], first['values_us']).value:.2f}",
        )
        previous = operation
    return table


def engine_table(document: dict[str, Any]) -> Table:
    """File size and peak memory per engine."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("engine")
    table.add_column("file", justify="right")
    table.add_column("peak memory, first prediction", justify="right")
    for line in document["engines"]:
        if line["skipped"] is None:
            table.add_row(line["engine"], size(line["file_bytes"]), size(line["peak_rss_bytes"]))
    return table


def roofline_table(roofline: dict[str, Any]) -> Table:
    """How near each operation is to what this machine can do at best."""
    title = (
        f"Bounds of one core here: reads {size(roofline['bytes_per_second'])}/s at this size "
        f"({size(roofline['dram_bytes_per_second'])}/s from memory), "
        f"{roofline['operations_per_second'] / 1e9:.3g} billion operations/s"
    )
    table = Table(box=None, pad_edge=False, header_style="bold", title=title, title_justify="left")
    table.add_column("operation", no_wrap=True)
    table.add_column("engine", no_wrap=True)
    for heading in ("moves", "computes", "bound", "reached"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("limited by", no_wrap=True)
    for row in roofline["rows"]:
        table.add_row(
            operation_name(row),
            row["engine"],
            size(row["bytes"]),
            f"{row['operations'] / 1e6:.3g} M",
            duration(row["bound_us"]),
            share(row["share_of_bound"]),
            row["limited_by"],
        )
    return table


def estimate_table(entry: dict[str, Any]) -> Table:
    """What a board would take, and beside it how far the same method is off on this machine."""
    table = Table(box=None, pad_edge=False, header_style="bold", title_justify="left")
    table.title = f"{entry['board']}, one thread: AN ESTIMATE, nothing was measured there"
    table.add_column("operation", no_wrap=True)
    table.add_column("engine", no_wrap=True)
    for heading in ("estimate", "samples/s", "here", "measured", "off by"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in entry["rows"]:
        table.add_row(*estimate_cells(row))
    return table


def comparison_table(rows: list[dict[str, Any]], name: str) -> Table:
    """New against old, with the interval of the ratio."""
    table = Table(box=None, pad_edge=False, header_style="bold", title=f"Against {name}", title_justify="left")
    table.add_column("operation", no_wrap=True)
    table.add_column("engine", no_wrap=True)
    for heading in ("old p50", "new p50", "new / old", "95 %"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for row in rows:
        table.add_row(*comparison_cells(row))
    return table


def _position(document: dict[str, Any]) -> Any:
    operations = list(dict.fromkeys(row["operation"] for row in document["results"]))
    engines = [line["engine"] for line in document["engines"]]
    return lambda row: (operations.index(row["operation"]), row["batch"], engines.index(row["engine"]))
