"""The accuracy matrix as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ssd_edge.training.figures import new_figure, save_figure

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's palette, told apart by color-blind readers."""


def plot_accuracy_matrix(matrix: Sequence[Sequence[float]], title: str, path: Path) -> None:
    """Write a PNG: a row per task trained, a column per task tested, accuracies in the cells."""
    rows, columns = len(matrix), len(matrix[0])
    figure = new_figure(1.6 + 0.7 * columns, 1.4 + 0.6 * rows, "drawing the accuracy matrix")
    axes = figure.add_subplot()
    draw_matrix(axes, matrix)
    axes.set(xlabel="accuracy on task, %", ylabel="after training task", title=title)
    save_figure(figure, path)


def draw_matrix(axes: Any, matrix: Sequence[Sequence[float]], fontsize: str = "medium") -> None:
    """Accuracies as colors, and in percent where there is room; an accuracy of 1 is brightest."""
    rows, columns = len(matrix), len(matrix[0])
    axes.imshow(matrix, vmin=0.0, vmax=1.0, cmap="viridis")
    axes.set_xticks(range(columns), [str(j + 1) for j in range(columns)])
    axes.set_yticks(range(rows), [str(i + 1) for i in range(rows)])
    if columns <= 20:
        for i, row in enumerate(matrix):
            for j, value in enumerate(row):
                color = "black" if value > 0.6 else "white"
                axes.text(j, i, f"{100 * value:.0f}", ha="center", va="center", color=color, fontsize=fontsize)
