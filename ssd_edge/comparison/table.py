"""Means and deviations over seeds, and the table a person reads."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ssd_edge.comparison.rows import Row

FIGURES = ("average_accuracy", "backward_transfer", "forgetting", "learning_accuracy")
HEADINGS = ("average accuracy", "backward transfer", "forgetting", "learning accuracy")


@dataclass(frozen=True)
class Comparison:
    """The result of ``compare``."""

    document: dict[str, Any]
    """As ``comparison.json``: a list ``rows``; each figure holds ``mean``, ``deviation`` and ``values``."""

    def text(self) -> str:
        """The table, one line per row; accuracies in per cent, mean and standard deviation over seeds."""
        held = any(row["hold_out"] is not None for row in self.document["rows"])
        headings = ("method", *HEADINGS, *(("on hold-out",) if held else ()), "seconds", "data seen")
        lines = [headings, *(_cells(row, held) for row in self.document["rows"])]
        widths = [max(len(line[i]) for line in lines) for i in range(len(headings))]
        padded = [[cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in lines]
        return "\n".join("  ".join(cells).rstrip() for cells in padded)


def summarize_rows(data: str, rows: Sequence[Row], results: Sequence[Sequence[Any]]) -> Comparison:
    """``results[i]``: the metrics of row i's runs, one per seed."""
    return Comparison(
        {
            "data": data,
            "seeds": len(results[0]),
            "deviation": "standard deviation over seeds, n - 1; null for one seed",
            "rows": [_summary(row, runs) for row, runs in zip(rows, results, strict=True)],
        }
    )


def _summary(row: Row, runs: Sequence[Any]) -> dict[str, Any]:
    config = row.config
    held = [run["hold_out"]["average_accuracy"] for run in runs if run["hold_out"] is not None]
    return {
        "name": row.name,
        "method": config.method,
        "encoder": config.encoder,
        "readout": config.readout,
        "hidden": list(config.hidden),
        "k": list(config.k or ()),
        "options": {name: dict(table) for name, table in config.settings.items()},
        "data_seen": _data_seen(row, runs),
        **{name: spread([run[name] for run in runs]) for name in FIGURES},
        "hold_out": spread(held) if held else None,
        "seconds": spread([run["seconds"] for run in runs]),
        "accuracy_matrices": [run["accuracy_matrix"] for run in runs],
    }


def _data_seen(row: Row, runs: Sequence[Any]) -> str:
    """How much a row may look back: what a fair comparison must say."""
    if row.config.spec.network.all_at_once:
        return "all at once"
    return "earlier tasks again" if runs[0]["statistics_of_base_tasks_gathered_again"] else "each task once"


def spread(values: Sequence[float | None]) -> dict[str, Any] | None:
    """Mean and standard deviation (n - 1); None where there are no values."""
    numbers = [value for value in values if value is not None]
    if not numbers:
        return None
    deviation = statistics.stdev(numbers) if len(numbers) > 1 else None
    return {"mean": statistics.fmean(numbers), "deviation": deviation, "values": numbers}


def _cells(row: dict[str, Any], held: bool) -> tuple[str, ...]:
    figures = [_cell(row[name]) for name in (*FIGURES, *(("hold_out",) if held else ()))]
    return (row["name"], *figures, f"{row['seconds']['mean']:.1f}", row["data_seen"])


def _cell(figure: dict[str, Any] | None) -> str:
    if figure is None:
        return "-"
    mean = f"{100 * figure['mean']:.1f}"
    return mean if figure["deviation"] is None else f"{mean} ± {100 * figure['deviation']:.1f}"
