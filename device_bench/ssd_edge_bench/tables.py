"""A measurement as a table in the terminal."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

from ssd_edge_bench.results import find_row
from ssd_edge_bench.sampling import ratio


def print_document(document: dict[str, Any], console: Console | None = None) -> None:
    """Machine, latencies, memory and size, and whether the run was stable."""
    console = console or Console(highlight=False)
    console.print(machine_line(document))
    console.print(latency_table(document))
    console.print(engine_table(document))
    for line in document["engines"]:
        if line["skipped"]:
            console.print(f"{line['engine']}: left out, {line['skipped']}")
    for line in stability_lines(document):
        console.print(line)


def machine_line(document: dict[str, Any]) -> str:
    """Processor, cores, threads and versions in one line."""
    machine, conditions = document["machine"], document["conditions"]
    name = machine["board"] or machine["processor"]
    pinned = f"pinned to core {', '.join(map(str, conditions['pinned_to_cores'] or []))}"
    return (
        f"{name}, {machine['cores']} cores, {machine['memory_bytes'] / 2**30:.1f} GiB; "
        f"{conditions['threads']} thread{'s' if conditions['threads'] > 1 else ''}, "
        f"{pinned if conditions['pinned_to_cores'] else 'not pinned'}, {conditions['processes']} processes"
    )


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


def operation_name(row: dict[str, Any]) -> str:
    """``predict, batch 32``; the batch only where there is one."""
    batched = row["operation"] in ("predict", "learn")
    return f"{row['operation']}, batch {row['batch']}" if batched else str(row["operation"])


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


def stability_lines(document: dict[str, Any]) -> list[str]:
    """Whether to trust the figures."""
    stability = document["stability"]
    verdict = "stable" if stability["stable"] else "unstable (*)"
    lines = [f"This run was {verdict}: processes differ by {stability['largest_spread']:.0%} at most."]
    return lines + [f"  {advice}" for advice in stability["advice"]]


def duration(microseconds: float) -> str:
    """Three significant digits with a unit."""
    for unit, factor in (("us", 1.0), ("ms", 1e3)):
        if microseconds < 999.5 * factor:
            return f"{microseconds / factor:.3g} {unit}"
    return f"{microseconds / 1e6:.3g} s"


def size(count: float) -> str:
    """Bytes with a unit, powers of 1000 as file managers show them."""
    for unit, factor in (("B", 1.0), ("kB", 1e3), ("MB", 1e6)):
        if count < 999.5 * factor:
            return f"{count / factor:.3g} {unit}"
    return f"{count / 1e9:.3g} GB"


def _position(document: dict[str, Any]) -> Any:
    operations = list(dict.fromkeys(row["operation"] for row in document["results"]))
    engines = [line["engine"] for line in document["engines"]]
    return lambda row: (operations.index(row["operation"]), row["batch"], engines.index(row["engine"]))
