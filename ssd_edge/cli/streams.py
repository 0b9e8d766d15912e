"""Samples as JSON lines on standard input, answered line by line, for a shell or another language to drive."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from ssd_edge.cli.changes import Change
from ssd_edge.cli.learning import LearnPlan, analytic_options, options_for, solve_by, use
from ssd_edge.cli.resuming import Pace, Resuming
from ssd_edge.cli.stream_store import StreamStore
from ssd_edge_runtime import EdgeModel
from ssd_edge_runtime.errors import DataError, EdgeModelError
from ssd_edge_runtime.options import LearningOptions, require

LONGEST_LINE = 1 << 26
"""Characters; an endless line is refused before it fills the memory."""


@dataclass(frozen=True)
class Sample:
    """One line of input."""

    number: int
    """Of the line, from 1."""
    x: NDArray[np.float32]
    """In the model's shape."""
    label: str | None
    """``y``, as a class name; None where the line has none."""
    identity: Any
    """``id``, handed back with the answer; None where the line has none."""

    @property
    def source(self) -> Any:
        """What an answer calls this sample: its ``id``, else ``line N``."""
        return self.identity if self.identity is not None else f"line {self.number}"


def read_samples(model: EdgeModel, stream: TextIO | None = None) -> Iterator[Sample | DataError]:
    """Each line's sample as soon as it is there, or a DataError that names the line, and the stream goes on.

    A line is ``{"x": [...], "y": "label", "id": ...}`` or the bare array ``[...]``; empty lines are skipped. Only
    a line longer than 64 million characters ends the stream, by raising DataError.
    """
    shape, width = model.state.input_shape, model.state.sample_width
    lines = sys.stdin if stream is None else stream
    number = 0
    while line := lines.readline(LONGEST_LINE):
        number += 1
        if len(line) == LONGEST_LINE:
            raise DataError(f"line {number} is longer than {LONGEST_LINE} characters")
        if line.strip():
            try:
                yield parse_line(line, number, shape, width)
            except DataError as error:
                yield error


def parse_line(line: str, number: int, shape: tuple[int, ...], width: int) -> Sample:
    """One line as a sample. Raises DataError that names the line."""
    try:
        document = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"line {number}: not JSON ({error})") from error
    fields = document if isinstance(document, dict) else {"x": document}
    unknown = sorted(set(fields) - {"x", "y", "id"})
    if "x" not in fields or unknown:
        found = f"unknown {unknown[0]!r}" if unknown else "no x"
        raise DataError(f"line {number}: {found}; a line is an array, or an object with x and maybe y and id")
    label = fields.get("y")
    if label is not None and (isinstance(label, bool) or not isinstance(label, str | int)):
        raise DataError(f"line {number}: y must be a string or an integer, got {label!r}")
    x = as_sample(fields["x"], number, shape, width)
    return Sample(number, x, None if label is None else str(label), fields.get("id"))


def as_sample(values: Any, number: int, shape: tuple[int, ...], width: int) -> NDArray[np.float32]:
    """Numbers of the line in the model's shape. Raises DataError."""
    try:
        x = np.array(values, np.float32)
    except (ValueError, TypeError) as error:
        raise DataError(f"line {number}: x must be numbers, nested alike ({error})") from error
    if x.shape not in (shape, (width,)):
        wanted = " x ".join(map(str, shape))
        raise DataError(f"line {number}: x has shape {' x '.join(map(str, x.shape))}, the model takes {wanted}")
    if not np.isfinite(x).all():
        raise DataError(f"line {number}: x holds NaN or infinity")
    return x.reshape(shape)


def infer_stream(model: EdgeModel, judge: Callable[[NDArray[np.float32]], dict[str, Any]]) -> None:
    """Answer every line with what ``judge`` makes of its probabilities (1, C)."""
    for sample in read_samples(model):
        if isinstance(sample, DataError):
            refuse(sample)
        else:
            answer({**judge(model.predict_proba(sample.x)), "source": sample.source})


def learn_stream(change: Change, plan: LearnPlan, how: Resuming) -> None:
    """Learn lines that have a label, predict those that have none; save at checkpoints and at the end.

    An answer to a learned line says how many samples are on storage by then, and which ``generation`` the file is;
    the last line is the report. Lines cannot be read again, so ``--resume`` goes on with other ones.
    """
    require(not plan.guarded, "guard needs data that can be taken back: it cannot be used with standard input")
    require(plan.epochs == 1, f"epochs must be 1 with standard input, got {plan.epochs}")
    model = change.model
    known, options = model.classes_, options_for(model, plan)
    solve_by(model, analytic_options(model, plan))
    store = StreamStore(change, plan, how)
    try:
        learned = learn_lines(model, options, store, Pace(how))
        report = store.save(learned) if learned or store.resumed else {"file": str(change.target)}
    except BaseException:
        store.close(failed=True)
        raise
    store.close()
    added = [name for name in model.classes_ if name not in known]
    counted = {"samples": learned, "resumed": store.resumed, "classes_added": added, "withheld": model.withheld_}
    answer({**counted, **store.place, **report})


def learn_lines(model: EdgeModel, options: LearningOptions | None, store: StreamStore, pace: Pace) -> int:
    """Learn or predict, and answer, line by line; returns how many were learned."""
    learned = 0
    for sample in read_samples(model):
        if isinstance(sample, DataError):
            refuse(sample)
        elif sample.label is None:
            best = model.predict_proba_one(sample.x)
            label = max(best, key=best.__getitem__)
            answer({"label": label, "confidence": round(best[label], 6), "source": sample.source})
        else:
            use(model, options)
            try:
                model.learn_one(sample.x, sample.label)
            except EdgeModelError as error:
                refuse(error)
                continue
            learned += 1
            if pace.due(1):
                store.checkpoint(learned)
            answer({"learned": sample.label, "samples": learned, **store.place, "source": sample.source})
    return learned


def answer(document: dict[str, Any]) -> None:
    """One line of JSON on standard output, at once."""
    sys.stdout.write(json.dumps(document, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def refuse(problem: DataError | EdgeModelError) -> None:
    """The answer to a line that cannot be used; the next line is read all the same."""
    answer({"error": str(problem)})
