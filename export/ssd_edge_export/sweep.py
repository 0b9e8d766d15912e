"""Accuracy against density, criterion by criterion."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ssd_edge.data import Dataset
from ssd_edge.training import Run
from ssd_edge.training.plot import COLORS
from ssd_edge_export.accuracy import accuracy
from ssd_edge_export.build import solve
from ssd_edge_export.calibration import calibrate
from ssd_edge_export.masking import prune_network
from ssd_edge_export.observe import LayerActivity, observe
from ssd_edge_export.options import Criterion, PruneOptions
from ssd_edge_export.refit import refit_readout
from ssd_edge_export.source import Samples, run_samples, samples_of
from ssd_edge_runtime.errors import MissingExtraError
from ssd_edge_runtime.options import require

DENSITIES = (0.5, 0.2, 0.1, 0.05, 0.02, 0.01)
CRITERIA: tuple[Criterion, ...] = ("activity", "magnitude", "sampled", "random")
MOST_SAMPLES = 20_000
"""Training samples that the readouts are fitted on; as many for the unpruned network."""

Tick = Callable[[int], None]


def sweep(
    run: Run,
    *,
    densities: Sequence[float] = DENSITIES,
    criteria: Sequence[Criterion] = CRITERIA,
    seeds: Sequence[int] = (0,),
    options: PruneOptions | None = None,
    most_samples: int = MOST_SAMPLES,
    data: Dataset | None = None,
    tick: Tick = lambda points: None,
) -> dict[str, Any]:
    """Accuracy of ``run`` pruned by every criterion, to every density, with every seed; JSON.

    Measured on the run's hold-out where it has one, else on its test samples: ``measured_on`` says which. The
    readout is fitted anew as ``prune`` does it, on at most ``most_samples`` training samples; the unpruned
    network's analytic readout too.
    ``options``: budget and reserve. ``tick`` is called with 1 after every point.
    """
    base = options or PruneOptions()
    require(
        len(densities) > 0 and len(criteria) > 0 and len(seeds) > 0, "a sweep needs densities, criteria, seeds"
    )
    training, held = run_samples(run, data)
    fitted = some(training, most_samples, base.seed)
    judged = held if held is not None else samples_of(run.test_data(), run.network.classes)
    activities = observe(run.network, fitted.x)
    points = []
    for criterion in criteria:
        for density in densities:
            for seed in seeds:
                chosen = dataclasses.replace(base, density=density, criterion=criterion, seed=seed)
                found = _point(run, chosen, fitted, judged, activities)
                points.append({"criterion": criterion, "density": density, "seed": seed, "accuracy": found})
                tick(1)
    return {
        "data": run.config.data,
        "method": run.config.method,
        "readout": run.config.readout,
        "measured_on": "test" if held is None else "hold-out",
        "samples": len(judged),
        "fitted_on": len(fitted),
        "budget": base.budget,
        "reserve": base.reserve,
        "unpruned": accuracy(_solved(run, run, fitted), judged),
        "points": points,
    }


def some(samples: Samples, most: int, seed: int) -> Samples:
    """At most ``most`` samples, drawn by ``seed``."""
    if len(samples) <= most:
        return samples
    chosen = np.sort(np.random.default_rng(seed).permutation(len(samples))[:most])
    return Samples(samples.x[chosen], samples.y[chosen])


def _point(
    run: Run, options: PruneOptions, fitted: Samples, judged: Samples, activities: list[LayerActivity]
) -> float:
    pruned = prune_network(run.network, fitted.x, options, activities).network
    return accuracy(_solved(dataclasses.replace(run, network=pruned), run, fitted), judged)


def _solved(run: Run, unpruned: Run, fitted: Samples) -> Run:
    """``run`` with its readout fitted to its codes: solved, or refitted to the unpruned network's logits."""
    network = run.network
    if run.analytic is None:
        if network is not unpruned.network:
            refit_readout(network, unpruned.network, fitted.x, nonnegative=run.learning.nonnegative)
        return run
    statistics = calibrate(network, fitted.x, fitted.y).statistics
    assert statistics is not None
    readout = solve(statistics, run.analytic, "float32")
    assert readout.bias is not None
    if network is unpruned.network:
        network = network.frozen_copy()
    network.readout_weight.data = torch.from_numpy(readout.weights)
    network.readout_bias = torch.from_numpy(readout.bias)
    return dataclasses.replace(run, network=network)


def summary(document: dict[str, Any]) -> dict[str, dict[float, tuple[float, float]]]:
    """Criterion -> density -> mean and standard deviation over seeds, in the order of the sweep."""
    found: dict[str, dict[float, list[float]]] = {}
    for point in document["points"]:
        found.setdefault(point["criterion"], {}).setdefault(point["density"], []).append(point["accuracy"])
    return {
        criterion: {density: (float(np.mean(v)), float(np.std(v))) for density, v in by_density.items()}
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
