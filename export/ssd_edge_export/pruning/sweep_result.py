"""What a sweep has measured: a document, a table, a picture."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ssd_edge_export.options import Budget, Criterion
from ssd_edge_export.pruning.sweep_plot import plot_sweep
from ssd_edge_runtime.storage.atomic import write_text


@dataclass(frozen=True)
class SweptRun:
    """A run of the sweep."""

    run: str
    """The name of its folder."""
    seed: int
    """Seed of its training."""
    unpruned: float
    """Its accuracy before pruning."""


@dataclass(frozen=True)
class SweepPoint:
    """One run, pruned once."""

    run: int
    """Its place in ``SweepResult.runs``."""
    criterion: Criterion
    density: float
    seed: int
    """Seed of the pruning."""
    accuracy: float


@dataclass(frozen=True)
class SweepResult:
    """Accuracy of runs that differ by their seed, pruned by several criteria to several densities."""

    data: str
    method: str
    readout: str
    measured_on: str
    """hold-out or test."""
    samples: int
    """Samples that accuracy was measured on."""
    fitted_on: int
    """Training samples that weights and readouts were fitted on."""
    budget: Budget
    """As resolved."""
    reserve: float
    runs: tuple[SweptRun, ...]
    points: tuple[SweepPoint, ...]

    @property
    def unpruned(self) -> float:
        """Mean accuracy of the runs before pruning."""
        return float(np.mean([run.unpruned for run in self.runs]))

    def summary(self) -> dict[str, dict[float, tuple[float, float]]]:
        """Criterion -> density -> mean accuracy over runs and seeds, and the deviation of what pruning cost.

        In the order of the sweep; the cost is the difference to the same run unpruned.
        """
        found: dict[str, dict[float, list[tuple[float, float]]]] = {}
        for point in self.points:
            values = point.accuracy, point.accuracy - self.runs[point.run].unpruned
            found.setdefault(point.criterion, {}).setdefault(point.density, []).append(values)
        return {
            criterion: {
                density: (float(np.mean([v[0] for v in values])), float(np.std([v[1] for v in values])))
                for density, values in by_density.items()
            }
            for criterion, by_density in found.items()
        }

    def as_dict(self) -> dict[str, Any]:
        """JSON: the fields, ``unpruned``, ``runs`` and ``points`` as lists."""
        fields = asdict(self)
        runs, points = fields.pop("runs"), fields.pop("points")
        return {**fields, "unpruned": self.unpruned, "runs": list(runs), "points": list(points)}

    def save(self, path: str | Path) -> None:
        """Write the document, ``sweep.json``."""
        write_text(path, json.dumps(self.as_dict(), indent=2) + "\n")

    def plot(self, path: str | Path) -> None:
        """Write the picture, ``sweep.png``: a line per criterion. Raises MissingExtraError without matplotlib."""
        title = f"{self.method}, {self.readout} readout, {self.data}"
        plot_sweep(self.summary(), self.unpruned, Path(path), title=title, measured_on=self.measured_on)
