"""Samples that come one after another, each answered at once: predicted, or learned."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ssd_edge.on_device.answers import answers_for
from ssd_edge.on_device.callbacks import Answer, Stop, Tell, never, silent
from ssd_edge.on_device.inputs import Loading, Model, load_model, note_confined
from ssd_edge.on_device.keys import Keys
from ssd_edge.on_device.plan import LearnPlan, analytic_options, options_for, solve_by, use
from ssd_edge.on_device.resume import Resuming
from ssd_edge.on_device.stream_checkpoints import StreamStore
from ssd_edge.on_device.stream_input import Samples, Source, StreamFormat, read_samples
from ssd_edge.on_device.transaction import Change, Saving, changing
from ssd_edge_runtime import EdgeModel
from ssd_edge_runtime.errors import DataError, EdgeModelError, FewSamplesWarning, OptionError
from ssd_edge_runtime.options import LearningOptions


def infer_stream(
    model: Model,
    source: Source,
    answer: Answer,
    *,
    top: int = 1,
    reject_below: float = 0.0,
    form: StreamFormat = "auto",
    loading: Loading = Loading(),
    keys: Keys = Keys(),
    tell: Tell = silent,
) -> None:
    """Label every sample of a stream, each answered before the next one is read.

    ``source``: a binary file, or any iterable of lines or of bytes, with JSON lines (``[...]``, or ``{"x": [...],
    "id": ...}``) or ``.npy`` arrays of one sample or several. ``answer`` hears what :func:`infer` would return for
    each sample; its ``source`` is the id, ``line 3``, or ``frame 3, sample 1``. What cannot be used is answered by
    ``{"error": ...}``, and the stream goes on. Raises DataError where nothing more can be read, EdgeModelError and
    OSError for the file.

    >>> infer_stream("model.onnx", ["[0.5, 0.1, 0.9]"], print)  # doctest: +SKIP
    {'label': 'cat', 'confidence': 0.98, 'source': 'line 1'}
    """
    edge = load_model(model, loading, keys, tell)
    note_confined(edge, tell)
    for samples in read_samples(edge, source, form, labelled=False):
        if isinstance(samples, DataError):
            answer(_refusal(samples))
        else:
            _predict(edge, samples, answer, top, reject_below)


def _predict(model: EdgeModel, samples: Samples, answer: Answer, top: int = 1, reject_below: float = 0.0) -> None:
    """An answer for each sample."""
    try:
        probabilities = model.predict_proba(samples.x)
    except EdgeModelError as error:
        answer(_refusal(error))
        return
    rows = answers_for(probabilities, model.classes_, top, reject_below)
    for row, source in zip(rows, samples.sources(), strict=True):
        answer({**row, "source": source})


def _refusal(problem: DataError | EdgeModelError) -> dict[str, Any]:
    """The answer to a line or frame that cannot be used; the next one is read all the same."""
    return {"error": str(problem)}


def learn_stream(
    model: str | Path,
    source: Source,
    answer: Answer,
    plan: LearnPlan = LearnPlan(),
    *,
    form: StreamFormat = "auto",
    resuming: Resuming = Resuming(),
    saving: Saving = Saving(),
    loading: Loading = Loading(),
    keys: Keys = Keys(),
    tell: Tell = silent,
    stop: Stop = never,
) -> dict[str, Any]:
    """Learn samples of a stream that have labels, predict the others; save at checkpoints and at the end.

    ``source`` is as in :func:`infer_stream`; labels are the ``y`` of a line, or every second array. ``answer``
    hears of what was learned: ``learned`` (its label or labels), ``samples`` so far, how many of them are
    ``stored``, the file's ``generation``, and ``source``. Samples cannot be read again, so resuming goes on with
    other ones. Where ``resuming`` does not say how often, checkpoints come every 1000 samples and every minute; a
    gradient readout, of which each is a whole file, has one every 100,000 samples and every ten minutes. Once
    ``stop`` says yes no more is learned, and what was learned is saved.

    Returns ``samples``, ``resumed``, ``classes_added``, ``withheld``, ``stored``, ``generation`` and ``file``;
    where anything was learned, also ``classes`` and ``samples_seen``, and where ``stop`` ended it, ``stopped``.
    Raises SSDEdgeError or OSError, and what was acknowledged by then is saved, or else stays in the journal.

    >>> lines = ['{"x": [0.5, 0.1, 0.9], "y": "cat"}', "[0.5, 0.1, 0.9]"]
    >>> learn_stream("model.onnx", lines, print)["samples"]  # doctest: +SKIP
    {'learned': 'cat', 'samples': 1, 'stored': 0, 'generation': 1, 'source': 'line 1'}
    {'label': 'cat', 'confidence': 0.98, 'source': 'line 2'}
    1
    """
    OptionError.unless(plan.epochs == 1, f"epochs must be 1 with a stream, got {plan.epochs}")
    with (
        warnings.catch_warnings(action="ignore", category=FewSamplesWarning),
        changing(model, saving, loading=loading, keys=keys, learning=True, tell=tell) as change,
    ):
        note_confined(change.model, tell)
        options = options_for(change.model, plan)
        solve_by(change.model, analytic_options(change.model, plan))
        store = StreamStore(change, plan, resuming, tell)
        return StreamLesson(change, store, options, answer, stop).learn(source, form)


@dataclass
class StreamLesson:
    """A stream on its way into a model."""

    change: Change
    store: StreamStore
    options: LearningOptions | None
    answer: Answer
    stop: Stop = never
    learned: int = 0
    """Samples of this stream."""

    def learn(self, source: Source, form: StreamFormat) -> dict[str, Any]:
        """Answer all samples, and save; returns the report."""
        model, store = self.change.model, self.store
        known = model.classes_
        try:
            for samples in read_samples(model, source, form, labelled=True):
                if self.stop():  # what came after it, half a line too, was neither learned nor acknowledged
                    break
                self._take(samples)
            saved = (
                store.save(self.learned) if self.learned or store.resumed else {"file": str(self.change.target)}
            )
        except Exception:
            store.rescue(self.learned)
            raise
        except BaseException:
            store.close(failed=True)
            raise
        store.close()
        added = [name for name in model.classes_ if name not in known]
        counted = {"samples": self.learned, "resumed": store.resumed, "classes_added": added}
        stopped = {"stopped": True} if self.stop() else {}
        return {**counted, "withheld": model.withheld_, **store.place, **saved, **stopped}

    def _take(self, samples: Samples | DataError) -> None:
        """Learn or predict what was sent together, and answer."""
        model = self.change.model
        if isinstance(samples, DataError):
            self.answer(_refusal(samples))
        elif samples.labels is None:
            _predict(model, samples, self.answer)
        else:
            use(model, self.options)
            try:
                model.partial_fit(samples.x, samples.labels)
            except EdgeModelError as error:
                self.answer(_refusal(error))
            else:
                self._learned(samples, samples.labels)

    def _learned(self, samples: Samples, labels: list[str]) -> None:
        self.learned += len(samples.x)
        self.store.keep(self.learned, len(samples.x))
        names = labels[0] if samples.single else labels
        self.answer({"learned": names, "samples": self.learned, **self.store.place, "source": samples.source})
