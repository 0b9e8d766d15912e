"""A sweep as a picture: accuracy against density, a line per criterion."""

from __future__ import annotations

from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np

from ssd_edge.training.accuracy_plot import COLORS
from ssd_edge_runtime.errors import MissingExtraError


def summary(document: dict[str, Any]) -> dict[str, dict[float, tuple[float, float]]]:
    """Criterion -> density -> mean accuracy over runs and seeds, and the deviation of what pruning cost.

    In the order of the sweep; the cost is the difference to the same run unpruned.
    """
    before = [entry["unpruned"] for entry in document["runs"]]
    found: dict[str, dict[float, list[tuple[float, float]]]] = {}
    for point in document["points"]:
        values = point["accuracy"], point["accuracy"] - before[point["run"]]
        found.setdefault(point["criterion"], {}).setdefault(point["density"], []).append(values)
    return {
        criterion: {
            density: (float(np.mean([v[0] for v in values])), float(np.std([v[1] for v in values])))
            for density, values in by_density.items()
        }
        for criterion, by_density in found.items()
    }


def plot_sweep(document: dict[str, Any], path: Path) -> None:
    """Write a PNG: accuracy against density, a line per criterion, the unpruned accuracy dashed."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.ticker import NullFormatter
    except ImportError as error:
        raise MissingExtraError("drawing the sweep") from error
    figure = Figure(figsize=(6.0, 4.0), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_prop_cycle(color=COLORS)
    markers = cycle("osD^vP")
    for criterion, by_density in summary(document).items():
        means, deviations = zip(*by_density.values(), strict=True)
        percent = [100 * density for density in by_density]
        axes.errorbar(
            percent, means, yerr=deviations, marker=next(markers), markersize=5, capsize=2, label=criterion
        )
    axes.axhline(document["unpruned"], color="black", linestyle="--", linewidth=1, label="unpruned")
    axes.set_xscale("log")
    ticks = sorted({100 * point["density"] for point in document["points"]})
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.xaxis.set_minor_formatter(NullFormatter())
    title = f"{document['method']}, {document['readout']} readout, {document['data']}"
    axes.set(xlabel="weights kept (%)", ylabel=f"accuracy ({document['measured_on']})", title=title)
    axes.legend()
    figure.savefig(path, dpi=120)
