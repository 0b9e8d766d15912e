"""``ssd_edge_export.sweep``: accuracy against density, criterion by criterion."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from ssd_edge.data import Dataset
from ssd_edge.data.progress import Progress, unwatched
from ssd_edge.methods import parse_method
from ssd_edge.training import Run
from ssd_edge_export.options import Budget, MeasureOn, PruneOptions, SweepOptions
from ssd_edge_export.passes import accuracy
from ssd_edge_export.pruning.activity import LayerActivity, observe
from ssd_edge_export.pruning.lottery import lottery_ticket
from ssd_edge_export.pruning.masks import prune_network, resolve_budget
from ssd_edge_export.pruning.refit import imitate, solve_readout
from ssd_edge_export.pruning.sweep_result import SweepPoint, SweepResult, SweptRun
from ssd_edge_export.samples import Samples, run_samples, samples_of
from ssd_edge_runtime.errors import OptionError


def sweep(
    runs: Run | Sequence[Run],
    options: SweepOptions = SweepOptions(),
    *,
    data: Dataset | None = None,
    progress: Progress = unwatched,
) -> SweepResult:
    """Accuracy of every run pruned by every criterion, to every density, with every seed.

    Weights and readout are fitted anew as ``prune`` does it; the unpruned network's analytic readout too, on the
    same samples. ``runs`` differ by nothing but their seed. ``data``: the training samples, where the runs cannot
    load their own. ``progress`` counts points.

    >>> result = sweep(run, SweepOptions(densities=(0.2, 0.1), criteria=("sampled", "random")))  # doctest: +SKIP
    >>> mean, deviation = result.summary()["sampled"][0.1]  # doctest: +SKIP
    >>> result.save("sweep.json"), result.plot("sweep.png")  # doctest: +SKIP

    Raises OptionError for no runs, runs that differ, and a hold-out that is not there.
    """
    found = [runs] if isinstance(runs, Run) else list(runs)
    OptionError.unless(len(found) > 0, "a sweep needs at least one run")
    OptionError.unless(
        len({(run.config.data, run.config.method, run.config.readout) for run in found}) == 1,
        "the runs of one sweep must be of the same data, method and readout",
    )
    done, total = 0, len(found) * len(options.settings)

    def advance() -> None:
        nonlocal done
        done += 1
        progress(done, total)

    results = [_sweep_run(run, number, options, data, advance) for number, run in enumerate(found)]
    return dataclasses.replace(
        results[0],
        runs=tuple(run for result in results for run in result.runs),
        points=tuple(point for result in results for point in result.points),
    )


def _sweep_run(
    run: Run, number: int, options: SweepOptions, data: Dataset | None, advance: Callable[[], None]
) -> SweepResult:
    training, held = run_samples(run, data)
    fitted = some(training, options.most_samples, options.seeds[0])
    judged = _judged(run, held, options.measure_on)
    activities = observe(run.network, fitted.x)
    budget = _budget(run, options.budget)
    points = []
    for setting in options.settings:
        accurate = _point(run, setting, budget, fitted, judged, activities)
        points.append(SweepPoint(number, setting.criterion, setting.density, setting.seed, accurate))
        advance()
    unpruned = accuracy(_solved(run, run, fitted, activities), judged)
    return SweepResult(
        data=run.config.data,
        method=run.config.method,
        readout="gradient" if run.analytic is None else "analytic",
        measured_on="hold-out" if judged is held else "test",
        samples=len(judged),
        fitted_on=len(fitted),
        budget=budget,
        reserve=options.reserve,
        runs=(SweptRun(name_of(run), run.config.seed, unpruned),),
        points=tuple(points),
    )


def name_of(run: Run) -> str:
    """The name of its folder."""
    return "this run" if run.path is None else run.path.name


def _budget(run: Run, asked: Budget) -> Budget:
    budget, _ = resolve_budget(
        asked,
        learned=parse_method(run.config.method).network.learns_features,
        analytic=run.analytic is not None,
        to_come=run.config.last_task < run.config.task_count,
    )
    return budget


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
    run: Run,
    setting: PruneOptions,
    budget: Budget,
    fitted: Samples,
    judged: Samples,
    activities: list[LayerActivity],
) -> float:
    if setting.criterion == "lottery-ticket":
        return accuracy(lottery_ticket(run, setting)[0], judged)
    options = dataclasses.replace(setting, budget=budget)
    pruned = prune_network(run.network, fitted.x, options, activities).network
    return accuracy(_solved(dataclasses.replace(run, network=pruned), run, fitted, activities), judged)


def _solved(run: Run, unpruned: Run, fitted: Samples, activities: list[LayerActivity]) -> Run:
    """``run`` with its readout solved, or with rows and readout fitted to the unpruned network."""
    network = run.network
    if run.analytic is None:
        if network is not unpruned.network:
            imitate(network, unpruned.network, fitted.x, activities, nonnegative=run.learning.nonnegative)
        return run
    if network is unpruned.network:
        network = network.frozen_copy()
    solve_readout(network, fitted, run.analytic)
    return dataclasses.replace(run, network=network)
