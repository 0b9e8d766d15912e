"""One labelled data set learned by a model: order, epochs, checkpoints, guard."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from ssd_edge.cli.output import say
from ssd_edge.data import Dataset
from ssd_edge.on_device.inputs import load_model
from ssd_edge.on_device.resume import Pace, Resuming, digest_of_data, look
from ssd_edge.on_device.transaction import Change, saved_as
from ssd_edge_runtime import EdgeModel
from ssd_edge_runtime.arrays import Int64
from ssd_edge_runtime.checkpoints import Checkpoints, Unfinished
from ssd_edge_runtime.errors import OptionError
from ssd_edge_runtime.options import AnalyticOptions, DistillOptions, LearningOptions, Priors

BATCHES_PER_CALL = 16
RARE = 50
"""Samples below which a class is missed often, beside classes of IMBALANCED times as many."""
IMBALANCED = 10


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
    checkpoint_every: int | None = None
    """Samples between checkpoints, if they are counted; then no call to the model has more."""
    priors: Priors | None = None
    """How an analytic readout weighs classes from now on; None for as before."""
    min_samples: int | None = None
    """Samples from which on it answers a class, from now on; None for as before."""
    guarded: bool = False
    """Whether the result may yet be thrown away."""

    def __post_init__(self) -> None:
        OptionError.unless(self.epochs >= 1, f"epochs must be at least 1, got {self.epochs}")

    def deciding(self, data: str) -> dict[str, Any]:
        """What decides the result; ``data`` is a digest."""
        fields = dataclasses.asdict(self)
        del fields["guarded"]
        return {"data": data, **fields}


def learn_dataset(
    change: Change,
    dataset: Dataset,
    plan: LearnPlan,
    how: Resuming,
    guard: Dataset | None = None,
    max_drop: float = 0.0,
    advance: Callable[[int], None] = lambda count: None,
) -> dict[str, Any]:
    """Learn, judge, save; returns what ``learn --json`` prints, but for ``seconds``."""
    model = change.model
    known, own = model.classes_, model.learning
    options = options_for(model, plan)
    deciding = plan.deciding(digest_of_data(dataset))
    unfinished = look(change, deciding, how)
    solved_by = analytic_options(model, plan)
    report: dict[str, Any] = {"samples": len(dataset), "epochs": plan.epochs}
    if unfinished and unfinished.finished(change.target):
        return report | finished_before(change, unfinished, dataset)
    before = model.score(guard.x, guard.names) if guard else 0.0
    solve_by(model, solved_by)
    work = Checkpoints(model, change.target, deciding)
    with keeping(work, unfinished) as done:
        pace, learned = Pace(how), 0
        for number, samples in enumerate(passes(dataset, plan, known, own.batch_size if own else 128), 1):
            learned += len(samples)
            advance(len(samples))
            if number <= done.get("calls", 0):
                continue
            use(model, options)
            model.partial_fit(dataset.x[samples], dataset.names[samples])
            use(model, own)
            if pace.due(len(samples)):
                work.write({"calls": number, "samples": learned})
        report["resumed"] = done.get("samples", 0)
        report["classes_added"] = [name for name in model.classes_ if name not in known]
        report |= {"checkpoints": work.count, "kept": True}
        if guard:
            after = model.score(guard.x, guard.names)
            report["guard"] = {"before": before, "after": after, "max_drop": max_drop}
            report["kept"] = before - after <= max_drop
        if report["kept"]:
            report |= {"withheld": model.withheld_} | change.save(work.announce)
        else:
            report |= {"file": str(change.target), "generation": None, "classes": known}
        work.drop()
    return report


@contextmanager
def keeping(work: Checkpoints, unfinished: Unfinished | None) -> Iterator[dict[str, int]]:
    """Begin a journal or go on with one, and yield its progress; an error before any checkpoint leaves none."""
    if unfinished:
        work.go_on(unfinished)
    else:
        work.begin()
    try:
        yield unfinished.progress if unfinished else {}
    except BaseException:
        if work.count:
            say(f"{work.path} holds the last checkpoint: learn the same with --resume")
        else:
            work.drop()
        raise


def finished_before(change: Change, unfinished: Unfinished, dataset: Dataset) -> dict[str, Any]:
    """The report of learning that was killed between saving its result and saying so."""
    change.model = load_model(change.target)
    unfinished.journal.remove()
    report = {"resumed": len(dataset), "classes_added": [], "checkpoints": 0, "kept": True}
    report["withheld"] = change.model.withheld_
    return report | saved_as(change.model, change.target)


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


def note_rare(model: EdgeModel, labels: Iterable[str]) -> None:
    """Say which of the classes just learned are not answered yet, or rarely will be."""
    withheld, state = model.withheld_, model.state
    counts = dict(zip(state.classes, state.class_samples.tolist(), strict=True))
    most = max(counts.values())
    for name in dict.fromkeys(labels):
        if name in withheld and state.analytic is not None:
            least = state.analytic.min_samples
            say(f"note: {name} is answered from {least} samples on and has {counts[name]}")
        elif counts[name] < min(RARE, most / IMBALANCED):
            say(f"note: {name} will often be missed: {counts[name]} seen, of another class {most}")


def use(model: EdgeModel, options: LearningOptions | None) -> None:
    """Learn with ``options`` from here on; those of one command are never saved with the model."""
    if options is not None and model.learning != options:
        model.learning = options


def passes(dataset: Dataset, plan: LearnPlan, known: list[str], batch_size: int) -> Iterator[Int64]:
    """Indices of the samples for one call of ``partial_fit`` after another."""
    rng = np.random.default_rng(plan.seed)
    size = batch_size * BATCHES_PER_CALL
    every = plan.checkpoint_every or len(dataset)
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
