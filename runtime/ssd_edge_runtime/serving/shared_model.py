"""One model used by several threads: what is published to readers, what is learned, when it is solved."""

from __future__ import annotations

import dataclasses
import threading
from typing import Any

import numpy as np

from ssd_edge_runtime.arrays import Float32
from ssd_edge_runtime.errors import EdgeModelError
from ssd_edge_runtime.gradient.dampening import DampeningOptions, DampeningReport
from ssd_edge_runtime.options import AnalyticOptions
from ssd_edge_runtime.serving.analytic_learner import AnalyticLearner
from ssd_edge_runtime.serving.gradient_learner import GradientLearner
from ssd_edge_runtime.serving.snapshot import Snapshot
from ssd_edge_runtime.state import ModelState
from ssd_edge_runtime.storage import records


class LiveModel:
    """Predictions read the published snapshot and hold up nobody; whoever changes the model holds ``learning``.

    All arguments are checked already.
    """

    def __init__(self, state: ModelState) -> None:
        self.learning = threading.RLock()
        self.changed = False
        """Whether the model differs from the file it came from."""
        self.solve_every = 1
        """Samples learned before a prediction solves an analytic readout again."""
        self._solving = threading.Lock()
        self._gate = threading.Lock()
        self._mine = threading.local()
        self._published = Snapshot(state)
        self._published.lent = True
        self._analytic = AnalyticLearner(self._published) if state.readout.kind == "analytic" else None
        self._gradient = GradientLearner(self._published) if state.readout.kind == "gradient" else None

    @property
    def state(self) -> ModelState:
        """All that was learned, teacher and a readout not solved yet aside."""
        return self._analytic.live if self._analytic is not None else self._published.state

    def answer(self, x: Float32, engine: str, threads: int) -> tuple[ModelState, Float32]:
        """Logits of samples, and the state that gave them."""
        if self._analytic is not None and self._analytic.pending >= self.solve_every:
            self._refresh(self._analytic)
        with self._gate:
            snapshot = self._published
            snapshot.readers += 1
        try:
            return snapshot.state, snapshot.logits(x, engine, threads)
        finally:
            with self._gate:
                snapshot.readers -= 1

    def learn(self, x: Float32, names: list[str]) -> None:
        """Learn samples in one pass."""
        if self._analytic is not None:
            self._analytic.learn(x, names)
        elif self._gradient is not None:
            self._publish(self._gradient.learn(self._published, x, names, self._spare_is_idle()))
        self._wrote()

    def unlearn(self, x: Float32, names: list[str]) -> None:
        """Take samples out of an analytic readout."""
        if self._analytic is None:
            raise EdgeModelError("unlearn needs the analytic readout; a gradient readout can forget a class")
        self._analytic.unlearn(x, names)
        self._wrote()

    def forget(self, name: str) -> None:
        """Remove a class."""
        if self._analytic is not None:
            self._analytic.forget(name)
        elif self._gradient is not None:
            self._publish(self._gradient.forget(self._published, self.state.classes.index(name)))
        self._wrote()

    def dampen(
        self, name: str, samples: Float32, retained: Float32, names: list[str], options: DampeningOptions
    ) -> DampeningReport:
        """Remove a class and dampen what served it."""
        if self._gradient is None:
            raise EdgeModelError("dampen needs the gradient readout; the analytic one can unlearn exactly")
        if name in names:
            raise EdgeModelError(f"retained samples must not be of the class to forget, {name!r}")
        classes = self.state.classes
        labels = np.array([classes.index(each) for each in names])
        snapshot, report = self._gradient.dampen(
            self._published, classes.index(name), samples, (retained, labels), options
        )
        self._publish(snapshot)
        self._wrote()
        return report

    def boundary(self) -> None:
        """Open a task boundary under the gradient readout."""
        if self._gradient is not None:
            self._publish(self._gradient.boundary(self._published))
            self._wrote()

    def whole(self) -> ModelState:
        """The state with its teacher and with its readout solved; the caller holds ``learning``."""
        if self._gradient is not None:
            return self._gradient.frozen(self._published)
        assert self._analytic is not None
        if self._analytic.stale:
            job = self._analytic.prepare()
            self._publish_solved(self._analytic, job.version, self._analytic.solution(job))
        return self._analytic.frozen(self._published)

    def record(self, progress: dict[str, int]) -> bytes:
        """What was learned since the last record, for :meth:`replay`; the caller holds ``learning``.

        Analytic: the codes of the samples; the first record begins to remember them. Gradient: the whole state,
        but for the encoder, which never changes.
        """
        if self._analytic is not None:
            fields, arrays = self._analytic.encode_lessons()
        else:
            from ssd_edge_runtime.model_file import to_bytes

            fields, arrays = {}, {"model": np.frombuffer(to_bytes(self.whole().head), np.uint8)}
        return records.encode({"progress": progress, **fields}, arrays)

    def replay(self, record: bytes) -> None:
        """Learn again what a record holds; the caller holds ``learning``. Raises EdgeModelError."""
        fields, arrays = records.decode(record)
        if self._analytic is not None:
            self._analytic.replay(fields, arrays)
        elif set(arrays) != {"model"}:
            raise EdgeModelError("a journal's record is not of this model")
        else:
            from ssd_edge_runtime.model_file import from_bytes

            own, head = self.state, from_bytes(arrays["model"].tobytes())
            snapshot = Snapshot(dataclasses.replace(head, encoder=own.encoder, input_shape=own.input_shape))
            if _build(head) != _build(own.head):
                raise EdgeModelError("a journal's record is not of this model")
            self._gradient = GradientLearner(snapshot)
            self._publish(snapshot)
        self._wrote()

    def solve_with(self, options: AnalyticOptions) -> None:
        """Solve an analytic readout by other options; the caller holds ``learning``."""
        if self._analytic is None:
            raise EdgeModelError("the model has a gradient readout: it is not solved")
        self._analytic.solve_with(options)
        self._wrote()

    def withheld(self) -> dict[str, int]:
        """Classes that an analytic readout does not answer, and their samples."""
        return {} if self._analytic is None else self._analytic.withheld()

    def lend(self) -> ModelState:
        """The whole state, for the caller to keep: its arrays are never written again."""
        state = self.whole()
        self._published.lent = True
        if self._analytic is not None:
            self._analytic.lend()
        return state

    def replace(self, **changes: Any) -> None:
        """Change plain fields of the state; the caller holds ``learning``."""
        self.changed = True
        if self._analytic is not None:
            self.whole()
            self._analytic.replace(**changes)
        snapshot = Snapshot(dataclasses.replace(self._published.state, **changes))
        snapshot.lent = self._published.lent
        if self._gradient is not None:
            self._gradient.drop_spare()
        self._publish(snapshot)

    def _wrote(self) -> None:
        self.changed = True
        if self._analytic is not None:
            self._mine.version = self._analytic.version

    def _publish(self, snapshot: Snapshot) -> None:
        with self._gate:
            self._published = snapshot

    def _spare_is_idle(self) -> bool:
        spare = self._gradient.spare if self._gradient else None
        with self._gate:
            return spare is not None and spare.readers == 0

    def _refresh(self, analytic: AnalyticLearner) -> None:
        """Solve a readout that is older than its statistics.

        A thread that learned gets an answer that knows it. Any other takes the readout as it is if it would have
        to wait for someone else's learning or solving.
        """
        mine = getattr(self._mine, "version", 0) > analytic.solved
        if not self._solving.acquire(blocking=mine):
            return
        try:
            if not analytic.stale or not self.learning.acquire(blocking=mine):
                return
            try:
                job = analytic.prepare()
            finally:
                self.learning.release()
            self._publish_solved(analytic, job.version, analytic.solution(job))
        finally:
            self._solving.release()

    def _publish_solved(self, analytic: AnalyticLearner, version: int, snapshot: Snapshot) -> None:
        with self._gate:
            if version > analytic.solved:
                self._published, analytic.solved = snapshot, version
                if version == analytic.version:
                    analytic.pending = 0.0


def _build(state: ModelState) -> tuple[Any, ...]:
    """What learning never changes."""
    layers = [(layer.weights.shape, layer.weights.nonzeros, layer.k) for layer in state.layers]
    return state.input_shape, layers, state.readout.kind
