"""Pictures of a comparison."""

from __future__ import annotations

from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np

from ssd_edge.training.accuracy_plot import COLORS, draw_matrix
from ssd_edge.training.figures import new_figure, save_figure


def plot_comparison(document: dict[str, Any], folder: Path) -> None:
    """Write ``over_tasks.png``, ``matrices.png`` and, where rows differ in width, ``width.png``."""
    plot_over_tasks(document, folder / "over_tasks.png")
    plot_matrices(document, folder / "matrices.png")
    if len({tuple(row["hidden"]) for row in document["rows"]}) > 1:
        plot_width(document, folder / "width.png")


def plot_over_tasks(document: dict[str, Any], path: Path) -> None:
    """Mean accuracy over the tasks seen so far, after each task; the band is the deviation over seeds."""
    figure, axes = _figure(7.0, 4.5)
    markers = cycle("osD^vPX*")
    for row in document["rows"]:
        matrices = np.array(row["accuracy_matrices"])
        tasks = matrices.shape[2]
        if matrices.shape[1] < tasks:
            axes.axhline(matrices[:, -1].mean(), linestyle=":", color="0.35", label=row["name"])
            continue
        seen = np.array([[matrix[i, : i + 1].mean() for i in range(tasks)] for matrix in matrices])
        numbers, mean = range(1, tasks + 1), seen.mean(0)
        deviation = seen.std(0, ddof=1) if len(seen) > 1 else np.zeros(tasks)
        line = axes.plot(numbers, mean, marker=next(markers), label=row["name"])[0]
        axes.fill_between(numbers, mean - deviation, mean + deviation, alpha=0.2, color=line.get_color())
    axes.set(xlabel="tasks seen", ylabel="mean accuracy on them", ylim=(0, 1), title=document["data"])
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend(fontsize="small", loc="center left", bbox_to_anchor=(1.0, 0.5))
    save_figure(figure, path)


def plot_matrices(document: dict[str, Any], path: Path) -> None:
    """One accuracy matrix per row, the mean over seeds."""
    rows = document["rows"]
    columns = min(4, len(rows))
    lines = -(-len(rows) // columns)
    figure = _empty(2.6 * columns, 2.7 * lines)
    figure.supxlabel("accuracy on task, %")
    figure.supylabel("after training task")
    for i, row in enumerate(rows):
        axes = figure.add_subplot(lines, columns, i + 1)
        draw_matrix(axes, np.mean(row["accuracy_matrices"], axis=0), fontsize="small")
        axes.set_title(row["name"], fontsize="small")
    save_figure(figure, path)


def plot_width(document: dict[str, Any], path: Path) -> None:
    """Average accuracy against the width of the first hidden layer, a line per method."""
    figure, axes = _figure(6.0, 4.0)
    for name in dict.fromkeys(row["name"].split(", n ")[0] for row in document["rows"]):
        chosen = [row for row in document["rows"] if row["name"].split(", n ")[0] == name]
        chosen.sort(key=lambda row: row["hidden"][0])
        means = [row["average_accuracy"]["mean"] for row in chosen]
        bars = [row["average_accuracy"]["deviation"] or 0.0 for row in chosen]
        axes.errorbar([row["hidden"][0] for row in chosen], means, yerr=bars, marker="o", capsize=3, label=name)
    axes.set(xscale="log", xlabel="hidden neurons", ylabel="average accuracy", title=document["data"])
    axes.legend(fontsize="small")
    save_figure(figure, path)


def _figure(width: float, height: float) -> tuple[Any, Any]:
    figure = _empty(width, height)
    axes = figure.add_subplot()
    axes.set_prop_cycle(color=COLORS)
    return figure, axes


def _empty(width: float, height: float) -> Any:
    return new_figure(width, height, "drawing a comparison")
