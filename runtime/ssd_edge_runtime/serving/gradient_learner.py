"""Gradient learning beside predictions: two copies of the model, so that a call costs what it changed."""

from __future__ import annotations

import dataclasses
import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssd_edge_runtime.arrays import Float32
from ssd_edge_runtime.errors import EdgeModelError
from ssd_edge_runtime.gradient.dampening import (
    DampeningOptions,
    DampeningReport,
    accuracy,
    dampen,
    importance,
)
from ssd_edge_runtime.gradient.step import step
from ssd_edge_runtime.gradient.teacher import Teacher
from ssd_edge_runtime.network.counting import Rows, union
from ssd_edge_runtime.network.engines import CSREngine
from ssd_edge_runtime.network.preprocess import preprocess
from ssd_edge_runtime.network.writable import add_classes, drop_class, writable_copy
from ssd_edge_runtime.options import AnalyticOptions
from ssd_edge_runtime.serving.learner import Admit, Record
from ssd_edge_runtime.serving.snapshot import Published, Snapshot
from ssd_edge_runtime.sparse.row_index import RowIndex
from ssd_edge_runtime.state import ModelState


class GradientLearner:
    """A :class:`~ssd_edge_runtime.serving.learner.Learner` that changes a second copy and publishes that.

    The copy that predictions have left is brought up to date by the rows that the last call changed, and serves
    the next call. A copy still being read, or lent to the caller, is left alone and a fresh one made.
    """

    pending: float = 0.0

    def __init__(self, published: Published) -> None:
        self._published = published
        state = published.snapshot.state
        self._begin(state)
        published.snapshot.teacher = self._restored(state)

    def _restored(self, state: ModelState) -> Teacher | None:
        return None if state.teacher is None else Teacher.restore(state, state.teacher, self._indexes)

    def _begin(self, state: ModelState) -> None:
        self._indexes = [RowIndex(layer.weights) for layer in state.layers]
        self._spare: Snapshot | None = None
        self._behind: list[list[Rows]] = []
        self._places: dict[str, int] = {}

    @property
    def state(self) -> ModelState:
        """What is published, which is all but the teacher."""
        return self._published.snapshot.state

    def settled(self) -> ModelState:
        """The same: what is published is never written into."""
        return self.state

    def learn(self, x: Float32, names: list[str]) -> None:
        """Learn checked samples in mini-batches; a class never seen opens a task boundary first."""
        published = self._published.snapshot
        if published.state.learning is None:
            raise EdgeModelError("the model carries no learning state: export it without --no-learning-state")
        places = self._places_of(published.state.classes)
        new = [name for name in dict.fromkeys(names) if name not in places]
        teacher = published.teacher
        size = teacher.size() if teacher else ()
        fresh = self._take_spare(published)
        try:
            if new:
                taught = self._open_boundary(fresh.state, teacher)
                add_classes(fresh.state, new)
                fresh = Snapshot(fresh.state, teacher=taught)
                places = self._places_of(fresh.state.classes)
            self._learn_batches(fresh, x, np.array([places[name] for name in names], np.intp))
            fresh.rewritten()
            self._spare = None if new else published
            self._published.put(fresh)
        except BaseException:
            self._spare = None
            if teacher is not None and self._published.snapshot is not fresh:
                teacher.cut(size)
            raise

    def _take_spare(self, published: Snapshot) -> Snapshot:
        spare = self._spare
        if spare is None or spare.lent or not self._published.idle(spare):
            spare = Snapshot(_own_copy(published.state))
        else:
            self._catch_up(spare.state, published.state)
        self._behind = [[] for _ in published.state.layers]
        spare.teacher = published.teacher
        return spare

    def _catch_up(self, spare: ModelState, published: ModelState) -> None:
        for old, new, index, behind in zip(
            spare.layers, published.layers, self._indexes, self._behind, strict=True
        ):
            rows = union(behind, new.weights.shape[0])
            index.put(old.weights.values, rows, index.take(new.weights.values, rows))
            old.activation_count[rows] = new.activation_count[rows]
            old.task_count[rows] = new.task_count[rows]
            old.class_count.T[rows] = new.class_count.T[rows]
            if old.inhibition_count is not None and new.inhibition_count is not None:
                old.inhibition_count[rows] = new.inhibition_count[rows]
        spare.readout.weights.T[rows] = published.readout.weights.T[rows]
        spare.class_samples[:] = published.class_samples
        spare.samples_seen, spare.task_samples = published.samples_seen, published.task_samples
        spare.generation, spare.parent = published.generation, published.parent
        spare.learning, spare.temperature = published.learning, published.temperature

    def _places_of(self, classes: list[str]) -> dict[str, int]:
        """Number by class name, made anew only where the classes have changed."""
        if list(self._places) != classes:
            self._places = {name: number for number, name in enumerate(classes)}
        return self._places

    def _learn_batches(self, fresh: Snapshot, x: Float32, labels: NDArray[np.intp]) -> None:
        state = fresh.state
        assert state.learning is not None
        size = state.learning.batch_size
        for start in range(0, len(x), size):
            u = preprocess(x[start : start + size], state)
            batch = labels[start : start + size]
            changed = step(state, self._indexes, fresh.teacher, u, batch, state.learning)
            for behind, rows in zip(self._behind, changed, strict=True):
                behind.append(rows)
        state.class_samples += np.bincount(labels, minlength=len(state.class_samples))
        state.samples_seen += len(x)
        state.task_samples += len(x)

    def boundary(self) -> bool:
        """Make the model as it is now the teacher, unless nothing was counted since the last boundary."""
        if self.state.task_samples:
            state = _own_copy(self.state)
            teacher = self._open_boundary(state, self._published.snapshot.teacher)
            self._publish_fresh(state, teacher)
        return True

    def _open_boundary(self, state: ModelState, teacher: Teacher | None) -> Teacher | None:
        """The teacher from now on; ``teacher``, the one until now, where nothing was counted under it."""
        if state.task_samples == 0:
            return teacher
        options = state.learning.distill if state.learning else None
        teacher = Teacher.at_boundary(state, options) if options else None
        for layer, behind in zip(state.layers, self._behind, strict=False):
            layer.task_count[:] = 0
            behind.append(np.arange(len(layer.task_count)))
        state.task_samples = 0
        return teacher

    def _publish_fresh(self, state: ModelState, teacher: Teacher | None) -> None:
        """Publish a copy that owes nothing to the one published until now, nor to the spare one."""
        self._spare = None
        self._published.put(Snapshot(state, teacher=teacher))

    def unlearn(self, x: Float32, names: list[str]) -> None:
        """Raises EdgeModelError: what a sample did to the weights is not known."""
        raise EdgeModelError("unlearn needs the analytic readout; a gradient readout can forget a class")

    def forget(self, name: str) -> None:
        """Remove a class from the readout, the counts and the teacher."""
        index = self.state.classes.index(name)
        state = _without_class(self.state, index)
        teacher = self._published.snapshot.teacher
        self._publish_fresh(state, teacher and teacher.without_class(state, index, self._indexes))

    def dampen(
        self, name: str, samples: Float32, retained: Float32, names: list[str], options: DampeningOptions
    ) -> DampeningReport:
        """Dampen the weights that served a class and remove it; a teacher becomes the result."""
        EdgeModelError.unless(name not in names, f"retained samples must not be of the class to forget, {name!r}")
        published = self.state
        index = published.classes.index(name)
        labels = np.array([published.classes.index(each) for each in names])
        own = importance(published, self._indexes, samples, np.full(len(samples), index))
        rest = importance(published, self._indexes, retained, labels)
        plain, state = _without_class(published, index), _without_class(published, index)
        dampened = dampen(state, own.without_class(index), rest.without_class(index), options)
        kept = labels - (labels > index)
        weights = sum(layer.weights.nonzeros for layer in state.layers) + state.readout.weights.size
        before, after = (accuracy(CSREngine(each), retained, kept) for each in (plain, state))
        teacher = self._published.snapshot.teacher
        # The old teacher still knows the class.
        self._publish_fresh(state, teacher and Teacher(state, len(state.classes), teacher.selected))
        return DampeningReport(dampened, weights, before, after)

    def solve_with(self, options: AnalyticOptions) -> None:
        """Raises EdgeModelError."""
        raise EdgeModelError("the model has a gradient readout: it is not solved")

    def withheld(self) -> dict[str, int]:
        """None: a class is answered from its first sample on."""
        return {}

    def refresh(self, learning: threading.RLock) -> None:
        """Nothing to do: what was learned is published at once."""

    def whole(self) -> ModelState:
        """The published state with the teacher."""
        snapshot = self._published.snapshot
        teacher = snapshot.teacher.store(self._indexes) if snapshot.teacher else None
        return dataclasses.replace(snapshot.state, teacher=teacher)

    def lend(self) -> ModelState:
        """The same, for the caller to keep."""
        self._published.snapshot.lent = True
        return self.whole()

    def replace(self, **changes: Any) -> None:
        """Change plain fields of the state."""
        self._spare = None
        self._published.put_changed(**changes)

    def record(self, place: int | None) -> Record:
        """The whole state, but for the encoder, which never changes."""
        from ssd_edge_runtime.model_file import to_bytes

        return {}, {"model": np.frombuffer(to_bytes(self.whole().head), np.uint8)}

    def replay(self, fields: dict[str, Any], arrays: dict[str, NDArray[Any]], admit: Admit) -> list[str]:
        """Become what :meth:`record` gave. Raises EdgeModelError for a record of another model."""
        from ssd_edge_runtime.model_file import from_bytes

        EdgeModelError.unless(set(arrays) == {"model"}, "a journal's record is not of this model")
        own, head = self.state, from_bytes(arrays["model"].tobytes())
        EdgeModelError.unless(_build(head) == _build(own.head), "a journal's record is not of this model")
        state = dataclasses.replace(head, encoder=own.encoder, input_shape=own.input_shape)
        self._begin(state)
        fresh = Snapshot(state, teacher=self._restored(state))
        # Its arrays are read-only.
        fresh.lent = True
        self._published.put(fresh)
        return []


def _own_copy(state: ModelState) -> ModelState:
    """A copy to learn into, from which the teacher is kept apart."""
    own = writable_copy(state)
    own.values_type, own.teacher = "float32", None
    return own


def _without_class(state: ModelState, index: int) -> ModelState:
    own = _own_copy(state)
    drop_class(own, index)
    return own


def _build(state: ModelState) -> tuple[Any, ...]:
    """What learning never changes."""
    layers = [(layer.weights.shape, layer.weights.nonzeros, layer.k) for layer in state.layers]
    return state.input_shape, layers, state.readout.kind
