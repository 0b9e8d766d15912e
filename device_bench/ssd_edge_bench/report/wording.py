"""A measurement in words: the lines and cells that the terminal and the page share."""

from __future__ import annotations

from typing import Any

from ssd_edge_bench.measurement.options import BATCHED
from ssd_edge_bench.report.units import duration
from ssd_edge_bench.roofline.estimate import typical_error


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


def operation_name(row: dict[str, Any]) -> str:
    """``predict b32``; the batch only where there is one."""
    batched = row["operation"] in BATCHED
    return f"{row['operation']} b{row['batch']}" if batched else str(row["operation"])


def stability_lines(document: dict[str, Any]) -> list[str]:
    """Whether to trust the figures."""
    stability = document["stability"]
    verdict = "stable" if stability["stable"] else "unstable (*)"
    lines = [f"This run was {verdict}: processes differ by {stability['largest_spread']:.0%} at most."]
    return lines + [f"  {advice}" for advice in stability["advice"]]


def energy_lines(document: dict[str, Any]) -> list[str]:
    """Energy per sample where the system shows it; it counts the whole system, not this process alone."""
    source = document["energy"]["source"]
    if source is None:
        return [f"energy: {document['energy']['note']}"]
    rows = [row for row in document["results"] if row.get("joules_per_sample") is not None]
    shares = [f"{operation_name(row)} {row['engine']} {1e6 * row['joules_per_sample']:.3g} uJ" for row in rows]
    return [f"energy per sample, whole system, {source}: {', '.join(shares)}"]


def estimate_cells(row: dict[str, Any]) -> tuple[str, ...]:
    """One row of an estimate as text."""
    return (
        operation_name(row),
        row["engine"],
        duration(row["estimated_us"]),
        f"{row['estimated_samples_per_second']:,.0f}",
        duration(row["here_estimated_us"]),
        duration(row["here_measured_us"]),
        f"{row['here_error']:.2f}x",
    )


def estimate_note(entry: dict[str, Any]) -> str:
    """How far to trust an estimate: measured / estimated on this machine."""
    behind = "Of the layers behind the encoder alone. " if entry.get("behind_encoder") else ""
    return (
        f'{behind}By the same method this machine would take what stands under "here"; it is off by a factor of '
        f"{typical_error(entry):.1f} on average. Expect no less on the board."
    )


def comparison_cells(row: dict[str, Any]) -> tuple[str, ...]:
    """One row of a comparison as text: new against old, with the interval of the ratio."""
    return (
        operation_name(row),
        row["engine"],
        duration(row["old_p50_us"]),
        duration(row["new_p50_us"]),
        f"{row['ratio']:.2f}x",
        f"{row['ratio_low']:.2f} - {row['ratio_high']:.2f}",
        row["change"],
    )
