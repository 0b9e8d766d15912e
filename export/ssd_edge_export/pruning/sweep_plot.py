"""A sweep as a picture: accuracy against density, a line per criterion."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle
from pathlib import Path

from ssd_edge.training.accuracy_plot import COLORS
from ssd_edge.training.figures import new_figure, save_figure

Curves = Mapping[str, Mapping[float, tuple[float, float]]]
"""Criterion -> density -> mean accuracy, and the deviation that its error bar shows."""


def plot_sweep(curves: Curves, unpruned: float, path: Path, *, title: str, measured_on: str) -> None:
    """Write a PNG: a line per criterion, the unpruned accuracy dashed."""
    figure = new_figure(6.0, 4.0, "drawing the sweep")
    from matplotlib.ticker import NullFormatter

    axes = figure.add_subplot()
    axes.set_prop_cycle(color=COLORS)
    markers = cycle("osD^vP")
    for criterion, by_density in curves.items():
        means, deviations = zip(*by_density.values(), strict=True)
        percent = [100 * density for density in by_density]
        axes.errorbar(
            percent, means, yerr=deviations, marker=next(markers), markersize=5, capsize=2, label=criterion
        )
    axes.axhline(unpruned, color="black", linestyle="--", linewidth=1, label="unpruned")
    axes.set_xscale("log")
    ticks = sorted({100 * density for by_density in curves.values() for density in by_density})
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set(xlabel="weights kept (%)", ylabel=f"accuracy ({measured_on})", title=title)
    axes.legend()
    save_figure(figure, path)
