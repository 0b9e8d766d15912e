"""Analytic learning beside predictions: statistics change in place, the readout is solved when it is asked for."""

from __future__ import annotations

import dataclasses
import functools
import math
import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ssd_edge_runtime import analytic
from ssd_edge_runtime.analytic.gram import difference_steps, forget_steps, product_steps
from ssd_edge_runtime.analytic.lessons import Lesson, decode, encode
from ssd_edge_runtime.arrays import Float32, Write
from ssd_edge_runtime.errors import EdgeModelError
from ssd_edge_runtime.network.counting import Touched, counted, were_counted
from ssd_edge_runtime.network.exact import exact_network
from ssd_edge_runtime.network.forward import block_size, forward
from ssd_edge_runtime.network.preprocess import preprocess
from ssd_edge_runtime.network.writable import add_classes, drop_class, writable_copy
from ssd_edge_runtime.options import AnalyticOptions
from ssd_edge_runtime.serving.labels import as_names
from ssd_edge_runtime.serving.learner import Admit, Record
from ssd_edge_runtime.serving.locks import attempt
from ssd_edge_runtime.serving.moment import Moment, Remembered, Unsolved
from ssd_edge_runtime.serving.redo import Changes, Step
from ssd_edge_runtime.serving.snapshot import Published, Snapshot
from ssd_edge_runtime.sparse.codes import Codes
from ssd_edge_runtime.sparse.exact import ExactNetwork
from ssd_edge_runtime.state import ModelState, Statistics

if TYPE_CHECKING:
    from ssd_edge_runtime.gradient.dampening import DampeningOptions, DampeningReport


class AnalyticLearner:
    """A :class:`~ssd_edge_runtime.serving.learner.Learner` that adds to statistics in place; reading solves them.

    A change is prepared aside, published as the next :class:`Moment`, then written into the arrays. Whoever reads
    the arrays finishes that first, should it have been broken off.
    """

    def __init__(self, published: Published) -> None:
        self._published = published
        self._moment = Moment(published.snapshot.state)
        self._block = block_size(self._moment.state.input_width)
        self._solving = threading.Lock()
        self._mine = threading.local()
        """``version``: the last one that this thread made."""

    @property
    def state(self) -> ModelState:
        """All that was learned; its readout may be older than its statistics."""
        return self._moment.state

    @property
    def pending(self) -> float:
        """Samples learned since the published readout was up to date, infinity after a class was removed."""
        moment = self._moment
        return 0.0 if moment.version == self._solved else moment.pending

    @property
    def _solved(self) -> int:
        """The version that the published readout is of."""
        return self._published.snapshot.version

    def settled(self) -> ModelState:
        """The live state, nothing owed to its arrays."""
        moment = self._moment
        moment.owed.finish()
        return moment.state

    def learn(self, x: Float32, names: list[str]) -> None:
        """Add checked samples to the statistics."""
        self._statistics()
        self._add(Lesson(names, self._codes(x)))

    def _add(self, lesson: Lesson) -> None:
        """Add samples of which the codes are known."""
        names, blocks = lesson.names, lesson.blocks
        state = self._writable()
        known = set(state.classes)
        add_classes(state, [name for name in dict.fromkeys(names) if name not in known])
        assert state.statistics is not None
        statistics = state.statistics = analytic.with_classes(state.statistics, len(state.classes))
        labels = _places(names, state.classes)
        codes = _by_layer(blocks)
        if self._exact is not None:
            touched = Touched.by(codes[-1])
            analytic.check_room(statistics, touched.rows, analytic.squared(codes[-1], touched), self._exact.step)
        writes = [*self._counted(state, codes, labels, 1), _sums(statistics, codes[-1], labels)]
        statistics.class_counts = statistics.class_counts + np.bincount(labels, minlength=len(state.classes))
        steps: list[Step] = [_constant(write) for write in writes]
        steps += product_steps(statistics.gram, [block[-1] for block in blocks])
        self._publish(state, steps, pending=self.pending + len(names), remembered=self._with(lesson))

    def unlearn(self, x: Float32, names: list[str]) -> None:
        """Take checked samples out again; a class that loses its last sample leaves the classes."""
        classes = self.state.classes
        unknown = set(names).difference(classes)
        if unknown:
            first = next(name for name in names if name in unknown)
            raise EdgeModelError(f"unknown class {first!r}: the model knows {', '.join(classes)}")
        statistics = self._statistics()
        labels = _places(names, classes)
        analytic.check_counts(statistics, labels)
        blocks = self._codes(x)
        codes = _by_layer(blocks)
        if self._exact is not None and not self._were_counted(codes, labels):
            raise EdgeModelError("cannot unlearn samples that were never learned: their class was never so active")
        gone = analytic.empty(statistics.class_sums.shape[1], len(classes))
        for start, block in zip(range(0, len(x), self._block), blocks, strict=True):
            analytic.accumulate(gone, block[-1], labels[start : start + self._block])
        rest = analytic.rest_of_sums(statistics, gone)
        if not rest.class_counts.any():
            raise EdgeModelError("cannot unlearn every sample: nothing would be left to answer from")
        state = self._writable(whole=True)
        assert state.statistics is not None
        for write in self._counted(state, codes, labels, -1):
            write.do()
        state.statistics = dataclasses.replace(rest, gram=state.statistics.gram)
        for index in np.flatnonzero((rest.class_counts == 0) & (gone.class_counts > 0))[::-1]:
            _drop(state, int(index))
        steps = difference_steps(state.statistics.gram, gone.gram)
        self._publish(state, steps, pending=self.pending + len(x))

    def forget(self, name: str) -> None:
        """Remove class ``name``: its mean leaves the statistics with it, its inner scatter stays."""
        self._statistics()
        state = self._writable(whole=True)
        index = state.classes.index(name)
        assert state.statistics is not None
        gram, own = state.statistics.gram, state.statistics.class_sums[index].copy()
        unit = None if self._exact is None else self._exact.step**2
        steps = forget_steps(gram, own, int(state.statistics.class_counts[index]), unit)
        _drop(state, index)
        self._publish(state, steps, pending=math.inf)

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
        state = dataclasses.replace(self.settled(), analytic=options)
        self._publish(state, own=self._moment.own, pending=math.inf)

    def withheld(self) -> dict[str, int]:
        """Classes that are not answered, and how many samples each has."""
        state = self.state
        statistics, options = state.statistics, state.analytic
        if statistics is None or options is None:
            return {}
        few = np.flatnonzero(analytic.withheld(statistics.class_counts, options))
        return {state.classes[index]: int(statistics.class_counts[index]) for index in few}

    def refresh(self, learning: threading.RLock) -> None:
        """Solve a readout that is older than its statistics.

        A thread that learned gets an answer that knows it. Any other takes the readout as it is if it would have
        to wait for someone else's learning or solving.
        """
        mine = getattr(self._mine, "version", 0) > self._solved

        def solve() -> None:
            if self._moment.version != self._solved:
                unsolved = attempt(learning, mine, self._unsolved)
                if unsolved is not None:
                    self._solve(unsolved)

        attempt(self._solving, mine, solve)

    def _unsolved(self) -> Unsolved:
        """The equations of the readout as of now."""
        statistics, options = self._statistics(), self.state.analytic
        assert options is not None
        return Unsolved(self._moment, analytic.prepare(statistics, options))

    def _solve(self, unsolved: Unsolved) -> None:
        """Solve, the slow part, under no lock that learning waits for, and publish unless a newer one is."""
        state = unsolved.moment.state
        readout, kind = analytic.rounded(*unsolved.system.solve(), state.values_type)
        solved = dataclasses.replace(state, readout=readout, values_type=kind).answering
        self._published.put_newer(Snapshot(solved, unsolved.moment.version))

    def whole(self) -> ModelState:
        """The live state, with the readout solved if it is not."""
        state = self.settled()
        if self._moment.version != self._solved:
            self._solve(self._unsolved())
        solved = self._published.snapshot.state
        return dataclasses.replace(state, readout=solved.readout, values_type=solved.values_type)

    def lend(self) -> ModelState:
        """The same, for the caller to keep: the live arrays are copied before the next change."""
        state = self.whole()
        self._published.snapshot.lent = True
        self._moment = dataclasses.replace(self._moment, own=False)
        return state

    def replace(self, **changes: Any) -> None:
        """Change plain fields of the live state and, solved before, of the published one."""
        state = self.whole()
        solved = dataclasses.replace(self._published.snapshot.state, **changes)
        own = self._moment.own
        # Broken off between the two, the model is as after it: a prediction only has to solve once more.
        self._publish(dataclasses.replace(state, **changes), own=own, pending=math.inf)
        self._published.put_newer(Snapshot(solved, self._moment.version))

    def record(self, place: int | None) -> Record:
        """The codes of the samples learned since; the first call begins to remember them."""
        remembered = self._moment.remembered or Remembered()
        owed = remembered.owed(remembered.place if place is None else place)
        record = encode(owed.lessons)
        self._moment = dataclasses.replace(self._moment, remembered=Remembered() if place is None else owed)
        return record

    def replay(self, fields: dict[str, Any], arrays: dict[str, NDArray[Any]], admit: Admit) -> list[str]:
        """Learn what :meth:`record` gave, without its samples. Raises EdgeModelError."""
        self._statistics()
        refused = []
        step = None if self._exact is None else self._exact.step
        for lesson in list(decode(fields, arrays, self.state.layers, self._block, step)):
            try:
                names = as_names(lesson.names, len(lesson.names), self.state.classes)
                admit(names, len(names))
            except EdgeModelError as error:
                refused.append(f"{len(lesson.names)} samples of {lesson.names[0][:80]!r}: {error}")
            else:
                self._add(Lesson(names, lesson.blocks))
        return refused

    def _statistics(self) -> Statistics:
        statistics = self.settled().statistics
        if statistics is None:
            raise EdgeModelError("the model carries no learning state: export it without --no-learning-state")
        return statistics

    def _writable(self, whole: bool = False) -> ModelState:
        """A copy of the live state of which the Gram matrix may be written into once it is published.

        So may the other arrays; where ``whole``, they are copies, and may be written into at once.
        """
        state = self.settled()
        assert state.statistics is not None
        own = self._moment.own
        if whole or not own:
            copy = writable_copy(state)
        else:
            copy = dataclasses.replace(state, layers=[dataclasses.replace(layer) for layer in state.layers])
        gram = state.statistics.gram if own else state.statistics.gram.copy()
        sums = state.statistics.class_sums if own and not whole else state.statistics.class_sums.copy()
        copy.statistics = dataclasses.replace(state.statistics, gram=gram, class_sums=sums)
        return copy

    def _publish(self, state: ModelState, steps: Sequence[Step] = (), own: bool = True, **changes: Any) -> None:
        """Let ``state`` with ``steps`` written into its arrays be what is learned; then write them."""
        changed = {"state": state, "own": own, "owed": Changes(steps), **changes}
        version = self._mine.version = self._moment.version + 1
        self._moment = dataclasses.replace(self._moment, version=version, **changed)
        self._moment.owed.finish()

    def _with(self, lesson: Lesson) -> Remembered | None:
        """What is remembered, and ``lesson``."""
        remembered = self._moment.remembered
        return None if remembered is None else remembered.and_(lesson)

    @functools.cached_property
    def _exact(self) -> ExactNetwork | None:
        """What makes the codes; None for statistics of float32 codes."""
        state = self.state
        assert state.statistics is not None
        bits = state.statistics.code_bits
        return None if bits is None else exact_network(state, bits)

    def _codes(self, x: Float32) -> list[list[Codes]]:
        """Codes of each layer, block by block."""
        parts = [x[start : start + self._block] for start in range(0, len(x), self._block)]
        if self._exact is not None:
            return [self._exact.codes(part) for part in parts]
        state = self.state
        return [[each.codes for each in forward(state.layers, preprocess(part, state))] for part in parts]

    def _were_counted(self, codes: list[Codes], labels: NDArray[np.intp]) -> bool:
        """Whether the ledger, which says how often each neuron was active for each class, covers samples."""
        pairs = zip(self.state.layers, codes, strict=True)
        return all(were_counted(layer, code, Touched.by(code), labels) for layer, code in pairs)

    def _counted(
        self, state: ModelState, codes: list[Codes], labels: NDArray[np.intp], sign: int
    ) -> Iterator[Write]:
        """Count samples: plain fields at once, the neurons of each layer by what is to be written."""
        change = sign * np.bincount(labels, minlength=len(state.classes))
        state.class_samples = np.maximum(state.class_samples + change, 0)
        state.samples_seen = max(state.samples_seen + sign * len(labels), 0)
        state.task_samples = max(state.task_samples + sign * len(labels), 0)
        for layer, code in zip(state.layers, codes, strict=True):
            yield from counted(layer, code, Touched.by(code), labels, sign)


def _by_layer(blocks: list[list[Codes]]) -> list[Codes]:
    """Codes of all samples, layer by layer."""
    return [Codes.concatenate(parts) for parts in zip(*blocks, strict=True)]


def _sums(statistics: Statistics, codes: Codes, labels: NDArray[np.intp]) -> Write:
    return analytic.summed(statistics.class_sums, codes, Touched.by(codes), labels)


def _constant(write: Write) -> Step:
    return lambda: write


def _places(names: list[str], classes: list[str]) -> NDArray[np.intp]:
    places = {name: number for number, name in enumerate(classes)}
    return np.fromiter((places[name] for name in names), np.intp, len(names))


def _drop(state: ModelState, index: int) -> None:
    """Remove a class from a copy, the Gram matrix aside."""
    assert state.statistics is not None
    keep = np.delete(np.arange(len(state.classes)), index)
    drop_class(state, index)
    state.statistics = analytic.select_classes(state.statistics, keep)
