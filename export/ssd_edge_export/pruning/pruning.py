"""``ssd_edge_export.prune``: prune a run or a network."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any, overload

import numpy as np
import torch

from ssd_edge.data import Dataset
from ssd_edge.data.progress import Progress, unwatched
from ssd_edge.methods import parse_method
from ssd_edge.model import TopKNetwork
from ssd_edge.training import Run
from ssd_edge_export.calibration import calibrate
from ssd_edge_export.options import PruneOptions
from ssd_edge_export.pruning.activity import LayerActivity
from ssd_edge_export.pruning.finetune import AFTER_REFIT, FASTER, fine_tune
from ssd_edge_export.pruning.lottery import lottery_ticket
from ssd_edge_export.pruning.masks import Pruned, prune_network, resolve, resolve_budget
from ssd_edge_export.pruning.refit import imitate, solve_readout
from ssd_edge_export.samples import Samples, run_samples, samples_of, task_names
from ssd_edge_runtime.arrays import Float32, Int64
from ssd_edge_runtime.errors import DataError, OptionError
from ssd_edge_runtime.options import LearningOptions


@overload
def prune(
    source: Run, options: PruneOptions = ..., *, data: Dataset | None = ..., progress: Progress = ...
) -> Run: ...


@overload
def prune(
    source: TopKNetwork,
    options: PruneOptions = ...,
    *,
    data: Dataset | None = ...,
    progress: Progress = ...,
) -> TopKNetwork: ...


def prune(
    source: Run | TopKNetwork,
    options: PruneOptions = PruneOptions(),
    *,
    data: Dataset | None = None,
    progress: Progress = unwatched,
) -> Run | TopKNetwork:
    """Prune a copy of a run or a network to its Top-K-active weights; the shape stays unless ``drop_inactive``.

    ``data``: the training samples; a run loads its own. A run's analytic readout is solved anew on the pruned
    codes. ``progress`` counts the samples of each pass over them and of fine-tuning, or the trainings of a lottery
    ticket.

    >>> small = prune(run, PruneOptions(density=0.1, criterion="magnitude"))  # doctest: +SKIP
    >>> small.provenance["prune"]["layers"]  # doctest: +SKIP
    >>> small.save("runs/small")  # doctest: +SKIP

    Raises OptionError for an option's value, DataError for data that are missing or do not fit.
    """
    if isinstance(source, Run):
        return prune_run(source, options, data, progress)
    return _prune_network(source, options, data, progress)


def _prune_network(
    network: TopKNetwork, options: PruneOptions, data: Dataset | None, progress: Progress
) -> TopKNetwork:
    if data is None:
        raise DataError("pruning a network needs data: what its neurons see and do ranks the weights")
    OptionError.unless(
        options.criterion != "lottery-ticket", "criterion lottery-ticket trains again, so it needs a run"
    )
    samples = samples_of(data, network.classes) if network.classes else Samples(data.x, data.y)
    analytic = network.readout_bias is not None
    chosen, reasons = resolved(options, learned=True, analytic=analytic, to_come=False)
    learning = LearningOptions(nonnegative=nonnegative_weights(network))
    return _prune(network, samples.x, chosen, reasons, learning, analytic, progress).network


def prune_run(run: Run, options: PruneOptions, data: Dataset | None, progress: Progress) -> Run:
    """A run with the pruned network, its readout and boundary brought up to date."""
    if options.criterion == "lottery-ticket":
        ticket, found = lottery_ticket(run, options, progress=progress)
        report = {**found.report, "reason": "", "budget_reason": "", "refit": False, "fine_tune_epochs": 0}
        return dataclasses.replace(ticket, provenance={**run.provenance, "prune": report}, path=None)
    samples, _ = run_samples(run, data)
    analytic = run.analytic is not None
    chosen, reasons = resolved(
        options,
        learned=parse_method(run.config.method).network.learns_features,
        analytic=analytic,
        to_come=run.config.last_task < run.config.task_count,
    )
    pruned = _prune(run.network, samples.x, chosen, reasons, run.learning, analytic, progress)
    network = pruned.network
    recount(network, samples, [run.network.classes.index(name) for name in task_names(run)[-1]], progress)
    result = dataclasses.replace(
        run, network=network, provenance={**run.provenance, "prune": pruned.report}, path=None, statistics=None
    )
    if run.analytic is not None:
        result.statistics = solve_readout(network, samples, run.analytic, progress)
    pass_boundary(result)
    return result


def resolved(
    options: PruneOptions, *, learned: bool, analytic: bool, to_come: bool
) -> tuple[PruneOptions, dict[str, str]]:
    """``options`` with what ``auto`` stands for, and the reasons as the report has them."""
    criterion, reason = resolve(options.criterion, learned=learned)
    budget, why = resolve_budget(options.budget, learned=learned, analytic=analytic, to_come=to_come)
    return dataclasses.replace(options, criterion=criterion, budget=budget), {
        "reason": reason,
        "budget_reason": why,
    }


def _prune(
    network: TopKNetwork,
    x: Float32,
    options: PruneOptions,
    reasons: dict[str, str],
    learning: LearningOptions,
    analytic: bool,
    progress: Progress,
) -> Pruned:
    refit = options.refit and not analytic and options.density < 1.0

    def fit(pruned: TopKNetwork, activities: list[LayerActivity]) -> None:
        if refit:
            imitate(pruned, network, x, activities, nonnegative=learning.nonnegative, progress=progress)

    pruned = prune_network(network, x, options, fit=fit, progress=progress)
    if options.fine_tune_epochs:
        fine_tune(
            pruned.network,
            network,
            x,
            learning,
            epochs=options.fine_tune_epochs,
            seed=options.seed,
            faster=AFTER_REFIT if refit else FASTER,
            progress=progress,
        )
    further: dict[str, Any] = {"refit": refit, "fine_tune_epochs": options.fine_tune_epochs}
    return Pruned(pruned.network, {**pruned.report, **reasons, **further})


def nonnegative_weights(network: TopKNetwork) -> bool:
    """Whether no weight of the network is negative."""
    parameters = [layer.weight for layer in network.topk_layers]
    return all(bool((weight >= 0).all()) for weight in [*parameters, network.readout_weight])


def recount(network: TopKNetwork, samples: Samples, last_task: list[int], progress: Progress = unwatched) -> None:
    """Count activations of the pruned network anew, in place; the last task's are those of its classes."""
    counted = calibrate(network, samples.x, samples.y, last_task=last_task, statistics=False, progress=progress)
    for layer, counts in zip(network.topk_layers, counted.layers, strict=True):
        layer.activation_count = _tensor(counts.activation_count)
        layer.task_count = _tensor(counts.task_count)
        layer.class_count = _tensor(counts.class_count)
    network.class_samples = _tensor(counted.class_samples)
    network.samples_seen, network.task_samples = len(samples), counted.task_samples


def pass_boundary(run: Run) -> None:
    """End the last task anew, in place: the pruned network becomes the teacher."""
    distill = run.learning.distill
    if distill is None:
        run.selected = run.network.most_frequent()
    else:
        run.selected = run.network.most_frequent(distill.n_distill, distill.frequency)
    run.network.boundary()
    run.teacher = copy.deepcopy(run.network).frozen_copy()


def _tensor(counts: Int64) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(counts))
