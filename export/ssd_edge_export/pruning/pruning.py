"""``ssd_edge_export.prune``: prune a run or a network."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from typing import overload

import numpy as np
import torch

from ssd_edge.data import Dataset
from ssd_edge.methods import parse_method
from ssd_edge.model import TopKNetwork
from ssd_edge.training import Run
from ssd_edge_export.calibration import calibrate
from ssd_edge_export.options import Budget, Criterion, PruneOptions
from ssd_edge_export.pruning.activity import LayerActivity
from ssd_edge_export.pruning.finetune import AFTER_REFIT, FASTER, fine_tune
from ssd_edge_export.pruning.lottery import lottery_ticket
from ssd_edge_export.pruning.masks import Pruned, prune_network, resolve, resolve_budget
from ssd_edge_export.pruning.refit import imitate
from ssd_edge_export.samples import Samples, run_samples, samples_of, task_names
from ssd_edge_runtime.analytic import solve_rounded
from ssd_edge_runtime.arrays import Float32, Int64
from ssd_edge_runtime.errors import DataError, OptionError
from ssd_edge_runtime.options import LearningOptions

Tick = Callable[[int], None]


@overload
def prune(
    source: Run,
    *,
    density: float = ...,
    criterion: Criterion = ...,
    budget: Budget = ...,
    reserve: float = ...,
    drop_inactive: bool = ...,
    refit: bool = ...,
    fine_tune_epochs: int = ...,
    seed: int = ...,
    data: Dataset | None = ...,
    tick: Tick = ...,
) -> Run: ...


@overload
def prune(
    source: TopKNetwork,
    *,
    density: float = ...,
    criterion: Criterion = ...,
    budget: Budget = ...,
    reserve: float = ...,
    drop_inactive: bool = ...,
    refit: bool = ...,
    fine_tune_epochs: int = ...,
    seed: int = ...,
    data: Dataset | None = ...,
    tick: Tick = ...,
) -> TopKNetwork: ...


def prune(
    source: Run | TopKNetwork,
    *,
    density: float = 0.05,
    criterion: Criterion = "auto",
    budget: Budget = "auto",
    reserve: float = 0.1,
    drop_inactive: bool = False,
    refit: bool = True,
    fine_tune_epochs: int = 0,
    seed: int = 0,
    data: Dataset | None = None,
    tick: Tick = lambda samples: None,
) -> Run | TopKNetwork:
    """Prune a copy of ``source`` to its Top-K-active weights; the shape stays unless ``drop_inactive``.

    ``data``: the training samples; a run loads its own. For the other arguments see ``PruneOptions``. A run's
    analytic readout is solved anew on the pruned codes; a run's ``provenance["prune"]`` is the report. ``tick`` is
    called with the number of samples after every step of fine-tuning, with 1 after every training of a
    lottery ticket.

    Raises OptionError for an option's value, DataError for data that are missing or do not fit.
    """
    options = PruneOptions(density, criterion, budget, reserve, drop_inactive, refit, fine_tune_epochs, seed)
    if isinstance(source, Run):
        return prune_run(source, options, data, tick)
    if data is None:
        raise DataError("pruning a network needs data: what its neurons see and do ranks the weights")
    samples = samples_of(data, source.classes) if source.classes else Samples(data.x, data.y)
    analytic = source.readout_bias is not None
    learning = LearningOptions(nonnegative=nonnegative_weights(source))
    return _prune(source, samples.x, options, True, analytic, learning, tick).network


def prune_run(run: Run, options: PruneOptions, data: Dataset | None = None, tick: Tick = lambda _: None) -> Run:
    """A run with the pruned network, its readout and boundary brought up to date."""
    samples, _ = run_samples(run, data)
    learned = parse_method(run.config.method).network.learns_features
    if options.criterion == "lottery-ticket":
        ticket, found = lottery_ticket(run, options, tick=tick)
        report = {**found.report, "reason": "", "budget_reason": "", "refit": False, "fine_tune_epochs": 0}
        return dataclasses.replace(ticket, provenance={**run.provenance, "prune": report}, path=None)
    analytic, further = run.analytic is not None, run.config.last_task < run.config.tasks
    pruned = _prune(run.network, samples.x, options, learned, analytic, run.learning, tick, further)
    network = pruned.network
    recount(network, samples, [run.network.classes.index(name) for name in task_names(run)[-1]])
    result = dataclasses.replace(
        run, network=network, provenance={**run.provenance, "prune": pruned.report}, path=None, statistics=None
    )
    if run.analytic is not None:
        result.statistics = calibrate(network, samples.x, samples.y).statistics
        assert result.statistics is not None
        readout, _ = solve_rounded(result.statistics, run.analytic, "float32")
        assert readout.bias is not None
        network.readout_weight.data = torch.from_numpy(readout.weights)
        network.readout_bias = torch.from_numpy(readout.bias)
    pass_boundary(result)
    return result


def _prune(
    network: TopKNetwork,
    x: Float32,
    options: PruneOptions,
    learned: bool,
    analytic: bool,
    learning: LearningOptions,
    tick: Tick,
    to_come: bool = False,
) -> Pruned:
    OptionError.unless(
        options.criterion != "lottery-ticket", "criterion lottery-ticket trains again, so it needs a run"
    )
    criterion, reason = resolve(options.criterion, learned=learned)
    budget, why = resolve_budget(options.budget, learned=learned, analytic=analytic, to_come=to_come)
    refit = options.refit and not analytic and options.density < 1.0

    def fit(pruned: TopKNetwork, activities: list[LayerActivity]) -> None:
        if refit:
            imitate(pruned, network, x, activities, nonnegative=learning.nonnegative)

    pruned = prune_network(network, x, dataclasses.replace(options, criterion=criterion, budget=budget), fit=fit)
    if options.fine_tune_epochs:
        faster = AFTER_REFIT if refit else FASTER
        fine_tune(
            pruned.network, network, x, learning, options.fine_tune_epochs, options.seed, tick, faster=faster
        )
    report = {"reason": reason, "budget_reason": why, "refit": refit, "fine_tune_epochs": options.fine_tune_epochs}
    return Pruned(pruned.network, {**pruned.report, **report})


def nonnegative_weights(network: TopKNetwork) -> bool:
    """Whether no weight of the network is negative."""
    parameters = [layer.weight for layer in network.topk_layers]
    return all(bool((weight >= 0).all()) for weight in [*parameters, network.readout_weight])


def recount(network: TopKNetwork, samples: Samples, last_task: list[int]) -> None:
    """Count activations of the pruned network anew, in place; the last task's are those of its classes."""
    counted = calibrate(network, samples.x, samples.y, last_task=last_task, statistics=False)
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
