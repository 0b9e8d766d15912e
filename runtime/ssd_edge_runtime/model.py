"""``EdgeModel``: predict, learn, forget and save on a device, without torch."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssd_edge_runtime.analytic_learner import AnalyticLearner
from ssd_edge_runtime.csr import Float32
from ssd_edge_runtime.dampening import DampeningOptions, DampeningReport
from ssd_edge_runtime.double_buffer import GradientLearner
from ssd_edge_runtime.engine import check_engine
from ssd_edge_runtime.errors import EdgeModelError
from ssd_edge_runtime.forward import softmax
from ssd_edge_runtime.merge import merge_states
from ssd_edge_runtime.options import LearningOptions
from ssd_edge_runtime.samples import as_names, as_samples
from ssd_edge_runtime.snapshot import Snapshot
from ssd_edge_runtime.state import ModelState

UNKNOWN = ""
"""The answer of ``reject_below``; no class has this name."""


class EdgeModel:
    """A model that predicts and goes on learning, with scikit-learn's verbs.

    Samples are (N, *input_shape), (N, d) or a single one: arrays, lists, anything with ``__array__``; uint8 is
    divided by 255. Labels are class names; an integer i is the class named ``str(i)``. Whatever raises
    :class:`EdgeModelError` changes nothing. One thread may learn while others predict: a prediction sees the state
    before or after a call, never a mixture, and waits for no learning that its own thread did not ask for.

    >>> model = EdgeModel.load("model.onnx")  # doctest: +SKIP
    >>> model.partial_fit(x, ["bag", "bag"]).predict(x)  # doctest: +SKIP
    array(['bag', 'bag'], dtype='<U3')
    """

    def __init__(self, state: ModelState, *, engine: str = "auto", threads: int = 1) -> None:
        """Wrap ``state``, which is never written into.

        ``engine``: "csr", "onnxruntime", or "auto", the faster one by :func:`ssd_edge_runtime.engine.choose`.
        ``threads``: of ONNX Runtime; the CSR engine uses one.
        """
        check_engine(engine)
        if threads < 1:
            raise EdgeModelError(f"threads must be at least 1, got {threads}")
        self._engine = engine
        self._threads = threads
        self._learning = threading.RLock()
        self._solving = threading.Lock()
        self._gate = threading.Lock()
        self._mine = threading.local()
        self._source: tuple[Path, str] | None = None
        self._changed = False
        self._start(state)

    def _start(self, state: ModelState) -> None:
        self._input_shape, self._input_width = state.input_shape, state.input_width
        self._published = Snapshot(state)
        self._published.lent = True
        self._analytic = AnalyticLearner(self._published) if state.readout.kind == "analytic" else None
        self._gradient = GradientLearner(self._published) if state.readout.kind == "gradient" else None

    @classmethod
    def load(
        cls, path: str | PathLike[str], engine: str = "auto", threads: int = 1, verify: bool = True
    ) -> EdgeModel:
        """The model in a file; ``verify`` checks its digest. Raises OSError or :class:`EdgeModelError`."""
        from ssd_edge_runtime import format as model_format
        from ssd_edge_runtime.generations import stored_digest

        data = model_format.read_file(path)
        try:
            model = cls(model_format.from_bytes(data, verify=verify), engine=engine, threads=threads)
            model._source = (Path(path).resolve(), stored_digest(data))
        except EdgeModelError as error:
            raise EdgeModelError(f"{path}: {error}") from None
        return model

    # Answers

    def logits(self, x: Any) -> Float32:
        """Logits, float32 (N, classes)."""
        return self._answers(x)[1]

    def predict_proba(self, x: Any) -> Float32:
        """``softmax(logits / temperature)``, float32 (N, classes), in the order of :attr:`classes_`."""
        state, logits = self._answers(x)
        return softmax(logits, state.temperature)

    def predict(self, x: Any, reject_below: float | None = None) -> NDArray[np.str_]:
        """Class names, (N,); with ``reject_below``, "" where the highest probability is lower."""
        state, logits = self._answers(x)
        names: NDArray[np.str_] = np.array(state.classes, dtype=np.str_)[logits.argmax(axis=1)]
        if reject_below is not None:
            if not 0.0 <= reject_below <= 1.0:
                raise EdgeModelError(f"reject_below must be between 0 and 1, got {reject_below}")
            names[softmax(logits, state.temperature).max(axis=1) < reject_below] = UNKNOWN
        return names

    def score(self, x: Any, y: Any) -> float:
        """Share of samples answered with their label; a label that the model does not know is a miss."""
        answers = self.predict(x)
        names = as_names(y, len(answers))
        return float(np.mean([answer == name for answer, name in zip(answers.tolist(), names, strict=True)]))

    def _answers(self, x: Any) -> tuple[ModelState, Float32]:
        samples = as_samples(x, self._input_shape, self._input_width)
        if self._analytic is not None and self._analytic.stale:
            self._refresh()
        with self._gate:
            snapshot = self._published
            snapshot.readers += 1
        try:
            return snapshot.state, snapshot.logits(samples, self._engine, self._threads)
        finally:
            with self._gate:
                snapshot.readers -= 1

    # Learning

    def partial_fit(self, x: Any, y: Any) -> EdgeModel:
        """Learn samples in one pass, in mini-batches; labels never seen open new classes.

        With the gradient readout a new class also opens a task boundary, before it is learned.
        """
        with self._learning:
            samples = as_samples(x, self._input_shape, self._input_width)
            names = as_names(y, len(samples))
            if self._analytic is not None:
                self._analytic.learn(samples, names)
            elif self._gradient is not None:
                published = self._published
                self._publish(self._gradient.learn(published, samples, names, self._spare_is_idle()))
            self._wrote()
        return self

    def unlearn(self, x: Any, y: Any) -> EdgeModel:
        """Take samples out of an analytic readout, exactly as if they had never been learned."""
        with self._learning:
            samples = as_samples(x, self._input_shape, self._input_width)
            names = as_names(y, len(samples))
            if self._analytic is None:
                raise EdgeModelError("unlearn needs the analytic readout; a gradient readout can forget a class")
            self._analytic.unlearn(samples, names)
            self._wrote()
        return self

    def forget(self, name: Any) -> EdgeModel:
        """Remove a class from the answers; its samples' mean leaves the analytic statistics with it."""
        with self._learning:
            name = self._known(name)
            if len(self._live.classes) == 1:
                raise EdgeModelError(f"cannot forget {name!r}: a model needs at least one class")
            if self._analytic is not None:
                self._analytic.forget(name)
            elif self._gradient is not None:
                self._publish(self._gradient.forget(self._published, self._live.classes.index(name)))
            self._wrote()
        return self

    def dampen(
        self, name: Any, samples: Any, retained: tuple[Any, Any], options: DampeningOptions | None = None
    ) -> DampeningReport:
        """Remove a class from a gradient readout and dampen the weights that served it, at a reported cost.

        ``samples`` of the class and ``retained``, samples of the others with their labels, must be at hand:
        Selective Synaptic Dampening compares what each weight means to the two.
        """
        with self._learning:
            if self._gradient is None:
                raise EdgeModelError("dampen needs the gradient readout; the analytic one can unlearn exactly")
            index = self._live.classes.index(self._known(name))
            forgotten = as_samples(samples, self._input_shape, self._input_width)
            kept = as_samples(retained[0], self._input_shape, self._input_width)
            labels = [self._live.classes.index(self._known(each)) for each in as_names(retained[1], len(kept))]
            if index in labels:
                raise EdgeModelError(f"retained samples must not be of the class to forget, {name!r}")
            snapshot, report = self._gradient.dampen(
                self._published, index, forgotten, (kept, np.array(labels)), options or DampeningOptions()
            )
            self._publish(snapshot)
            self._wrote()
            return report

    def rename(self, old: Any, new: Any) -> EdgeModel:
        """Give a class another name."""
        with self._learning:
            old = self._known(old)
            new = as_names(new, 1)[0]
            if new in self._live.classes:
                raise EdgeModelError(f"there already is a class {new!r}")
            classes = [new if name == old else name for name in self._live.classes]
            self._replace(classes=classes)
        return self

    def begin_task(self) -> EdgeModel:
        """Open a task boundary: the model as it is becomes the teacher. A label never seen does so by itself."""
        with self._learning:
            if self._gradient is not None:
                self._publish(self._gradient.boundary(self._published))
                self._wrote()
        return self

    def end_task(self) -> EdgeModel:
        """Close the task: the same boundary, from its other side."""
        return self.begin_task()

    @staticmethod
    def merge(models: Sequence[EdgeModel], base: EdgeModel) -> EdgeModel:
        """One model that knows what each learned since ``base``, the model that all started from."""
        merged = EdgeModel(
            merge_states([model.state for model in models], base.state), engine=base._engine, threads=base._threads
        )
        merged._changed = True
        return merged

    def save(self, path: str | PathLike[str], *, keep: int = 3, keep_replaced: bool = True) -> int:
        """Write the model, atomically, as a new generation; the earlier ones stay beside it. Returns its number.

        ``keep_replaced`` false: the file being replaced is only a checkpoint of this same work, and goes.
        Raises :class:`EdgeModelError` if the file changed since this model was loaded from it.
        """
        from ssd_edge_runtime import format as model_format
        from ssd_edge_runtime import storage

        with self._learning:
            place = Path(path).resolve()
            state = self._whole_state()
            if self._changed:
                parent = self._source[1] if self._source else state.parent
                generation = max(state.generation + 1, storage.next_generation(place))
                state = dataclasses.replace(state, generation=generation, parent=parent)
            known = self._source[1] if self._source and self._source[0] == place else None
            digest = storage.save(
                place,
                model_format.to_bytes(state),
                expected_digest=known,
                keep=keep,
                keep_replaced=keep_replaced,
            )
            if self._changed:
                self._replace(generation=state.generation, parent=state.parent)
            self._changed = False
            self._source = (place, digest)
            return state.generation

    # One sample at a time, with river's verbs

    def learn_one(self, x: Any, y: Any) -> EdgeModel:
        """Learn a single sample."""
        return self.partial_fit(x, [y])

    def predict_one(self, x: Any, reject_below: float | None = None) -> str | None:
        """The class name of a single sample; None where ``reject_below`` rejects it."""
        return str(self.predict(x, reject_below)[0]) or None

    def predict_proba_one(self, x: Any) -> dict[str, float]:
        """Probability by class name of a single sample."""
        state, logits = self._answers(x)
        return dict(zip(state.classes, softmax(logits, state.temperature)[0].tolist(), strict=True))

    # What it is

    @property
    def classes_(self) -> list[str]:
        """Class names, in logit order."""
        return list(self._live.classes)

    @property
    def samples_seen_(self) -> int:
        """Samples learned from, in all, training included."""
        return self._live.samples_seen

    @property
    def activation_frequency(self) -> list[NDArray[np.float64]]:
        """Per layer, in which share of the samples counted each neuron was active, (n,) in [0, 1]."""
        with self._learning:
            state = self._live
            samples = max(int(state.class_samples.sum()), 1)
            return [np.minimum(layer.activation_count / samples, 1.0) for layer in state.layers]

    @property
    def state(self) -> ModelState:
        """Everything, as plain arrays, up to date; treat it as read-only."""
        with self._learning:
            state = self._whole_state()
            self._published.lent = True
            if self._analytic is not None:
                self._analytic.lend()
            return state

    @property
    def learning(self) -> LearningOptions | None:
        """Options of gradient learning; assign others to learn with them from now on."""
        return self._live.learning

    @learning.setter
    def learning(self, options: LearningOptions) -> None:
        with self._learning:
            if self._live.learning is None:
                raise EdgeModelError("the model has no gradient learning to set options of")
            self._replace(learning=options)

    # Inside

    @property
    def _live(self) -> ModelState:
        return self._analytic.live if self._analytic is not None else self._published.state

    def _known(self, name: Any) -> str:
        known = as_names(name, 1)[0]
        if known not in self._live.classes:
            raise EdgeModelError(f"unknown class {known!r}: the model knows {', '.join(self._live.classes)}")
        return known

    def _wrote(self) -> None:
        self._changed = True
        if self._analytic is not None:
            self._mine.version = self._analytic.version

    def _publish(self, snapshot: Snapshot) -> None:
        with self._gate:
            self._published = snapshot

    def _spare_is_idle(self) -> bool:
        spare = self._gradient.spare if self._gradient else None
        with self._gate:
            return spare is not None and spare.readers == 0

    def _refresh(self) -> None:
        """Solve an analytic readout that is older than its statistics.

        A thread that learned gets an answer that knows it. Any other takes the readout as it is if it would have
        to wait for someone else's learning or solving.
        """
        assert self._analytic is not None
        mine = getattr(self._mine, "version", 0) > self._analytic.solved
        if not self._solving.acquire(blocking=mine):
            return
        try:
            if not self._analytic.stale or not self._learning.acquire(blocking=mine):
                return
            try:
                version, classes, system = self._analytic.prepare()
            finally:
                self._learning.release()
            snapshot = self._analytic.solution(classes, system)
            with self._gate:
                if version > self._analytic.solved:
                    self._published, self._analytic.solved = snapshot, version
        finally:
            self._solving.release()

    def _whole_state(self) -> ModelState:
        """The state with its readout solved; the caller holds the learning lock."""
        if self._gradient is not None:
            return self._gradient.frozen(self._published)
        assert self._analytic is not None
        if self._analytic.stale:
            version, classes, system = self._analytic.prepare()
            snapshot = self._analytic.solution(classes, system)
            with self._gate:
                self._published, self._analytic.solved = snapshot, version
        return self._analytic.frozen(self._published)

    def _replace(self, **changes: Any) -> None:
        """Change plain fields of the live and the published state; the caller holds the learning lock."""
        self._changed = True
        if self._analytic is not None:
            self._whole_state()
            self._analytic.replace(**changes)
        snapshot = Snapshot(dataclasses.replace(self._published.state, **changes))
        snapshot.lent = self._published.lent
        if self._gradient is not None:
            self._gradient.drop_spare()
        self._publish(snapshot)
