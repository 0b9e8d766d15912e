"""One self-contained HTML page of a measurement: readable on a phone, printable, without scripts or network."""

from __future__ import annotations

import html
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from ssd_edge_bench.charts import COLORS, Bar, Point, bars, distributions, roofline
from ssd_edge_bench.tables import energy_lines, machine_line, operation_name, stability_lines
from ssd_edge_bench.units import duration, share, size

STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; padding: 1rem; max-width: 60rem; }
h1 { font-size: 1.5rem; margin: 0 0 .5rem; } h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
.grid { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 22rem), 1fr)); gap: 0 2rem; }
figure { margin: 0 0 1rem; } figcaption { font-weight: 600; margin-bottom: .25rem; }
svg { width: 100%; height: auto; display: block; font: 12px system-ui, sans-serif; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .2rem .6rem; border-bottom: 1px solid #8884; white-space: nowrap; }
th:first-child, td:first-child, th:nth-child(2), td:nth-child(2) { text-align: left; }
.note { color: #b45309; } ol { padding-left: 1.4rem; } footer { margin-top: 2rem; opacity: .7; font-size: .85rem; }
"""


def write_page(path: str | Path, document: dict[str, Any]) -> None:
    """Write the page of a measurement. Raises OSError where it cannot be written."""
    Path(path).write_text(page(document), encoding="utf-8")


def page(document: dict[str, Any]) -> str:
    """The page as text."""
    model = document["model"]
    sections = [
        _summary(document),
        _section("Latency", _latency(document)),
        _section("Size and memory", _footprint(document)),
        _section("How near the machine's bounds", _roofline(document)) if document["roofline"] else "",
        _section("Accuracy", _accuracy(document)) if "accuracy" in document else "",
        _section(f"Against {document['comparison']['against']}", _comparison(document))
        if "comparison" in document
        else "",
        _section("All figures", _all_figures(document)),
        _section("Machine", _machine(document)),
    ]
    title = f"{model['file']} on {document['machine']['board'] or document['machine']['processor']}"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<link rel="icon" href="data:,"><title>{_e(title)}</title><style>{STYLE}</style></head>'
        f"<body><h1>{_e(title)}</h1>{''.join(sections)}"
        f"<footer>ssd-edge bench, {_e(document['created'])}, model {_e(model['digest'][:12])}</footer>"
        "</body></html>\n"
    )


def _summary(document: dict[str, Any]) -> str:
    model = document["model"]
    shapes = ", ".join(
        f"{layer['shape'][1]} -> {layer['shape'][0]}, {layer['nonzeros']:,} weights, k {layer['k']}"
        for layer in model["layers"]
    )
    steady = document["stability"]["stable"]
    notes = "<br>".join(_e(line) for line in stability_lines(document) + energy_lines(document))
    return (
        f"<p>{_e(machine_line(document))}</p>"
        f"<p>{_e(shapes)}; {model['classes']} classes, {_e(model['readout'])} readout, {_e(model['values'])}</p>"
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
        figures.append(_figure(operation_name(rows[0]), distributions(shown)))
    return _grid(figures)


def _footprint(document: dict[str, Any]) -> str:
    engines = [line for line in document["engines"] if line["skipped"] is None]

    def chart(key: str, *more: Bar) -> str:
        return bars([*more, *(Bar(e["engine"], e[key], size(e[key]), _color(document, e)) for e in engines)])

    bare = document["inference_bytes"]

    return _grid(
        [
            _figure(
                "File that the engine opens",
                chart("file_bytes", Bar("without what learning needs", bare, size(bare), "#888")),
            ),
            _figure("Peak memory up to the first prediction", chart("peak_rss_bytes")),
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
            f"<li>{_e(label)}: {duration(row['bound_us'])} at best, {share(row['share_of_bound'])} of it reached, "
            f"limited by {row['limited_by']}</li>"
        )
    chart = roofline(points, found["bytes_per_second"], found["operations_per_second"])
    caption = (
        f"Operations a second over operations per byte; the line is what one core reaches in probes: "
        f"{size(found['bytes_per_second'])}/s, {found['operations_per_second'] / 1e9:.3g} billion operations/s"
    )
    return _grid([_figure(caption, chart), f"<ol>{''.join(notes)}</ol>"])


def _accuracy(document: dict[str, Any]) -> str:
    found = document["accuracy"]
    chart = bars([Bar(name, value, f"{value:.1%}") for name, value in found["per_class"].items()])
    return _grid([_figure(f"{found['accuracy']:.1%} of {found['n']} samples; per class", chart)])


def _comparison(document: dict[str, Any]) -> str:
    rows = [
        (
            operation_name(row),
            row["engine"],
            duration(row["old_p50_us"]),
            duration(row["new_p50_us"]),
            f"{row['ratio']:.2f}x",
            f"{row['ratio_low']:.2f} - {row['ratio_high']:.2f}",
            row["change"],
        )
        for row in document["comparison"]["rows"]
    ]
    return _table(("operation", "engine", "old p50", "new p50", "new / old", "95 %", ""), rows)


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
    return _table(headings, rows)


def _machine(document: dict[str, Any]) -> str:
    machine = document["machine"]
    facts = {key: value for key, value in machine.items() if key not in ("versions", "caches")}
    facts |= {f"cache {level}": count for level, count in machine["caches"].items()} | machine["versions"]
    rows = [(key.replace("_", " "), "not readable" if v is None else str(v)) for key, v in facts.items()]
    return _table(("fact", "value"), rows)


def _color(document: dict[str, Any], row: dict[str, Any]) -> str:
    names = [line["engine"] for line in document["engines"]]
    return COLORS[names.index(row["engine"]) % len(COLORS)]


def _section(title: str, body: str) -> str:
    return f"<section><h2>{_e(title)}</h2>{body}</section>"


def _figure(caption: str, chart: str) -> str:
    return f"<figure><figcaption>{_e(caption)}</figcaption>{chart}</figure>"


def _grid(parts: Iterable[str]) -> str:
    return f'<div class="grid">{"".join(parts)}</div>'


def _table(headings: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = "".join(f"<th>{_e(heading)}</th>" for heading in headings)
    body = "".join(f"<tr>{''.join(f'<td>{_e(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _e(text: str) -> str:
    return html.escape(text)
