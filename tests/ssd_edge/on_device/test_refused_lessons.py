"""Lessons that no file could hold are answered and never acknowledged; journals that have some come back."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_models import analytic_state, gradient_state, samples

from ssd_edge.on_device import Resuming, forget, learn_stream, rename
from ssd_edge_runtime import EdgeModel, EdgeModelError, model_file
from ssd_edge_runtime.checkpoints import Checkpoints
from ssd_edge_runtime.errors import DataError, OptionError
from ssd_edge_runtime.storage import records
from ssd_edge_runtime.storage.journal import Journal, journal_path

X, _ = samples(3, 1)
BAD = ["form\ffeed", "a\u2029b", "\u009d0;title\u009c", "y" * 1001, 10**1100, "  \t ", "NaT", "\udcff"]
PLAN = {"data": "standard input", "lr": None, "distill": None}


@pytest.fixture(params=["analytic", "gradient"])
def model(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "model.onnx"
    path.write_bytes(model_file.to_bytes(analytic_state() if request.param == "analytic" else gradient_state()))
    return path


def line(label: Any) -> str:
    return json.dumps({"x": X[0].tolist(), "y": label})


def frame(values: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.asarray(values))
    return stream.getvalue()


def learned(model: Path, source: Any) -> list[bool]:
    """Whether each lesson was acknowledged; those alone are in the file."""
    answers: list[dict[str, Any]] = []
    seen = EdgeModel.load(model).samples_seen_
    learn_stream(model, source, answers.append)
    taken = ["learned" in answer for answer in answers]
    assert EdgeModel.load(model).samples_seen_ == seen + sum(taken)
    assert not journal_path(model).exists()
    return taken


@pytest.mark.parametrize("label", BAD)
def test_lines(model: Path, label: Any) -> None:
    assert learned(model, [line("0"), line(label), line("new")]) == [True, False, True]


@pytest.mark.parametrize("label", [name for name in BAD if isinstance(name, str) and name != "\udcff"])
def test_frames(model: Path, label: str) -> None:
    pairs = b"".join(frame(X) + frame([each]) for each in ("0", label, "new"))
    assert learned(model, [pairs]) == [True, False, True]


def written(x: str, label: str = '"0"', identity: str = "null") -> str:
    return f'{{"x": [{x}], "y": {label}, "id": {identity}}}'


NUMBERS = ", ".join(map(str, X[0].tolist()))


@pytest.mark.parametrize(
    "text",
    [
        written(", ".join(["1" + "0" * 400] * X[0].size)),
        written(", ".join(["1e39"] * X[0].size)),
        written(NUMBERS, identity="Infinity"),
        written(NUMBERS, identity="1e999"),
        written(NUMBERS, label="7" * 5000),
    ],
)
def test_numbers_beyond_all_bounds(model: Path, text: str) -> None:
    assert learned(model, [line("0"), text, written(NUMBERS)]) == [True, False, True]


def test_what_cannot_be_read_on_costs_no_lesson(model: Path) -> None:
    """Frames after one that is damaged cannot be found: what came before is kept."""
    good = frame(X) + frame(["0"])
    told: list[str] = []
    seen = EdgeModel.load(model).samples_seen_
    with pytest.raises(DataError, match="only of numbers and text"):
        learn_stream(model, [good + good + frame(np.array([b"bytes"]))], lambda row: None, tell=told.append)
    learn_stream(model, [], print, resuming=Resuming(resume=True))
    assert EdgeModel.load(model).samples_seen_ == seen + 2
    assert len(told) == 1


def old_journal(model: Path, names: list[str]) -> None:
    """A journal of an earlier version, which took any name for a class: a record for each."""
    edge = EdgeModel.load(model)
    work = Checkpoints(edge, model, PLAN)
    work.begin()
    work.drop()
    head = records.encode({"kind": "begin", "plan": PLAN, "parent": edge.digest}, {})
    journal = Journal.create(journal_path(model), head)
    for number, name in enumerate(names, 1):
        fields, arrays = records.decode(edge.partial_fit(X, ["plain"]).record({"samples": number}))
        journal.append(records.encode(fields | {"classes": [name]}, arrays))


@pytest.mark.parametrize("bad", ["two\nlines", "x" * 1500, "\u2028"])
def test_an_old_journal_comes_back_without_the_lesson_that_no_file_holds(tmp_path: Path, bad: str) -> None:
    model = tmp_path / "model.onnx"
    model.write_bytes(model_file.to_bytes(analytic_state()))
    old_journal(model, ["fine", bad, "  padded ", "0"])
    for change in (lambda: forget(model, "1"), lambda: rename(model, "1", "one")):
        with pytest.raises(OptionError, match="finish it with ssd-edge learn --resume"):
            change()
    told: list[str] = []
    report = learn_stream(model, [], print, resuming=Resuming(resume=True), tell=told.append)
    assert told[0].startswith(f"note: left out of what {journal_path(model)} holds: 1 samples of ")
    assert "class name" in told[0]
    assert told[1:] == [f"resumed: 4 samples of {journal_path(model)}"]
    assert report["classes"] == ["0", "1", "2", "fine", "padded"]
    assert EdgeModel.load(model).samples_seen_ == 60 + 3
    assert forget(model, "1")["classes"] == ["0", "2", "fine", "padded"]


def test_a_record_that_cannot_be_used_costs_no_other(tmp_path: Path) -> None:
    model = tmp_path / "model.onnx"
    model.write_bytes(model_file.to_bytes(analytic_state()))
    old_journal(model, ["a", "b"])
    found = Journal.open(journal_path(model))
    fields, arrays = records.decode(found[1])
    broken = records.encode(fields, arrays | {"values": -arrays["values"]})
    Journal.create(journal_path(model), found[0], broken, found[2])
    told: list[str] = []
    report = learn_stream(model, [], print, resuming=Resuming(resume=True), tell=told.append)
    assert told[0].endswith("record 1: a journal's record holds codes that are not positive numbers")
    assert report["classes"] == ["0", "1", "2", "b"]


@pytest.mark.parametrize("name", ["a\vb", "z" * 1001, "\u0007"])
def test_other_verbs_know_the_same_rule(model: Path, name: str) -> None:
    before = model.read_bytes()
    with pytest.raises(EdgeModelError, match="class name"):
        rename(model, "0", name)
    assert model.read_bytes() == before
