"""The lottery ticket: iterative magnitude pruning with rewinding (Frankle et al., ICML 2020)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor

from ssd_edge.data.progress import Progress, unwatched
from ssd_edge.methods import parse_method
from ssd_edge.model import normalize_rows
from ssd_edge.training import Run
from ssd_edge.training.api import pick_device
from ssd_edge.training.task_options import load_part
from ssd_edge.training.trainer import Trainer
from ssd_edge_export.options import Budget, PruneOptions
from ssd_edge_export.pruning.masks import Pruned, prune_network
from ssd_edge_export.samples import run_samples
from ssd_edge_runtime.errors import OptionError

ROUNDS = 4
REWIND = 0.02
"""Share of the run's gradient steps after which the rewinding point stands."""


def lottery_ticket(
    run: Run, options: PruneOptions, rounds: int = ROUNDS, progress: Progress = unwatched
) -> tuple[Run, Pruned]:
    """Train, keep the largest weights, rewind W to an early step, train again; ``rounds`` times.

    Each round keeps the same share of what the last has left, down to ``options.density``. The reserve is as in
    any pruning; so is the budget, but auto means row: who fires is decided anew in every round. V starts anew in
    every round. The first round takes the trained ``run`` for its training.
    ``progress`` counts trainings. Raises OptionError for a run that does not learn W.
    """
    OptionError.unless(
        parse_method(run.config.method).network.learns_features and _trainer(run).schedule.total_steps > 0,
        f"criterion lottery-ticket trains W again and again, but method {run.config.method} does not learn it",
    )
    budget: Budget = "row" if options.budget == "auto" else options.budget
    samples, _ = run_samples(run)
    early = early_weights(run)
    ticket = run
    for number in range(1, rounds + 1):
        density = options.density ** (number / rounds)
        chosen = dataclasses.replace(options, density=density, criterion="magnitude", budget=budget)
        pruned = prune_network(ticket.network, samples.x, chosen)
        masks = [layer.mask for layer in pruned.network.topk_layers]
        ticket = _train_masked(run, early, [mask for mask in masks if mask is not None])
        progress(number, rounds)
    report = {**pruned.report, "criterion": "lottery-ticket", "rounds": rounds}
    return ticket, Pruned(ticket.network, report)


def _trainer(run: Run) -> Trainer:
    train, test = (load_part(run.config, split, run.memory) for split in ("train", "test"))
    return Trainer(run.config, train, test, pick_device(run.config.device), embeddings=run.embeddings)


def early_weights(run: Run) -> list[Tensor]:
    """W of every layer as it was after ``REWIND`` of the run's steps, trained again from the run's seed."""
    trainer = _trainer(run)
    last = max(1, round(REWIND * trainer.schedule.total_steps))
    for _ in trainer.fit():
        if trainer.steps_done >= last:
            break
    return [layer.weight.detach().clone() for layer in trainer.network.topk_layers]


@torch.no_grad()
def _train_masked(run: Run, weights: Sequence[Tensor], masks: Sequence[Tensor]) -> Run:
    trainer = _trainer(run)
    for layer, weight, mask in zip(trainer.network.topk_layers, weights, masks, strict=True):
        layer.mask = mask.to(weight.device)
        layer.weight.copy_(normalize_rows(weight * layer.mask))
    with torch.enable_grad():
        for _ in trainer.fit():
            pass
    return dataclasses.replace(trainer.result(), metrics=run.metrics, memory=run.memory)
