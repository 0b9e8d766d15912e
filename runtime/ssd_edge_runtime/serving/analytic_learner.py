"""Analytic learning beside predictions: statistics change in place, the readout is solved when it is asked for."""

from __future__ import annotations

import dataclasses
import math
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ssd_edge_runtime import analytic
from ssd_edge_runtime.analytic.lessons import Lesson, decode, encode
from ssd_edge_runtime.arrays import Float32
from ssd_edge_runtime.errors import EdgeModelError
from ssd_edge_runtime.network.counting import Touched, count
from ssd_edge_runtime.network.forward import block_size, forward, preprocess
from ssd_edge_runtime.network.writable import add_classes, drop_class, writable_copy
from ssd_edge_runtime.options import AnalyticOptions
from ssd_edge_runtime.serving.learner import Record
from ssd_edge_runtime.serving.snapshot import Published, Snapshot
from ssd_edge_runtime.sparse.codes import Codes
from ssd_edge_runtime.state import ModelState, Statistics

if TYPE_CHECKING:
    from ssd_edge_runtime.gradient.dampening import DampeningOptions, DampeningReport


@dataclasses.dataclass(eq=False)
class Unsolved:
    """What a solution is made from, as of one moment."""

    version: int
    classes: list[str]
    system: analytic.System


class AnalyticLearner:
    """A :class:`~ssd_edge_runtime.serving.learner.Learner` that adds to statistics in place; reading solves them.

    ``_version`` counts the changes of what is live, ``_solved`` is the version that the published readout is of.
    """

    def __init__(self, published: Published) -> None:
        self._published = published
        self._live = published.snapshot.state
        self._own = False
        """Whether the live arrays may be written into: nobody else was handed them."""
        self._block = block_size(self._live.input_width)
        self._version = self._solved = 0
        self.pending = 0.0
        """Infinity after a class was removed."""
        self._solving = threading.Lock()
        self._mine = threading.local()
        """``version``: the last one that this thread made."""
        self._lessons: list[Lesson] | None = None
        """What was learned since a checkpoint; None where nobody makes any."""

    @property
    def state(self) -> ModelState:
        """All that was learned; its readout may be older than its statistics."""
        return self._live

    def learn(self, x: Float32, names: list[str]) -> None:
        """Add checked samples to the statistics."""
        self._add(Lesson(names, self._codes(x)))

    def _add(self, lesson: Lesson) -> None:
        """Add samples of which the codes are known; the same lessons in the same order give the same bits."""
        names, blocks = lesson.names, lesson.blocks
        new = [name for name in dict.fromkeys(names) if name not in self._live.classes]
        live = self._writable()
        labels = _places(names, [*live.classes, *new])
        gathered = None
        if len(blocks) > 1:
            # An error in a later block must leave nothing behind.
            gathered = analytic.empty(live.layers[-1].weights.shape[0], len(live.classes) + len(new))
            self._gather(gathered, blocks, labels)
        statistics = live.statistics
        assert statistics is not None
        add_classes(live, new)
        live.statistics = statistics = analytic.with_classes(statistics, len(live.classes))
        if gathered is None:
            self._gather(statistics, blocks, labels)
        else:
            statistics.gram += gathered.gram
            statistics.class_sums += gathered.class_sums
            statistics.class_counts += gathered.class_counts
        self._count(blocks, labels, 1)
        self.pending += len(names)
        if self._lessons is not None:
            self._lessons.append(lesson)

    def unlearn(self, x: Float32, names: list[str]) -> None:
        """Take checked samples out again; a class that loses its last sample leaves the classes."""
        unknown = [name for name in names if name not in self._live.classes]
        if unknown:
            raise EdgeModelError(f"unknown class {unknown[0]!r}: the model knows {', '.join(self._live.classes)}")
        statistics = self._statistics()
        labels = _places(names, self._live.classes)
        blocks = self._codes(x)
        gathered = analytic.empty(statistics.class_sums.shape[1], len(self._live.classes))
        self._gather(gathered, blocks, labels)
        rest = analytic.subtract(statistics, gathered)
        if not rest.class_counts.any():
            raise EdgeModelError("cannot unlearn every sample: nothing would be left to answer from")
        live = self._writable(with_statistics=False)
        live.statistics = rest
        self._count(blocks, labels, -1)
        self.pending += len(x)
        emptied = np.flatnonzero((rest.class_counts == 0) & (gathered.class_counts > 0))
        for index in emptied[::-1]:
            self._drop(int(index))

    def forget(self, name: str) -> None:
        """Remove class ``name``: its mean leaves the statistics with it, its inner scatter stays."""
        index = self._live.classes.index(name)
        statistics = self._statistics()
        live = self._writable()
        assert live.statistics is not None
        samples = int(statistics.class_counts[index])
        self.pending = math.inf
        analytic.forget_mean(live.statistics.gram, statistics.class_sums[index].copy(), samples)
        self._drop(index)

    def dampen(
        self, name: str, samples: Float32, retained: Float32, names: list[str], options: DampeningOptions
    ) -> DampeningReport:
        """Raises EdgeModelError: there is something better."""
        raise EdgeModelError("dampen needs the gradient readout; the analytic one can unlearn exactly")

    def boundary(self) -> bool:
        """Tasks are nothing to statistics."""
        return False

    def solve_with(self, options: AnalyticOptions) -> None:
        """Solve the readout by other options from now on."""
        self._statistics()
        self._live = dataclasses.replace(self._live, analytic=options)
        self._next_version()
        self.pending = math.inf

    def withheld(self) -> dict[str, int]:
        """Classes that are not answered, and how many samples each has."""
        statistics, options = self._live.statistics, self._live.analytic
        if statistics is None or options is None:
            return {}
        few = np.flatnonzero(analytic.withheld(statistics.class_counts, options))
        return {self._live.classes[index]: int(statistics.class_counts[index]) for index in few}

    def refresh(self, learning: threading.RLock) -> None:
        """Solve a readout that is older than its statistics.

        A thread that learned gets an answer that knows it. Any other takes the readout as it is if it would have
        to wait for someone else's learning or solving.
        """
        mine = getattr(self._mine, "version", 0) > self._solved
        if not self._solving.acquire(blocking=mine):
            return
        try:
            if self._version == self._solved or not learning.acquire(blocking=mine):
                return
            try:
                unsolved = self._unsolved()
            finally:
                learning.release()
            self._solve(unsolved)
        finally:
            self._solving.release()

    def _unsolved(self) -> Unsolved:
        """The equations of the readout as of now."""
        assert self._live.analytic is not None
        system = analytic.prepare(self._statistics(), self._live.analytic)
        return Unsolved(self._version, self._live.classes, system)

    def _solve(self, unsolved: Unsolved) -> None:
        """Solve, the slow part, under no lock that learning waits for, and publish unless a newer one is."""
        readout, kind = analytic.rounded(*unsolved.system.solve(), self._live.values_type)
        changes = {"classes": unsolved.classes, "readout": readout, "values_type": kind}
        fresh = Snapshot(dataclasses.replace(self._live, statistics=None, **changes))  # type: ignore[arg-type]
        with self._published.gate:
            if unsolved.version > self._solved:
                self._published.snapshot, self._solved = fresh, unsolved.version
                if self._solved == self._version:
                    self.pending = 0.0

    def whole(self) -> ModelState:
        """The live state, with the readout solved if it is not."""
        if self._version != self._solved:
            self._solve(self._unsolved())
        solved = self._published.snapshot.state
        return dataclasses.replace(self._live, readout=solved.readout, values_type=solved.values_type)

    def lend(self) -> ModelState:
        """The same, for the caller to keep: the live arrays are copied before the next change."""
        state = self.whole()
        self._published.snapshot.lent = True
        self._own = False
        return state

    def replace(self, **changes: Any) -> None:
        """Change plain fields of the live state and, solved before, of the published one."""
        self.whole()
        self._live = dataclasses.replace(self._live, **changes)
        self._published.put_changed(**changes)

    def record(self) -> Record:
        """The codes of the samples learned since the last call; the first call begins to remember them."""
        lessons, self._lessons = self._lessons or [], []
        return encode(lessons)

    def replay(self, fields: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> None:
        """Learn what :meth:`record` gave, without its samples. Raises EdgeModelError."""
        for lesson in list(decode(fields, arrays, self._live.layers, self._block)):
            self._add(lesson)

    def _statistics(self) -> Statistics:
        if self._live.statistics is None:
            raise EdgeModelError("the model carries no learning state: export it without --no-learning-state")
        return self._live.statistics

    def _writable(self, with_statistics: bool = True) -> ModelState:
        statistics = self._statistics()
        if not self._own:
            self._live = writable_copy(self._live)
            if with_statistics:
                self._live.statistics = Statistics(
                    statistics.gram.copy(), statistics.class_sums.copy(), statistics.class_counts.copy()
                )
            self._own = True
        self._next_version()
        return self._live

    def _next_version(self) -> None:
        with self._published.gate:
            self._version += 1
        self._mine.version = self._version

    def _codes(self, x: Float32) -> list[list[Codes]]:
        state = self._live
        blocks = []
        for start in range(0, len(x), self._block):
            u = preprocess(x[start : start + self._block], state.center, state.epsilon)
            blocks.append([each.codes for each in forward(state.layers, u)])
        return blocks

    def _gather(self, statistics: Statistics, blocks: list[list[Codes]], labels: NDArray[np.intp]) -> None:
        for number, codes in enumerate(blocks):
            analytic.accumulate(statistics, codes[-1], labels[number * self._block : (number + 1) * self._block])

    def _count(self, blocks: list[list[Codes]], labels: NDArray[np.intp], sign: int) -> None:
        live = self._live
        for number, codes in enumerate(blocks):
            for layer, code in zip(live.layers, codes, strict=True):
                touched = Touched.by(code)
                count(layer, code, touched, labels[number * self._block : (number + 1) * self._block], sign)
        change = sign * np.bincount(labels, minlength=len(live.classes))
        live.class_samples = np.maximum(live.class_samples + change, 0)
        live.samples_seen = max(live.samples_seen + sign * len(labels), 0)
        live.task_samples = max(live.task_samples + sign * len(labels), 0)

    def _drop(self, index: int) -> None:
        live = self._live
        statistics = self._statistics()
        drop_class(live, index)
        keep = np.delete(np.arange(len(statistics.class_counts)), index)
        live.statistics = analytic.select_classes(statistics, keep)


def _places(names: list[str], classes: list[str]) -> NDArray[np.intp]:
    places = {name: number for number, name in enumerate(classes)}
    return np.fromiter((places[name] for name in names), np.intp, len(names))
