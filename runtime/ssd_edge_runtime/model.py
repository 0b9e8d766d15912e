"""``EdgeModel``: predict, learn, forget and save on a device, without torch."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ssd_edge_runtime.arrays import Float32
from ssd_edge_runtime.detector import LossDetector
from ssd_edge_runtime.errors import EdgeModelError, FewSamplesWarning
from ssd_edge_runtime.network.engines import check_engine
from ssd_edge_runtime.network.forward import log_softmax, softmax
from ssd_edge_runtime.options import AnalyticOptions, LearningOptions
from ssd_edge_runtime.serving.inputs import Intake, ScaleCheck
from ssd_edge_runtime.serving.labels import as_names
from ssd_edge_runtime.serving.shared_model import SharedModel
from ssd_edge_runtime.state import ModelState

if TYPE_CHECKING:
    from ssd_edge_runtime.analytic.joining import Joined, Part
    from ssd_edge_runtime.gradient.dampening import DampeningOptions, DampeningReport
    from ssd_edge_runtime.ledger.entries import Remarks
    from ssd_edge_runtime.storage import Source

UNKNOWN = ""
"""The answer of ``reject_below``; no class has this name."""


class EdgeModel:
    """A model that predicts and goes on learning, with scikit-learn's verbs.

    Samples are (N, *input_shape), (N, their number of values) or a single one, channels last or first: arrays,
    lists, tensors, data frames, anything with ``__array__``; uint8 is divided by 255. Where the file says how
    pictures are fitted, these come in any size: Pillow's images, paths, uint8 arrays. Where it has an encoder,
    samples are what that takes. Labels are class names; a whole number i is the class named ``str(i)``. Whatever
    raises :class:`EdgeModelError` changes nothing. One thread may learn while others predict: a prediction sees
    the state before or after a call, never a mixture, and waits for no learning but its own thread's. ``copy`` and
    ``pickle`` give an independent equal model, for processes of the same version; :meth:`save` is for keeping.

    >>> model = EdgeModel.load("model.onnx")  # doctest: +SKIP
    >>> model.partial_fit(x, ["bag", "bag"]).predict(x)  # doctest: +SKIP
    array(['bag', 'bag'], dtype='<U3')
    """

    def __init__(self, state: ModelState, *, engine: str = "auto", threads: int = 1) -> None:
        """Wrap ``state``, which is never written into.

        ``engine``: "csr", "onnxruntime", or "auto", the faster one. ``threads``: of ONNX Runtime; CSR uses one.
        """
        check_engine(engine)
        EdgeModelError.unless(threads >= 1, f"threads must be at least 1, got {threads}")
        self._engine = engine
        self._threads = threads
        self._source: Source | None = None
        self._intake = Intake(state, threads)
        self._shared = SharedModel(state)
        self.scale_check: ScaleCheck = "warn"
        """What is done about values far from those trained on: "warn", "strict" (refuse them), or "off"."""
        self.detector: LossDetector | None = None
        """Opens a task boundary where the loss of a stream rises for good (gradient readout)."""

    def __getstate__(self) -> dict[str, Any]:
        """What ``pickle`` and ``copy`` go by: a model of its own, as this one is now, with its readout solved."""
        with self._shared.learning:
            return {**vars(self), "_intake": None, "_shared": self._shared.handed_over()}

    def __setstate__(self, values: dict[str, Any]) -> None:
        vars(self).update(values)
        state = values["_shared"]["state"]
        self._intake = Intake(state, self._threads)
        self._shared = SharedModel(**values["_shared"])
        self.detector = copy.deepcopy(self.detector)

    @classmethod
    def load(
        cls,
        path: str | PathLike[str],
        engine: str = "auto",
        threads: int = 1,
        verify: bool = True,
        trusted: Sequence[str | PathLike[str]] = (),
        allow_older: bool = False,
        confine: bool = True,
    ) -> EdgeModel:
        """The model in a file; ``verify`` checks its digest. Raises OSError or :class:`EdgeModelError`.

        Where ``trusted`` or the environment variable SSD_EDGE_TRUSTED_KEYS names files of public keys, only a
        model signed by one of them is loaded, and no older generation than one loaded from there before, unless
        ``allow_older``. An encoder in a file that no trusted key has signed runs in a process of its own, with
        limits of memory and time, unless ``confine`` is false.
        """
        from ssd_edge_runtime.storage import load_state

        state, source = load_state(path, verify=verify, trusted=trusted, allow_older=allow_older, confine=confine)
        try:
            model = cls(state, engine=engine, threads=threads)
        except EdgeModelError as error:
            raise EdgeModelError(f"{path}: {error}") from None
        model._source = source
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

    def embed(self, x: Any) -> Float32:
        """What the first layer takes of samples, float32 (N, d): embeddings where there is an encoder."""
        return self._intake.inputs(x, self.scale_check)

    def as_samples(self, x: Any) -> Float32:
        """Samples as the model is fed them, float32 (N, *input_shape): checked, in its order, size and scale."""
        return self._intake.samples(x, self.scale_check).reshape(-1, *self._shared.state.input_shape)

    def score(self, x: Any, y: Any) -> float:
        """Share of samples answered with their label; a label that the model does not know is a miss."""
        answers = self.predict(x)
        names = as_names(y, len(answers), self.classes_)
        return float(np.mean([answer == name for answer, name in zip(answers.tolist(), names, strict=True)]))

    # Learning

    def partial_fit(self, x: Any, y: Any) -> EdgeModel:
        """Learn samples in one pass, in mini-batches; labels never seen open new classes.

        With the gradient readout a new class also opens a task boundary, before it is learned, and so does a rise
        of the loss that :attr:`detector` finds significant. Warns (:class:`FewSamplesWarning`) of classes that are
        still below ``analytic.min_samples``.
        """
        samples = self.embed(x)
        names = as_names(y, len(samples), self._shared.state.classes)
        with self._shared.learning:
            self._shared.make_room(names, len(samples))
            if self.detector is not None and self._shared.state.readout.kind == "gradient":
                self._detect(self.detector, samples, names)
            self._shared.learn(samples, names)
            withheld = self._shared.withheld()
        few = [f"{name!r} ({withheld[name]} samples)" for name in dict.fromkeys(names) if name in withheld]
        if few:
            warnings.warn(f"too few samples to be answered: {', '.join(few)}", FewSamplesWarning, stacklevel=2)
        return self

    def _detect(self, detector: LossDetector, samples: Float32, names: list[str]) -> None:
        places = {name: number for number, name in enumerate(self._shared.state.classes)}
        if all(name in places for name in names):
            _, logits = self._shared.answer(samples, "csr", 1)
            labels = [places[name] for name in names]
            if detector.update(-log_softmax(logits)[np.arange(len(names)), labels]):
                self._shared.boundary()

    def unlearn(self, x: Any, y: Any) -> EdgeModel:
        """Take samples out of an analytic readout, exactly as if they had never been learned."""
        samples = self.embed(x)
        names = as_names(y, len(samples), self._shared.state.classes)
        with self._shared.learning:
            self._shared.unlearn(samples, names)
        return self

    def forget(self, name: Any) -> EdgeModel:
        """Remove a class from the answers; its samples' mean leaves the analytic statistics with it."""
        with self._shared.learning:
            name = self._known(name)
            if len(self._shared.state.classes) == 1:
                raise EdgeModelError(f"cannot forget {name!r}: a model needs at least one class")
            self._shared.forget(name)
        return self

    def dampen(
        self, name: Any, samples: Any, retained: tuple[Any, Any], options: DampeningOptions | None = None
    ) -> DampeningReport:
        """Remove a class from a gradient readout and dampen the weights that served it, at a reported cost.

        Selective Synaptic Dampening compares what each weight means to ``samples`` of the class and to
        ``retained``, samples of the others with their labels.
        """
        from ssd_edge_runtime.gradient.dampening import DampeningOptions

        forgotten, kept = self.embed(samples), self.embed(retained[0])
        with self._shared.learning:
            name = self._known(name)
            names = [self._known(each) for each in as_names(retained[1], len(kept))]
            return self._shared.dampen(name, forgotten, kept, names, options or DampeningOptions())

    def rename(self, old: Any, new: Any) -> EdgeModel:
        """Give a class another name."""
        with self._shared.learning:
            old = self._known(old)
            new = as_names(new, 1)[0]
            EdgeModelError.unless(new not in self._shared.state.classes, f"there already is a class {new!r}")
            self._shared.make_room([new])
            self._shared.rename(old, new)
        return self

    def begin_task(self) -> EdgeModel:
        """Open a task boundary: the model as it is becomes the teacher. A label never seen does so by itself."""
        with self._shared.learning:
            self._shared.boundary()
        return self

    def end_task(self) -> EdgeModel:
        """Close the task: the same boundary, from its other side."""
        return self.begin_task()

    @staticmethod
    def merge(models: Sequence[EdgeModel], base: EdgeModel) -> EdgeModel:
        """One model that knows what each learned since ``base``, the model that all started from.

        Raises :class:`EdgeModelError`, by name, where two of them hold what the same device has learned.
        """
        from ssd_edge_runtime.analytic.joining import merged

        return base._with(merged([model._part() for model in models], base._part()))

    def save(
        self,
        path: str | PathLike[str],
        *,
        keep: int = 3,
        keep_replaced: bool = True,
        announce: Callable[[str], None] = lambda digest: None,
        remarks: Remarks | None = None,
    ) -> int:
        """Write the model, atomically, as a new generation; the earlier ones stay beside it. Returns its number.

        ``keep_replaced`` false: the file being replaced is only a checkpoint of this same work, and goes.
        ``announce`` is told the new file's digest before it takes its place; ``remarks`` go into its history.
        Raises :class:`EdgeModelError` if the file changed since this model was loaded from it.
        """
        from ssd_edge_runtime.serving.saving import save_shared

        with self._shared.learning:
            options: dict[str, Any] = {"keep": keep, "keep_replaced": keep_replaced, "announce": announce}
            self._source = save_shared(self._shared, path, self._source, remarks, **options)
            return self._shared.state.generation

    def record(self, progress: dict[str, int], place: int | None = None) -> bytes:
        """What was learned since the last record, with ``progress`` on top: a checkpoint, for :meth:`replay`.

        The first begins to remember. ``place``: how many are in a journal; one that is not there is given again.
        """
        with self._shared.learning:
            return self._shared.record(progress, place)

    def replay(self, record: bytes) -> list[str]:
        """Learn again what a record holds, to the same bits; records of one model, in their order.

        Returns, in words, the lessons left out because no file could hold them, as earlier versions took some.
        """
        with self._shared.learning:
            return self._shared.replay(record)

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
        return list(self._shared.state.classes)

    @property
    def samples_seen_(self) -> int:
        """Samples learned from, in all, training included."""
        return self._shared.state.samples_seen

    @property
    def activation_frequency(self) -> list[NDArray[np.float64]]:
        """Per layer, in which share of the samples counted each neuron was active, (n,) in [0, 1]."""
        with self._shared.learning:
            state = self._shared.settled()
            samples = max(int(state.class_samples.sum()), 1)
            return [np.minimum(layer.activation_count / samples, 1.0) for layer in state.layers]

    @property
    def state(self) -> ModelState:
        """Everything, as plain arrays, up to date; treat it as read-only."""
        with self._shared.learning:
            return self._shared.lend()

    @property
    def engine(self) -> str:
        """What computes the answers, as asked for: "csr", "onnxruntime" or "auto"."""
        return self._engine

    @property
    def digest(self) -> str | None:
        """Digest of the file that this model was loaded from or last saved to; None before that."""
        return self._source.digest if self._source else None

    @property
    def learning(self) -> LearningOptions | None:
        """Options of gradient learning; assign others to learn with them from now on."""
        return self._shared.state.learning

    @learning.setter
    def learning(self, options: LearningOptions) -> None:
        with self._shared.learning:
            self._shared.learn_by(options)

    @property
    def analytic(self) -> AnalyticOptions | None:
        """How an analytic readout is solved; assign others to solve by them from now on, here and in the file."""
        return self._shared.state.analytic

    @analytic.setter
    def analytic(self, options: AnalyticOptions) -> None:
        with self._shared.learning:
            self._shared.solve_with(options)

    @property
    def withheld_(self) -> dict[str, int]:
        """Classes with fewer samples than ``analytic.min_samples``, which are not answered, and how many."""
        with self._shared.learning:
            return self._shared.withheld()

    @property
    def solve_every(self) -> int:
        """Samples to learn before a prediction solves an analytic readout again; 1 keeps all up to date.

        Until then answers come from the last solution; :meth:`save` and :attr:`state` always solve.
        """
        return self._shared.solve_every

    @solve_every.setter
    def solve_every(self, samples: int) -> None:
        EdgeModelError.unless(samples >= 1, f"solve_every must be at least 1, got {samples}")
        self._shared.solve_every = samples

    def _part(self) -> Part:
        from ssd_edge_runtime.analytic.joining import Part

        path, digest = (self._source.path, self._source.digest) if self._source else (None, None)
        return Part(path, digest, self._shared.changed, self.state)

    def _with(self, joined: Joined) -> EdgeModel:
        """This model with lessons of others added, not saved yet."""
        model = EdgeModel(joined.state, engine=self._engine, threads=self._threads)
        model._source = self._source
        model._shared.join(joined.verb, joined.what, joined.before)
        return model

    def _known(self, name: Any) -> str:
        classes = self._shared.state.classes
        known = as_names(name, 1, classes)[0]
        EdgeModelError.unless(known in classes, f"unknown class {known!r}: the model knows {', '.join(classes)}")
        return known

    def _answers(self, x: Any) -> tuple[ModelState, Float32]:
        # ONNX Runtime runs the whole file, encoder included; the other engine begins behind it.
        whole = self._engine == "onnxruntime"
        inputs = (self._intake.samples if whole else self._intake.inputs)(x, self.scale_check)
        return self._shared.answer(inputs, self._engine, self._threads)


merge = EdgeModel.merge


def rebase(mine: EdgeModel, old: EdgeModel, new: EdgeModel) -> EdgeModel:
    """``new`` with what ``mine`` learned, and without what it forgot, since ``old``, exactly.

    Raises :class:`EdgeModelError`, by name, where features differ, or ``new`` holds some of these lessons already.
    """
    from ssd_edge_runtime.analytic.joining import rebased

    return new._with(rebased(mine._part(), old._part(), new._part()))
