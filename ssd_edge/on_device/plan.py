"""How learning goes through its data: passes, order, and the options that hold while it lasts."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ssd_edge.data import Dataset
from ssd_edge_runtime import EdgeModel
from ssd_edge_runtime.arrays import Int64
from ssd_edge_runtime.errors import OptionError
from ssd_edge_runtime.options import AnalyticOptions, DistillOptions, LearningOptions, Priors

BATCHES_PER_CALL = 16


@dataclass(frozen=True)
class LearnPlan:
    """How ``learn`` goes through its data."""

    epochs: int = 1
    """Passes; the analytic readout takes exactly one."""
    lr: float | None = None
    """Step size for this data; None for the model's."""
    distill: bool | None = None
    """Distillation for this data; None for what the model was trained with."""
    shuffle: bool = True
    """A new random order in each pass."""
    seed: int = 0
    """Seeds the order."""
    priors: Priors | None = None
    """How an analytic readout weighs classes from now on; None for as before."""
    min_samples: int | None = None
    """Samples from which on it answers a class, from now on; None for as before."""

    def __post_init__(self) -> None:
        OptionError.unless(self.epochs >= 1, f"epochs must be at least 1, got {self.epochs}")
        OptionError.unless(self.seed >= 0, f"seed must be 0 or more, got {self.seed}")


def options_for(model: EdgeModel, plan: LearnPlan) -> LearningOptions | None:
    """The model's learning options with those of the plan in their place."""
    own = model.learning
    if model.state.readout.kind == "analytic":
        OptionError.unless(plan.epochs == 1, f"epochs must be 1 with the analytic readout, got {plan.epochs}")
        OptionError.unless(plan.lr is None, "lr is an option of the gradient readout; this model's is analytic")
        OptionError.unless(
            plan.distill is None, "distill is an option of the gradient readout; this model's is analytic"
        )
    if own is None:
        return None
    changes: dict[str, Any] = {} if plan.lr is None else {"learning_rate": plan.lr}
    if plan.distill is not None:
        changes["distill"] = (own.distill or DistillOptions()) if plan.distill else None
    return dataclasses.replace(own, **changes)


def analytic_options(model: EdgeModel, plan: LearnPlan) -> AnalyticOptions | None:
    """How the model's readout is to be solved: its own options with those of the plan in their place."""
    own = model.analytic
    changes = {"priors": plan.priors, "min_samples": plan.min_samples}
    given = {name: value for name, value in changes.items() if value is not None}
    for name in given:
        OptionError.unless(
            own is not None, f"{name.replace('_', '-')} is an option of the analytic readout; this one is not"
        )
    return dataclasses.replace(own, **given) if own is not None else None  # type: ignore[arg-type]


def solve_by(model: EdgeModel, options: AnalyticOptions | None) -> None:
    """Solve the readout by ``options`` from here on; they are saved with the model."""
    if options is not None and model.analytic != options:
        model.analytic = options


def use(model: EdgeModel, options: LearningOptions | None) -> None:
    """Learn with ``options`` from here on; those of one command are never saved with the model."""
    if options is not None and model.learning != options:
        model.learning = options


def passes(
    dataset: Dataset, plan: LearnPlan, every: int | None, known: list[str], batch_size: int
) -> Iterator[Int64]:
    """Indices of the samples for one call of ``partial_fit`` after another; none goes past a checkpoint.

    ``every``: samples between checkpoints, if they are counted.
    """
    rng = np.random.default_rng(plan.seed)
    size = batch_size * BATCHES_PER_CALL
    every = every or len(dataset)
    for epoch in range(plan.epochs):
        order = rng.permutation(len(dataset)) if plan.shuffle else np.arange(len(dataset))
        if epoch == 0:
            order = newcomers_first(order, dataset, known)
        for start in range(0, len(order), every):
            part = order[start : start + every]
            for first in range(0, len(part), size):
                yield part[first : first + size]


def newcomers_first(order: Int64, dataset: Dataset, known: list[str]) -> Int64:
    """One sample of each new class first, classes in the order of the data.

    A call that meets a new class opens a task boundary; so all of them are met in the first call, and one command
    is one task.
    """
    labels = dataset.y[order]
    new = [i for i, name in enumerate(dataset.classes) if name not in known and (labels == i).any()]
    first = np.array([int(np.argmax(labels == i)) for i in new], np.int64)
    return np.concatenate([order[first], np.delete(order, first)])
