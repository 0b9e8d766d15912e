"""Accuracy against density, criterion by criterion."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import torch

from ssd_edge.data import Dataset
from ssd_edge.methods import parse_method
from ssd_edge.training import Run
from ssd_edge_export.calibration import calibrate
from ssd_edge_export.options import Criterion, PruneOptions
from ssd_edge_export.passes import accuracy
from ssd_edge_export.pruning.activity import LayerActivity, observe
from ssd_edge_export.pruning.lottery import lottery_ticket
from ssd_edge_export.pruning.masks import prune_network, resolve_budget
from ssd_edge_export.pruning.refit import imitate
from ssd_edge_export.samples import Samples, run_samples, samples_of
from ssd_edge_runtime.analytic import solve_rounded
from ssd_edge_runtime.errors import OptionError

DENSITIES = (0.5, 0.2, 0.1, 0.05, 0.02, 0.01)
CRITERIA: tuple[Criterion, ...] = ("activity", "magnitude", "sampled", "random")
"""Those that a sweep draws by itself; a lottery ticket, which trains four times a point, only when asked for."""
MeasureOn = Literal["auto", "hold-out", "test"]
MOST_SAMPLES = 20_000
"""Training samples that the readouts are fitted on; as many for the unpruned network."""

Tick = Callable[[int], None]


def sweep(
    runs: Run | Sequence[Run],
    *,
    densities: Sequence[float] = DENSITIES,
    criteria: Sequence[Criterion] = CRITERIA,
    seeds: Sequence[int] = (0,),
    options: PruneOptions | None = None,
    most_samples: int = MOST_SAMPLES,
    measure_on: MeasureOn = "auto",
    data: Dataset | None = None,
    tick: Tick = lambda points: None,
) -> dict[str, Any]:
    """Accuracy of every run pruned by every criterion, to every density, with every seed; JSON.

    Measured on the runs' hold-out or test samples (``measure_on``; auto is the hold-out where there is one):
    ``measured_on`` says which. Weights and readout are fitted anew as ``prune`` does it, on at most
    ``most_samples`` training samples; the unpruned network's analytic readout too. A lottery ticket trains four
    times, on all samples. ``runs`` differ by nothing but their seed. ``options``: budget and reserve. ``tick`` is
    called with 1 after every point.

    Raises OptionError for nothing to sweep over, runs that differ, and a hold-out that is not there.
    """
    base = options or PruneOptions()
    found = [runs] if isinstance(runs, Run) else list(runs)
    OptionError.unless(
        min(map(len, (found, densities, criteria, seeds))) > 0, "a sweep needs runs, densities, criteria, seeds"
    )
    OptionError.unless(
        len({(run.config.data, run.config.method, run.config.readout) for run in found}) == 1,
        "the runs of one sweep must be of the same data, method and readout",
    )
    settings = [
        dataclasses.replace(base, density=d, criterion=c, seed=s)
        for c in criteria
        for d in densities
        for s in seeds
    ]
    documents = [_sweep_run(run, settings, most_samples, measure_on, data, tick) for run in found]
    return {
        **documents[0],
        "unpruned": float(np.mean([document["unpruned"] for document in documents])),
        "runs": [entry for document in documents for entry in document["runs"]],
        "points": [
            {"run": number, **point} for number, document in enumerate(documents) for point in document["points"]
        ],
    }


def _sweep_run(
    run: Run,
    settings: Sequence[PruneOptions],
    most_samples: int,
    measure_on: MeasureOn,
    data: Dataset | None,
    tick: Tick,
) -> dict[str, Any]:
    learned = parse_method(run.config.method).network.learns_features
    budget, _ = resolve_budget(
        settings[0].budget,
        learned=learned,
        analytic=run.analytic is not None,
        to_come=run.config.last_task < run.config.tasks,
    )
    training, held = run_samples(run, data)
    fitted = some(training, most_samples, settings[0].seed)
    judged = _judged(run, held, measure_on)
    activities = observe(run.network, fitted.x)
    points = []
    for options in settings:
        if options.criterion == "lottery-ticket":
            ticket, _ = lottery_ticket(run, options)
            accurate = accuracy(ticket, judged)
        else:
            accurate = _point(run, dataclasses.replace(options, budget=budget), fitted, judged, activities)
        points.append(
            {
                "criterion": options.criterion,
                "density": options.density,
                "seed": options.seed,
                "accuracy": accurate,
            }
        )
        tick(1)
    unpruned = accuracy(_solved(run, run, fitted, activities), judged)
    return {
        "data": run.config.data,
        "method": run.config.method,
        "readout": run.config.readout,
        "measured_on": "hold-out" if judged is held else "test",
        "samples": len(judged),
        "fitted_on": len(fitted),
        "budget": budget,
        "reserve": settings[0].reserve,
        "unpruned": unpruned,
        "runs": [{"run": name_of(run), "seed": run.config.seed, "unpruned": unpruned}],
        "points": points,
    }


def name_of(run: Run) -> str:
    """The name of its folder."""
    return "this run" if run.path is None else run.path.name


def _judged(run: Run, held: Samples | None, measure_on: MeasureOn) -> Samples:
    OptionError.unless(
        measure_on != "hold-out" or held is not None,
        f"measure-on hold-out: {name_of(run)} was trained without --hold-out; measure on test",
    )
    if held is None or measure_on == "test":
        return samples_of(run.test_data(), run.network.classes)
    return held


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
    return accuracy(_solved(dataclasses.replace(run, network=pruned), run, fitted, activities), judged)


def _solved(run: Run, unpruned: Run, fitted: Samples, activities: list[LayerActivity]) -> Run:
    """``run`` with its readout solved, or with rows and readout fitted to the unpruned network."""
    network = run.network
    if run.analytic is None:
        if network is not unpruned.network:
            imitate(network, unpruned.network, fitted.x, activities, nonnegative=run.learning.nonnegative)
        return run
    statistics = calibrate(network, fitted.x, fitted.y).statistics
    assert statistics is not None
    readout, _ = solve_rounded(statistics, run.analytic, "float32")
    assert readout.bias is not None
    if network is unpruned.network:
        network = network.frozen_copy()
    network.readout_weight.data = torch.from_numpy(readout.weights)
    network.readout_bias = torch.from_numpy(readout.bias)
    return dataclasses.replace(run, network=network)
