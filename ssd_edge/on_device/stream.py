"""Samples on standard input, answered line by line, for a shell or another language to drive."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssd_edge.cli.arguments import StdinFormat
from ssd_edge.cli.infer import answers_for
from ssd_edge.on_device.learn import LearnPlan, analytic_options, options_for, solve_by, use
from ssd_edge.on_device.resume import Pace, Resuming
from ssd_edge.on_device.stream_checkpoints import StreamStore
from ssd_edge.on_device.stream_input import Samples, read_samples
from ssd_edge.on_device.transaction import Change
from ssd_edge_runtime import EdgeModel
from ssd_edge_runtime.errors import DataError, EdgeModelError, OptionError
from ssd_edge_runtime.options import LearningOptions

Judge = Callable[[NDArray[np.float32]], list[dict[str, Any]]]


def infer_stream(model: EdgeModel, judge: Judge, stdin_format: StdinFormat) -> None:
    """Answer every sample with what ``judge`` makes of the probabilities (N, C) of those sent together."""
    for samples in read_samples(model, stdin_format, labelled=False):
        if isinstance(samples, DataError):
            refuse(samples)
        else:
            predict(model, samples, judge)


def predict(model: EdgeModel, samples: Samples, judge: Judge) -> None:
    """A line for each sample."""
    for row, source in zip(judge(model.predict_proba(samples.x)), samples.sources(), strict=True):
        answer({**row, "source": source})


def learn_stream(change: Change, plan: LearnPlan, how: Resuming, stdin_format: StdinFormat) -> None:
    """Learn samples that have labels, predict those that have none; save at checkpoints and at the end.

    An answer to what was learned says how many samples are on storage by then, and which ``generation`` the file
    is; the last line is the report. Samples cannot be read again, so ``--resume`` goes on with other ones.
    """
    OptionError.unless(
        not plan.guarded, "guard needs data that can be taken back: it cannot be used with standard input"
    )
    OptionError.unless(plan.epochs == 1, f"epochs must be 1 with standard input, got {plan.epochs}")
    model = change.model
    known, options = model.classes_, options_for(model, plan)
    solve_by(model, analytic_options(model, plan))
    store = StreamStore(change, plan, how)
    try:
        learned = learn_all(model, options, store, Pace(how), stdin_format)
        report = store.save(learned) if learned or store.resumed else {"file": str(change.target)}
    except BaseException:
        store.close(failed=True)
        raise
    store.close()
    added = [name for name in model.classes_ if name not in known]
    counted = {"samples": learned, "resumed": store.resumed, "classes_added": added, "withheld": model.withheld_}
    answer({**counted, **store.place, **report})


def learn_all(
    model: EdgeModel, options: LearningOptions | None, store: StreamStore, pace: Pace, stdin_format: StdinFormat
) -> int:
    """Learn or predict, and answer, as samples come; returns how many were learned."""
    learned = 0
    for samples in read_samples(model, stdin_format, labelled=True):
        if isinstance(samples, DataError):
            refuse(samples)
        elif samples.labels is None:
            predict(model, samples, lambda rows: answers_for(rows, model.classes_))
        else:
            use(model, options)
            try:
                model.partial_fit(samples.x, samples.labels)
            except EdgeModelError as error:
                refuse(error)
                continue
            learned += len(samples.x)
            if pace.due(len(samples.x)):
                store.checkpoint(learned)
            names = samples.labels[0] if samples.single else samples.labels
            answer({"learned": names, "samples": learned, **store.place, "source": samples.source})
    return learned


def answer(document: dict[str, Any]) -> None:
    """One line of JSON on standard output, at once."""
    try:
        sys.stdout.write(json.dumps(document, ensure_ascii=False) + "\n")
    except UnicodeEncodeError:
        sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


def refuse(problem: DataError | EdgeModelError) -> None:
    """The answer to a line or frame that cannot be used; the next one is read all the same."""
    answer({"error": str(problem)})
