"""One model used by several threads."""

from __future__ import annotations

import contextlib
import copy
import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ssd_edge_runtime.arrays import Float32
from ssd_edge_runtime.errors import EdgeModelError
from ssd_edge_runtime.ledger.diary import Diary
from ssd_edge_runtime.options import AnalyticOptions, LearningOptions
from ssd_edge_runtime.serving.learner import Learner
from ssd_edge_runtime.serving.room import Room
from ssd_edge_runtime.serving.snapshot import Published
from ssd_edge_runtime.state import ModelState
from ssd_edge_runtime.storage import records

if TYPE_CHECKING:
    from ssd_edge_runtime.gradient.dampening import DampeningOptions, DampeningReport


class SharedModel:
    """Predictions read the published snapshot and hold up nobody; whoever changes the model holds ``learning``.

    Which lock guards which field, in the order in which a thread may take them:

    - ``AnalyticLearner._solving`` guards no field: one prediction at a time solves, the others need not.
    - ``learning`` guards :attr:`changed`, :attr:`diary` and all that the learner holds: the live state with its
      statistics, the teacher, the spare copy, what a checkpoint remembers. The caller takes it around all but
      :meth:`answer`, :attr:`state` and :attr:`solve_every`. A prediction holds it only while it copies what is to
      be solved.
    - ``Published.gate`` guards ``Published.snapshot`` and every ``Snapshot.readers``. It is held for a few
      assignments.
    - ``Snapshot._building`` and ``Intake._opening`` guard the one ONNX Runtime session that each makes,
      ``ConfinedSession._turn`` the pipe to the process that such a session may run in.

    No arrays of a snapshot are written while it is published, read or lent; an engine belongs to the snapshot that
    it serves. A change is prepared aside and published by one assignment: an error or an interrupt anywhere leaves
    the model as it was or as the change makes it. Arguments are checked already.
    """

    def __init__(
        self, state: ModelState, changed: bool = False, solve_every: int = 1, diary: Diary | None = None
    ) -> None:
        self.learning = threading.RLock()
        self.changed = changed
        """Whether the model differs from the file it came from."""
        self.diary = diary or Diary()
        """What was done since the file was read or written."""
        self.solve_every = solve_every
        """Samples learned before a prediction solves an analytic readout again."""
        self._published = Published(state)
        self._learner = _learner(self._published)
        self._room = Room(self.settled)

    @property
    def state(self) -> ModelState:
        """All that was learned, teacher and a readout not solved yet aside."""
        return self._learner.state

    def answer(self, x: Float32, engine: str, threads: int) -> tuple[ModelState, Float32]:
        """Logits of samples, and the state that gave them."""
        if self._learner.pending >= self.solve_every:
            self._learner.refresh(self.learning)
        return self._published.answer(x, engine, threads)

    def settled(self) -> ModelState:
        """The same, for reading its arrays."""
        return self._learner.settled()

    def make_room(self, names: Sequence[str], samples: int = 0) -> None:
        """Raise EdgeModelError unless a file could hold ``samples`` more, and classes of these names."""
        self._room.take(names, samples)

    def learn(self, x: Float32, names: list[str]) -> None:
        """Learn samples in one pass."""
        with self._changing("learn"):
            self._learner.learn(x, names)

    def unlearn(self, x: Float32, names: list[str]) -> None:
        """Take samples out of an analytic readout."""
        with self._changing("forget"):
            self._learner.unlearn(x, names)

    def forget(self, name: str) -> None:
        """Remove a class."""
        with self._changing("forget"):
            try:
                self._learner.forget(name)
            finally:
                if name not in self.state.classes:
                    self.diary.forgot(name)

    def rename(self, old: str, new: str) -> None:
        """Give a class another name."""
        with self._changing("rename"):
            try:
                self._learner.replace(classes=[new if name == old else name for name in self.state.classes])
            finally:
                if new in self.state.classes:
                    self.diary.renamed(old, new)

    def dampen(
        self, name: str, samples: Float32, retained: Float32, names: list[str], options: DampeningOptions
    ) -> DampeningReport:
        """Remove a class from a gradient readout and dampen what served it."""
        with self._changing("forget"):
            try:
                return self._learner.dampen(name, samples, retained, names, options)
            finally:
                if name not in self.state.classes:
                    self.diary.forgot(name)

    def boundary(self) -> None:
        """Open a task boundary under the gradient readout."""
        self.changed |= self._learner.boundary()

    def learn_by(self, options: LearningOptions) -> None:
        """Learn by gradient with other options. Raises EdgeModelError where there are none, or s is another."""
        own = self.state.learning
        if own is None:
            raise EdgeModelError("the model has no gradient learning to set options of")
        if options.switch != own.switch:
            raise EdgeModelError(f"switch goes with the counts in the model, which has {own.switch}: export again")
        self.replace(learning=options)

    def solve_with(self, options: AnalyticOptions) -> None:
        """Solve an analytic readout by other options."""
        with self._changing():
            self._learner.solve_with(options)

    def withheld(self) -> dict[str, int]:
        """Classes that an analytic readout does not answer, and their samples."""
        return self._learner.withheld()

    def whole(self) -> ModelState:
        """The state with its teacher and with its readout solved."""
        return self._learner.whole()

    def lend(self) -> ModelState:
        """The whole state, for the caller to keep: its arrays are never written again."""
        return self._learner.lend()

    def handed_over(self) -> dict[str, Any]:
        """The arguments that make another one, equal to this and independent of it."""
        plain = {"changed": self.changed, "solve_every": self.solve_every, "diary": copy.deepcopy(self.diary)}
        return {"state": self.lend(), **plain}

    def replace(self, **changes: Any) -> None:
        """Change plain fields of the state."""
        with self._changing():
            self._learner.replace(**changes)

    def record(self, progress: dict[str, int], place: int | None = None) -> bytes:
        """What was learned since the last record, for :meth:`replay`, with ``progress`` on top."""
        fields, arrays = self._learner.record(place)
        return records.encode({"progress": progress, **fields}, arrays)

    def replay(self, record: bytes) -> list[str]:
        """Learn again what a record holds; returns, in words, the lessons that no file could hold.

        Those are left out. Raises EdgeModelError for a record that is not of this model.
        """
        with self._changing("learn"):
            refused = self._learner.replay(*records.decode(record), self.make_room)
        self._room = Room(self.settled)  # a record may be another state, with other counts
        return refused

    def join(self, verb: str, parts: Sequence[str], before: ModelState) -> None:
        """Note that this model is ``before`` with lessons of other files, called ``parts``, added."""
        self.diary.open(before.classes, before.class_samples)
        self.diary.tell(verb, *parts)
        self.changed = True

    @contextlib.contextmanager
    def _changing(self, verb: str | None = None) -> Iterator[None]:
        """Note a change before it is made: after an interrupt a file is rather written once too often."""
        before, self.changed = self.changed, True
        self.diary.open(self.state.classes, self.state.class_samples)
        new = verb is not None and self.diary.tell(verb)
        try:
            yield
        except EdgeModelError:
            self.changed = before
            if new and verb is not None:
                self.diary.take_back(verb)
            raise


def _learner(published: Published) -> Learner:
    """The learner of the readout; that of the other is not imported."""
    if published.snapshot.state.readout.kind == "analytic":
        from ssd_edge_runtime.serving.analytic_learner import AnalyticLearner

        return AnalyticLearner(published)
    from ssd_edge_runtime.serving.gradient_learner import GradientLearner

    return GradientLearner(published)
