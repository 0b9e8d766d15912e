"""Charts as inline SVG: no scripts, no network, readable at 360 pixels and in the dark."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ssd_edge_bench.report.units import duration
from ssd_edge_runtime.arrays import Float64

WIDTH = 340.0
LEFT = 8.0
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00")
"""Okabe and Ito's palette, told apart by color-blind readers."""


@dataclass(frozen=True)
class Bar:
    """One horizontal bar and what stands behind it."""

    label: str
    value: float
    text: str
    color: str = COLORS[0]


@dataclass(frozen=True)
class Point:
    """One operation under the roofline: operations per byte against operations a second."""

    label: str
    intensity: float
    rate: float
    color: str = COLORS[0]


def bars(rows: Sequence[Bar]) -> str:
    """Horizontal bars from zero, label above and value inside the row."""
    longest = max((row.value for row in rows), default=1.0) or 1.0
    parts = []
    for number, row in enumerate(rows):
        y = 40.0 * number
        length = max(1.0, (WIDTH - 2 * LEFT) * row.value / longest)
        parts.append(_text(LEFT, y + 13, row.label) + _text(WIDTH - LEFT, y + 13, row.text, "end"))
        parts.append(
            f'<rect x="{LEFT}" y="{y + 19:.0f}" width="{length:.1f}" height="13" rx="2" fill="{row.color}"/>'
        )
    return _svg(40.0 * len(rows), parts)


def distributions(rows: Sequence[tuple[str, Float64, str]]) -> str:
    """Histograms of microseconds over one logarithmic axis; a dashed line marks each median.

    ``rows``: label, values, color. The axis spans the 0.5th to the 99.5th percentile of all.
    """
    low = min(float(np.percentile(values, 0.5)) for _, values, _ in rows)
    high = max(float(np.percentile(values, 99.5)) for _, values, _ in rows)
    axis = LogAxis(low / 1.1, high * 1.1)
    parts = []
    for number, (label, values, color) in enumerate(rows):
        parts.append(_histogram(axis, 62.0 * number, label, values, color))
    bottom = 62.0 * len(rows)
    parts.append(_ticks(axis, bottom, "time of a call", duration))
    return _svg(bottom + 34, parts)


@dataclass(frozen=True)
class LogAxis:
    """Positions on a logarithmic horizontal axis."""

    low: float
    high: float

    def at(self, value: float) -> float:
        """Horizontal position of a value."""
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return LEFT + (WIDTH - 2 * LEFT) * min(max(share, 0.0), 1.0)

    def ticks(self) -> list[float]:
        """1, 2, 5 times powers of ten within the axis; powers alone where that would crowd."""
        exponents = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        steps = (1, 2, 5) if math.log10(self.high / self.low) < 1.7 else (1,)
        found = [step * 10.0**exponent for exponent in exponents for step in steps]
        return [value for value in found if self.low <= value <= self.high]


def roofline(points: Sequence[Point], bandwidth: float, rate: float) -> str:
    """Attainable rate over intensity, log-log, with the measured points below it; a number marks each."""
    intensities = [point.intensity for point in points] + [rate / bandwidth]
    x = LogAxis(min(intensities) / 3, max(intensities) * 3)
    top, bottom = rate * 2, min([point.rate for point in points] + [rate / 100]) / 2

    def y(value: float) -> float:
        return 170.0 - 160.0 * math.log(value / bottom) / math.log(top / bottom)

    knee = rate / bandwidth
    start = max(x.low, bottom / bandwidth)
    roof = [(start, start * bandwidth), (knee, rate), (x.high, rate)]
    line = " ".join(f"{x.at(a):.1f},{y(b):.1f}" for a, b in roof)
    parts = [f'<polyline points="{line}" fill="none" stroke="currentColor" stroke-width="1.5"/>']
    for number, point in enumerate(points, 1):
        parts.append(
            f'<circle cx="{x.at(point.intensity):.1f}" cy="{y(point.rate):.1f}" r="8" fill="{point.color}">'
            f"<title>{html.escape(point.label)}</title></circle>"
            + _text(x.at(point.intensity), y(point.rate) + 4, str(number), "middle", "white")
        )
    parts.append(_ticks(x, 172.0, "operations per byte", lambda value: f"{value:g}"))
    return _svg(206, parts)


def _histogram(axis: LogAxis, y: float, label: str, values: Float64, color: str) -> str:
    edges = np.geomspace(axis.low, axis.high, 61)
    counts, _ = np.histogram(np.clip(values, axis.low, axis.high), edges)
    scale = 36.0 / max(int(counts.max()), 1)
    base, step = y + 56.0, (WIDTH - 2 * LEFT) / 60
    shape = " ".join(
        f"L{LEFT + step * i:.1f},{base - scale * c:.1f} L{LEFT + step * (i + 1):.1f},{base - scale * c:.1f}"
        for i, c in enumerate(counts)
    )
    middle = axis.at(float(np.median(values)))
    return (
        _text(LEFT, y + 14, label)
        + f'<path d="M{LEFT},{base} {shape} L{WIDTH - LEFT},{base}Z" fill="{color}" fill-opacity="0.8"/>'
        + f'<path d="M{middle:.1f},{y + 18:.0f}V{base:.0f}" stroke="currentColor" stroke-dasharray="2 2"/>'
    )


def _ticks(axis: LogAxis, y: float, title: str, written: Callable[[float], str]) -> str:
    parts = [f'<path d="M{LEFT},{y}H{WIDTH - LEFT}" stroke="currentColor" stroke-opacity="0.4"/>']
    for value in axis.ticks():
        parts.append(f'<path d="M{axis.at(value):.1f},{y}v4" stroke="currentColor"/>')
        text = written(value)
        margin = LEFT + 3.2 * len(text)  # half its width, so that it stays inside the picture
        parts.append(_text(min(max(axis.at(value), margin), WIDTH - margin), y + 15, text, "middle"))
    parts.append(_text(WIDTH - LEFT, y + 29, title, "end"))
    return "".join(parts)


def _text(x: float, y: float, text: str, anchor: str = "start", fill: str = "currentColor") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{fill}">{html.escape(text)}</text>'


def _svg(height: float, parts: Sequence[str]) -> str:
    size = f'viewBox="0 0 {WIDTH:.0f} {height:.0f}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">{"".join(parts)}</svg>'


def parts_of_a_whole(parts: Sequence[tuple[str, float, str]]) -> str:
    """One bar cut in parts, each (label, value, color) told below it."""
    whole = sum(value for _, value, _ in parts) or 1.0
    drawn, x = [], LEFT
    for number, (label, value, color) in enumerate(parts):
        length = (WIDTH - 2 * LEFT) * value / whole
        drawn.append(f'<rect x="{x:.1f}" y="4" width="{length:.1f}" height="22" fill="{color}"/>')
        y = 46.0 + 18 * number
        drawn.append(f'<rect x="{LEFT}" y="{y - 10:.0f}" width="10" height="10" fill="{color}"/>')
        drawn.append(_text(LEFT + 16, y, label) + _text(WIDTH - LEFT, y, f"{value / whole:.0%}", "end"))
        x += length
    return _svg(52 + 18 * len(parts), drawn)


def ranked(shares: Float64, even: float) -> str:
    """Shares in falling order over their rank, on a root scale; a dashed line where all would be if alike."""
    top = max(float(shares[0]), even) or 1.0
    bottom = 140.0

    def y(value: float) -> float:
        return bottom - 126.0 * math.sqrt(value / top)

    ranks = np.unique(np.linspace(0, len(shares) - 1, 200).astype(int))
    step = (WIDTH - 2 * LEFT - 34) / max(len(shares) - 1, 1)
    left = LEFT + 34
    line = " ".join(f"{left + step * i:.1f},{y(float(shares[i])):.1f}" for i in ranks)
    drawn = [f'<polyline points="{line}" fill="none" stroke="{COLORS[0]}" stroke-width="2"/>']
    for value in (0.0, top / 16, top / 4, top):
        drawn.append(
            f'<path d="M{left},{y(value):.1f}H{WIDTH - LEFT}" stroke="currentColor" stroke-opacity="0.15"/>'
        )
        drawn.append(_text(left - 4, y(value) + 4, f"{100 * value:.2g}%", "end"))
    drawn.append(
        f'<path d="M{left},{y(even):.1f}H{WIDTH - LEFT}" stroke="currentColor" stroke-dasharray="4 3"/>'
        + _text(WIDTH - LEFT, y(even) - 4, f"{100 * even:.2g}% if all fired alike", "end")
    )
    drawn.append(_text(left, bottom + 16, "1") + _text(WIDTH - LEFT, bottom + 16, f"{len(shares):,}", "end"))
    drawn.append(_text((left + WIDTH - LEFT) / 2, bottom + 16, "neurons, the most frequent first", "middle"))
    return _svg(bottom + 24, drawn)
