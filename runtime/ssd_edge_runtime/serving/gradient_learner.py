"""Gradient learning beside predictions: two copies of the model, so that a call costs what it changed."""

from __future__ import annotations

import dataclasses

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
from ssd_edge_runtime.gradient.teacher import LiveTeacher
from ssd_edge_runtime.network.counting import Rows, union
from ssd_edge_runtime.network.engines import CSREngine
from ssd_edge_runtime.network.forward import preprocess
from ssd_edge_runtime.network.writable import add_classes, drop_class, writable_copy
from ssd_edge_runtime.serving.snapshot import Snapshot
from ssd_edge_runtime.sparse.row_index import RowIndex
from ssd_edge_runtime.state import ModelState


class GradientLearner:
    """Learns into a second copy of the published model and hands it over to be published.

    The copy that predictions have left is brought up to date by the rows that the last call changed, and serves
    the next call. A copy still being read, or lent to the caller, is left alone and a fresh one made.
    """

    def __init__(self, published: Snapshot) -> None:
        state = published.state
        # Its arrays may be the caller's, or read-only, or laid out by class: never write into them.
        published.lent = True
        self._indexes = [RowIndex(layer.weights) for layer in state.layers]
        self._teacher: LiveTeacher | None = None
        if state.teacher is not None:
            self._teacher = LiveTeacher.thaw(state, state.teacher, self._indexes)
        self.spare: Snapshot | None = None
        self._behind: list[list[Rows]] = []
        self._places: dict[str, int] = {}

    def learn(self, published: Snapshot, x: Float32, names: list[str], idle: bool) -> Snapshot:
        """Learn checked samples in mini-batches; the new snapshot. ``idle``: nobody reads the spare copy."""
        options = published.state.learning
        if options is None:
            raise EdgeModelError("the model carries no learning state: export it without --no-learning-state")
        places = self._places_of(published.state.classes)
        new = [name for name in dict.fromkeys(names) if name not in places]
        teacher = self._teacher
        size = teacher.size() if teacher else ()
        fresh = self._take_spare(published, idle)
        try:
            if new:
                self._boundary(fresh.state)
                add_classes(fresh.state, new)
                fresh = Snapshot(fresh.state)
                places = self._places_of(fresh.state.classes)
            self._learn_batches(fresh.state, x, np.array([places[name] for name in names], np.intp))
        except BaseException:
            self.spare = None
            self._teacher = teacher
            if teacher is not None:
                teacher.cut(size)
            raise
        fresh.rewritten()
        self.spare = None if new else published
        return fresh

    def _take_spare(self, published: Snapshot, idle: bool) -> Snapshot:
        spare = self.spare
        if spare is None or spare.lent or not idle:
            spare = Snapshot(writable_copy(published.state))
            spare.state.values_type = "float32"
            spare.state.teacher = None
        else:
            self._catch_up(spare.state, published.state)
        self._behind = [[] for _ in published.state.layers]
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

    def _learn_batches(self, state: ModelState, x: Float32, labels: NDArray[np.intp]) -> None:
        assert state.learning is not None
        size = state.learning.batch_size
        for start in range(0, len(x), size):
            u = preprocess(x[start : start + size], state.center, state.epsilon)
            batch = labels[start : start + size]
            changed = step(state, self._indexes, self._teacher, u, batch, state.learning)
            for behind, rows in zip(self._behind, changed, strict=True):
                behind.append(rows)
        state.class_samples += np.bincount(labels, minlength=len(state.class_samples))
        state.samples_seen += len(x)
        state.task_samples += len(x)

    def boundary(self, published: Snapshot) -> Snapshot:
        """Make the model as it is now the teacher, unless nothing was counted since the last boundary."""
        if published.state.task_samples == 0:
            return published
        state = writable_copy(published.state)
        state.values_type = "float32"
        state.teacher = None
        self._boundary(state)
        self.spare = None
        return Snapshot(state)

    def _boundary(self, state: ModelState) -> None:
        if state.task_samples == 0:
            return
        options = state.learning.distill if state.learning else None
        self._teacher = LiveTeacher.at_boundary(state, options) if options else None
        for layer, behind in zip(state.layers, self._behind, strict=False):
            layer.task_count[:] = 0
            behind.append(np.arange(len(layer.task_count)))
        state.task_samples = 0

    def forget_state(self, published: Snapshot, index: int) -> ModelState:
        """A writable copy without class ``index``."""
        state = writable_copy(published.state)
        state.values_type, state.teacher = "float32", None
        drop_class(state, index)
        return state

    def forget(self, published: Snapshot, index: int) -> Snapshot:
        """Remove class ``index`` from the readout, the counts and the teacher."""
        state = self.forget_state(published, index)
        if self._teacher is not None:
            self._teacher = self._teacher.without_class(state, index, self._indexes)
        self.spare = None
        return Snapshot(state)

    def dampen(
        self,
        published: Snapshot,
        index: int,
        forgotten: Float32,
        retained: tuple[Float32, NDArray[np.intp]],
        options: DampeningOptions,
    ) -> tuple[Snapshot, DampeningReport]:
        """Dampen the weights that served class ``index`` and remove it; a teacher becomes the result.

        ``forgotten`` samples of the class, ``retained`` samples of others and their class indices.
        """
        labels = np.full(len(forgotten), index)
        own = importance(published.state, self._indexes, forgotten, labels)
        rest = importance(published.state, self._indexes, *retained)
        plain, state = self.forget_state(published, index), self.forget_state(published, index)
        dampened = dampen(state, own.without_class(index), rest.without_class(index), options)
        kept = retained[1] - (retained[1] > index)
        weights = sum(layer.weights.nonzeros for layer in state.layers) + state.readout.weights.size
        before, after = (accuracy(each, retained[0], kept) for each in (CSREngine(plain), CSREngine(state)))
        if self._teacher is not None:
            # The old teacher still knows the class.
            self._teacher = LiveTeacher(state, len(state.classes), self._teacher.selected)
        self.spare = None
        return Snapshot(state), DampeningReport(dampened, weights, before, after)

    def drop_spare(self) -> None:
        """The published state was replaced: the spare copy no longer belongs to it."""
        self.spare = None

    def frozen(self, published: Snapshot) -> ModelState:
        """The whole published state, teacher included."""
        teacher = self._teacher.freeze(self._indexes) if self._teacher else None
        return dataclasses.replace(published.state, teacher=teacher)
