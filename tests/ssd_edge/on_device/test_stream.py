"""Streams from Python: any iterable of lines or bytes in, answers to a callback, the report returned."""

from __future__ import annotations

import io
import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_models import samples

from ssd_edge.data import limits
from ssd_edge.on_device import LearnPlan, Resuming, infer, infer_stream, learn_stream, stream_input
from ssd_edge_runtime import EdgeModel
from ssd_edge_runtime.errors import DataError, OptionError
from ssd_edge_runtime.storage.journal import journal_path

X, Y = samples(9, 4)


def line(number: int, label: str | None = None) -> str:
    return json.dumps({"x": X[number].tolist()} | ({} if label is None else {"y": label}))


def frame(values: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.asarray(values))
    return stream.getvalue()


def in_pieces(data: bytes, size: int) -> Iterator[bytes]:
    yield from (data[start : start + size] for start in range(0, len(data), size))


def test_every_kind_of_source_gets_the_same_answers(edge_file: Path, tmp_path: Path) -> None:
    expected = [(row["label"], row["confidence"]) for row in infer(edge_file, X)]
    lines = [line(number) for number in range(4)]
    text = "".join(each + "\n" for each in lines)
    (tmp_path / "lines.txt").write_text(text)
    frames = b"".join(frame(row) for row in X)
    binary = io.BytesIO(text.encode())
    with (tmp_path / "lines.txt").open() as as_text, (tmp_path / "lines.txt").open("rb") as as_bytes:
        sources: list[Any] = [
            lines,
            iter(lines),
            as_text,
            as_bytes,
            binary,
            in_pieces(text.encode(), 7),
            io.BytesIO(frames),
            in_pieces(frames, 11),
            [frame(X)],
        ]
        for source in sources:
            answers: list[dict[str, Any]] = []
            infer_stream(edge_file, source, answers.append)
            assert [(row["label"], row["confidence"]) for row in answers] == expected
    assert not binary.closed


def test_each_answer_comes_before_the_next_line_is_asked_for(edge_file: Path) -> None:
    events: list[str] = []

    def source() -> Iterator[str]:
        for number in range(3):
            events.append("line")
            yield line(number)

    infer_stream(EdgeModel.load(edge_file), source(), lambda row: events.append(row["source"]), form="json")
    assert events == ["line", "line 1", "line", "line 2", "line", "line 3"]


def test_a_bad_line_is_answered_and_the_stream_goes_on(edge_file: Path) -> None:
    answers: list[dict[str, Any]] = []
    infer_stream(edge_file, ["{oops", "\ud800", line(0)], answers.append, top=2)
    assert answers[0]["error"].startswith("line 1: not JSON")
    assert answers[1]["error"].startswith("line 2: not UTF-8")
    assert len(answers[2]["top"]) == 2


LONG = {
    "lists": b"[" + b"[]," * 400_000 + b"1]",
    "objects": b"[" + b"{}," * 400_000 + b"1]",
    "fractions": b"[" + b"0.1," * 300_000 + b"1]",
    "texts": b'["' + b'a","' * 300_000 + b'"]',
    "an id": b'{"id": [' + b"[]," * 400_000 + b'1], "x": []}',
}


@pytest.mark.parametrize("kind", LONG)
def test_a_line_that_stands_for_more_than_the_memory_is_not_unfolded(
    edge_file: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    model, answers = EdgeModel.load(edge_file), list[dict[str, Any]]()
    monkeypatch.setattr(limits, "free_memory", lambda: 16 << 20)
    infer_stream(model, [LONG[kind] + b"\n", line(0).encode() + b"\n"], answers.append, form="json")
    assert "line 1: needs about" in answers[0]["error"]
    assert "16 MB are free" in answers[0]["error"]
    assert "label" in answers[1]


@pytest.mark.parametrize("kind", LONG)
def test_a_line_takes_no_more_memory_than_is_asked_for(edge_file: Path, kind: str) -> None:
    model, answers = EdgeModel.load(edge_file), list[dict[str, Any]]()
    tracemalloc.start()
    try:
        infer_stream(model, [LONG[kind] + b"\n"], answers.append, form="json")
        assert tracemalloc.get_traced_memory()[1] < stream_input.JSON_FACTOR * len(LONG[kind])
    finally:
        tracemalloc.stop()
    assert answers[0]["error"].startswith("line 1: ")


def test_labelled_samples_are_learned_and_the_report_returned(edge_file: Path) -> None:
    answers: list[dict[str, Any]] = []
    source = [line(0, "new"), line(1, "0"), line(2)]
    report = learn_stream(edge_file, source, answers.append, resuming=Resuming(every=2))
    assert [row.get("learned") for row in answers] == ["new", "0", None]
    assert [row["stored"] for row in answers[:2]] == [0, 2]
    assert "label" in answers[2]
    assert (report["samples"], report["classes_added"], report["file"]) == (2, ["new"], str(edge_file))
    assert EdgeModel.load(edge_file).samples_seen_ == report["samples_seen"] == 62
    assert not journal_path(edge_file).exists()


def test_arrays_and_their_labels_come_in_turn(edge_file: Path) -> None:
    answers: list[dict[str, Any]] = []
    report = learn_stream(edge_file, [frame(X), frame(["a", "b", "a", "b"])], answers.append)
    assert answers[0]["learned"] == ["a", "b", "a", "b"]
    assert report["classes_added"] == ["a", "b"]


def test_a_source_that_breaks_leaves_its_checkpoint(edge_file: Path) -> None:
    told: list[str] = []

    def source() -> Iterator[str]:
        yield line(0, "0")
        yield line(1, "1")
        raise ConnectionError("the sensor has gone")

    before = edge_file.read_bytes()
    with pytest.raises(ConnectionError):
        learn_stream(edge_file, source(), lambda row: None, resuming=Resuming(every=1), form="json")
    assert edge_file.read_bytes() == before
    with pytest.raises(OptionError, match="holds 2 samples of learning that was cut off"):
        learn_stream(edge_file, [], print)
    report = learn_stream(edge_file, [], print, resuming=Resuming(resume=True), tell=told.append)
    assert report["resumed"] == 2
    assert told == [f"resumed: 2 samples of {journal_path(edge_file)}"]
    assert EdgeModel.load(edge_file).samples_seen_ == 62


def test_what_is_no_stream_is_refused(edge_file: Path) -> None:
    for source in ("lines.txt", b"[]", Path("lines.txt")):
        with pytest.raises(DataError, match="a stream is a binary file or an iterable of lines"):
            infer_stream(edge_file, source, print)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="form must be one of auto, json, npy, got 'xml'"):
        infer_stream(edge_file, [], print, form="xml")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="epochs must be 1 with a stream, got 2"):
        learn_stream(edge_file, [], print, LearnPlan(epochs=2))
