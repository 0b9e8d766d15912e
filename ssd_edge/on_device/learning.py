"""A labelled data set learned by a model file: guard, checkpoints, and what is reported."""

from __future__ import annotations

import dataclasses
import time
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ssd_edge.data import Dataset, Reading
from ssd_edge.data.progress import Progress, unwatched
from ssd_edge.on_device.callbacks import Stop, Tell, never, silent
from ssd_edge.on_device.guard import Guard
from ssd_edge.on_device.inputs import Data, Loading, load_labelled, load_model, note_confined
from ssd_edge.on_device.keys import Keys
from ssd_edge.on_device.plan import LearnPlan, analytic_options, options_for, passes, solve_by, use
from ssd_edge.on_device.resume import Pace, Resuming, digest_of_data, go_on, look
from ssd_edge.on_device.transaction import Change, Saving, changing, saved_as
from ssd_edge_runtime import EdgeModel
from ssd_edge_runtime.checkpoints import Checkpoints, Unfinished
from ssd_edge_runtime.errors import FewSamplesWarning
from ssd_edge_runtime.options import LearningOptions

RARE = 50
"""Samples below which a class is missed often, beside classes of IMBALANCED times as many."""
IMBALANCED = 10


def learn(
    model: str | Path,
    data: Data,
    plan: LearnPlan = LearnPlan(),
    *,
    guard: Guard | None = None,
    resuming: Resuming = Resuming(),
    split: str = "train",
    root: str | Path | None = None,
    reading: Reading = Reading(),
    saving: Saving = Saving(),
    loading: Loading = Loading(),
    keys: Keys = Keys(),
    tell: Tell = silent,
    progress: Progress = unwatched,
    stop: Stop = never,
) -> dict[str, Any]:
    """Learn labelled samples and save the file ``model`` as a new generation; unknown labels become new classes.

    ``data``: a built-in name, a file, a folder of class folders, arrays (x, y) or a Dataset; ``split``,
    ``root`` and ``reading`` are for data given by name. Once this returns, what it reports is on storage. Where
    ``guard`` does not hold, nothing is saved and ``kept`` is false. Checkpoints go to a journal beside the
    file; after a kill, the same call with ``Resuming(resume=True)`` goes on from the last one and ends where it
    would have ended. So it does where ``stop`` said yes before all was learned: the report then has ``stopped``,
    and in ``samples`` how many the journal holds, all passes counted.

    Returns ``samples``, ``epochs``, ``resumed``, ``classes_added``, ``checkpoints``, ``kept``, ``guard`` where
    there is one (``before``, ``after``, ``max_drop``), ``withheld`` (classes too few samples of which were seen to
    be answered, and how many), ``file``, ``generation``, ``classes``, ``samples_seen`` and ``seconds``. Raises
    SSDEdgeError or OSError; the file is then what it was.

    >>> learn("model.onnx", "new.npz")["classes_added"]  # doctest: +SKIP
    ['emu', 'fox']
    >>> learn("model.onnx", (x, labels), guard=Guard("test.npz", max_drop=0.02))["kept"]  # doctest: +SKIP
    True
    """
    with (
        warnings.catch_warnings(action="ignore", category=FewSamplesWarning),
        changing(model, saving, loading=loading, keys=keys, learning=True, tell=tell) as change,
    ):
        dataset = load_labelled(data, change.model, split=split, root=root, reading=reading)
        note_confined(change.model, tell)
        if guard:
            guard = guard.loaded(change.model, root, reading)
        change.model.scale_check = "off"  # All of the data was looked at; now it comes in parts.
        begun = time.perf_counter()
        report = Lesson(change, dataset, plan, resuming, guard, tell, progress, stop).learn()
        report["seconds"] = round(time.perf_counter() - begun, 3)
        if report["kept"]:
            note_rare(change.model, dataset.names.tolist(), tell)
    return report


@dataclass
class Lesson:
    """One data set on its way into a model."""

    change: Change
    dataset: Dataset
    plan: LearnPlan
    how: Resuming
    guard: Guard | None
    """Its data loaded."""
    tell: Tell
    progress: Progress
    stop: Stop

    def __post_init__(self) -> None:
        self._known = self._ordered_by = self.change.model.classes_
        self.journaled = 0
        """Samples of all passes that the journal holds, where it was stopped."""

    def learn(self) -> dict[str, Any]:
        """Learn, judge, save; returns what is reported, but for the time that it took."""
        change, model = self.change, self.change.model
        deciding = self._deciding()
        options = options_for(model, self.plan)
        unfinished = look(change, deciding, self.how, self.tell)
        if unfinished and unfinished.classes is not None:
            self._ordered_by = unfinished.classes
        solved_by = analytic_options(model, self.plan)
        report: dict[str, Any] = {"samples": len(self.dataset), "epochs": self.plan.epochs}
        if unfinished and unfinished.finished(change.target):
            return report | self._finished_before(unfinished)
        before = self._score()
        solve_by(model, solved_by)
        work = Checkpoints(model, change.target, deciding, change.keys.seal)
        with keeping(work, unfinished, self.tell) as done:
            if not self._learn_all(work, options, done):
                return report | self._stopped(work)
            report["resumed"] = done.get("samples", 0)
            report["classes_added"] = [name for name in model.classes_ if name not in self._known]
            change.guard = self._score()
            report |= {"checkpoints": work.count} | self._verdict(before, change.guard)
            if report["kept"]:
                report |= {"withheld": model.withheld_} | change.save(work.announce)
            else:
                report |= {"file": str(change.target), "generation": None, "classes": self._known}
            work.drop()
        return report

    def _deciding(self) -> dict[str, Any]:
        """What decides the result, as the journal remembers it."""
        options = dataclasses.asdict(self.plan) | {"checkpoint_every": self.how.every}
        return {"data": digest_of_data(self.dataset), **options}

    def _learn_all(self, work: Checkpoints, options: LearningOptions | None, done: dict[str, int]) -> bool:
        """Go through the data, but for the calls that were ``done`` before, with a checkpoint now and then.

        Returns whether it came to the end; where it was stopped, a checkpoint holds all that was learned.
        """
        model, own = self.change.model, self.change.model.learning
        dataset, total = self.dataset, len(self.dataset) * self.plan.epochs
        pace, learned = Pace(self.how), 0
        calls = passes(dataset, self.plan, self.how.every, self._ordered_by, own.batch_size if own else 128)
        for number, samples in enumerate(calls, 1):
            if self.stop():
                if number - 1 > done.get("calls", 0):
                    work.write({"calls": number - 1, "samples": learned})
                self.journaled = max(learned, done.get("samples", 0))
                return False
            learned += len(samples)
            if number > done.get("calls", 0):
                use(model, options)
                model.partial_fit(dataset.x[samples], dataset.names[samples])
                use(model, own)
                if pace.due(len(samples)):
                    work.write({"calls": number, "samples": learned})
            self.progress(learned, total)
        return True

    def _stopped(self, work: Checkpoints) -> dict[str, Any]:
        """The report of learning that ended on the way, its journal staying where there is one."""
        if self.journaled:
            self.tell(f"stopped: {work.path} holds {self.journaled} samples: learn the same with --resume")
        else:
            self.tell("stopped: nothing was learned")
            work.drop()
        report = {"stopped": True, "kept": False, "samples": self.journaled, "file": str(self.change.target)}
        return report | {"checkpoints": work.count, "classes": self._known}

    def _score(self) -> float | None:
        """Accuracy on the guard's data, if there is any."""
        return float(self.guard.right(self.change.model).mean()) if self.guard else None

    def _verdict(self, before: float | None, after: float | None) -> dict[str, Any]:
        """Whether what was learned is kept, and why."""
        if self.guard is None or before is None or after is None:
            return {"kept": True}
        return self.guard.verdict(before, after)

    def _finished_before(self, unfinished: Unfinished) -> dict[str, Any]:
        """The report of learning that was killed between saving its result and saying so."""
        change = self.change
        change.model = load_model(change.target, keys=change.keys)
        unfinished.journal.remove()
        report = {"resumed": len(self.dataset), "classes_added": [], "checkpoints": 0, "kept": True}
        report["withheld"] = change.model.withheld_
        return report | saved_as(change.model, change.target)


@contextmanager
def keeping(work: Checkpoints, unfinished: Unfinished | None, tell: Tell) -> Iterator[dict[str, int]]:
    """Begin a journal or go on with one, and yield its progress; an error before any checkpoint leaves none."""
    if unfinished:
        go_on(work, unfinished, tell)
    else:
        work.begin()
    try:
        yield unfinished.progress if unfinished else {}
    except BaseException:
        if work.count:
            tell(f"{work.path} holds the last checkpoint: learn the same with --resume")
        else:
            work.drop()
        raise


def note_rare(model: EdgeModel, labels: Iterable[str], tell: Tell) -> None:
    """Tell which of the classes just learned are not answered yet, or rarely will be."""
    withheld, state = model.withheld_, model.state
    counts = dict(zip(state.classes, state.class_samples.tolist(), strict=True))
    most = max(counts.values())
    for name in dict.fromkeys(labels):
        if name in withheld and state.analytic is not None:
            least = state.analytic.min_samples
            tell(f"note: {name} is answered from {least} samples on and has {counts[name]}")
        elif counts[name] < min(RARE, most / IMBALANCED):
            tell(f"note: {name} will often be missed: {counts[name]} seen, of another class {most}")
