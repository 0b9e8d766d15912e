"""One self-contained HTML page of a measurement: readable on a phone, printable, without scripts or network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ssd_edge_bench.report.charts import COLORS, Bar, Point, bars, distributions, roofline
from ssd_edge_bench.report.markup import escape, figure, grid, section, shell, table
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
from ssd_edge_runtime.storage.atomic import write_text


def write_page(path: str | Path, document: dict[str, Any]) -> None:
    """Write the page of a measurement. Raises OSError where it cannot be written."""
    write_text(path, page(document))


def page(document: dict[str, Any]) -> str:
    """The page as text."""
    model = document["model"]
    sections = [
        _summary(document),
        section("Latency", _latency(document)),
        section("Size and memory", _footprint(document)),
        section("How near the machine's bounds", _roofline(document)) if document["roofline"] else "",
        *(section(f"Estimate for {entry['board']}", _estimate(entry)) for entry in document.get("estimates", [])),
        section("Accuracy", _accuracy(document)) if "accuracy" in document else "",
        section(f"Against {document['comparison']['against']}", _comparison(document))
        if "comparison" in document
        else "",
        section("All figures", _all_figures(document)),
        section("Machine", _machine(document)),
    ]
    title = f"{model['file']} on {document['machine']['board'] or document['machine']['processor']}"
    footer = f"ssd-edge bench, {document['created']}, model {model['digest'][:12]}"
    return shell(title, "".join(sections), footer)


def _summary(document: dict[str, Any]) -> str:
    model = document["model"]
    shapes = ", ".join(
        f"{layer['shape'][1]} -> {layer['shape'][0]}, {layer['nonzeros']:,} weights, k {layer['k']}"
        for layer in model["layers"]
    )
    steady = document["stability"]["stable"]
    notes = "<br>".join(escape(line) for line in stability_lines(document) + energy_lines(document))
    return (
        f"<p>{escape(machine_line(document))}</p>"
        f"<p>{escape(shapes)}; {model['classes']} classes, {escape(model['readout'])} readout, "
        f"{escape(model['values'])}</p>"
        f"<p{'' if steady else ' class=note'}>{notes}</p>"
    )


def _latency(document: dict[str, Any]) -> str:
    """One figure per operation and batch, all engines over one axis."""
    figures = []
    for operation, batch in dict.fromkeys((row["operation"], row["batch"]) for row in document["results"]):
        rows = [row for row in document["results"] if (row["operation"], row["batch"]) == (operation, batch)]
        shown = [
            (
                f"{row['engine']}: {duration(row['p50_us'])}",
                np.concatenate(row["values_us"]),
                _color(document, row),
            )
            for row in rows
        ]
        figures.append(figure(operation_name(rows[0]), distributions(shown)))
    return grid(figures)


def _footprint(document: dict[str, Any]) -> str:
    engines = [line for line in document["engines"] if line["skipped"] is None]

    def chart(key: str, *more: Bar) -> str:
        return bars([*more, *(Bar(e["engine"], e[key], size(e[key]), _color(document, e)) for e in engines)])

    bare = document["inference_bytes"]

    return grid(
        [
            figure(
                "File that the engine opens",
                chart("file_bytes", Bar("without what learning needs", bare, size(bare), "#888")),
            ),
            figure("Peak memory up to the first prediction", chart("peak_rss_bytes")),
        ]
    )


def _roofline(document: dict[str, Any]) -> str:
    found = document["roofline"]
    medians = {(r["engine"], r["operation"], r["batch"]): r["p50_us"] for r in document["results"]}
    points, notes = [], []
    for row in found["rows"]:
        label = f"{operation_name(row)}, {row['engine']}"
        seconds = medians[row["engine"], row["operation"], row["batch"]] / 1e6
        points.append(
            Point(label, row["operations"] / row["bytes"], row["operations"] / seconds, _color(document, row))
        )
        notes.append(
            f"<li>{escape(label)}: {duration(row['bound_us'])} at best, {share(row['share_of_bound'])} of it "
            f"reached, limited by {row['limited_by']}</li>"
        )
    chart = roofline(points, found["bytes_per_second"], found["operations_per_second"])
    caption = (
        f"Operations a second over operations per byte; the line is what one core reaches in probes: "
        f"{size(found['bytes_per_second'])}/s, {found['operations_per_second'] / 1e9:.3g} billion operations/s"
    )
    return grid([figure(caption, chart), f"<ol>{''.join(notes)}</ol>"])


def _estimate(entry: dict[str, Any]) -> str:
    headings = ("operation", "engine", "estimate", "samples/s", "here", "measured", "off by")
    sources = "".join(f"<li>{escape(group)}: {escape(source)}</li>" for group, source in entry["sources"].items())
    return (
        "<p class=note>An estimate from published figures and counted work; nothing was measured on that board. "
        f"{escape(estimate_note(entry))}</p>{table(headings, map(estimate_cells, entry['rows']))}"
        f"<details><summary>Where its figures come from</summary><ul>{sources}</ul></details>"
    )


def _accuracy(document: dict[str, Any]) -> str:
    found = document["accuracy"]
    chart = bars([Bar(name, value, f"{value:.1%}") for name, value in found["per_class"].items()])
    return grid([figure(f"{found['accuracy']:.1%} of {found['n']} samples; per class", chart)])


def _comparison(document: dict[str, Any]) -> str:
    headings = ("operation", "engine", "old p50", "new p50", "new / old", "95 %", "")
    return table(headings, map(comparison_cells, document["comparison"]["rows"]))


def _all_figures(document: dict[str, Any]) -> str:
    rows = [
        (
            operation_name(row),
            row["engine"],
            *(
                duration(row[key]) if row[key] is not None else "-"
                for key in ("p50_us", "p50_low_us", "p50_high_us")
            ),
            *(duration(row[key]) if row[key] is not None else "-" for key in ("p90_us", "p99_us", "p99_9_us")),
            f"{row['samples_per_second']:,.0f}",
            f"{row['runs']:,}",
        )
        for row in document["results"]
    ]
    headings = ("operation", "engine", "p50", "95 % from", "to", "p90", "p99", "p99.9", "samples/s", "calls")
    return table(headings, rows)


def _machine(document: dict[str, Any]) -> str:
    machine = document["machine"]
    facts = {key: value for key, value in machine.items() if key not in ("versions", "caches")}
    facts |= {f"cache {level}": count for level, count in machine["caches"].items()} | machine["versions"]
    rows = [(key.replace("_", " "), "not readable" if v is None else str(v)) for key, v in facts.items()]
    return table(("fact", "value"), rows)


def _color(document: dict[str, Any], row: dict[str, Any]) -> str:
    names = [line["engine"] for line in document["engines"]]
    return COLORS[names.index(row["engine"]) % len(COLORS)]
