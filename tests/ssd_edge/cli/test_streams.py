"""Streams: a line in, a line out, at once; a bad line is answered and the stream goes on."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from ssd_edge.cli import main
from ssd_edge.on_device.stream_input import Takes, parse_line
from ssd_edge_runtime import EdgeModel
from ssd_edge_runtime.errors import DataError
from tests.helpers.two_classes import PROTOTYPES


def stream(model: Path, command: str, *lines: object, options: tuple[str, ...] = ()) -> list[Any]:
    """Answers of a command to lines of JSON."""
    text = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
    result: Result = CliRunner().invoke(main, [command, str(model), "-", *options], input=text)
    assert result.exit_code == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_infer_answers_each_line(model: Path) -> None:
    rows = stream(model, "infer", {"x": PROTOTYPES["low"], "id": "a7"}, PROTOTYPES["high"])
    assert [(row["label"], row["source"]) for row in rows] == [("low", "a7"), ("high", "line 2")]
    assert set(rows[0]) == {"label", "confidence", "source"}


def test_infer_takes_the_shape_of_the_model_too(model: Path) -> None:
    nested = np.array(PROTOTYPES["high"]).reshape(2, 3).tolist()
    assert stream(model, "infer", nested, options=("--top", "2"))[0]["top"][0]["label"] == "high"


def test_a_bad_line_is_answered_and_the_stream_goes_on(model: Path) -> None:
    rows = stream(model, "infer", "{oops", "", [1, 2], {"y": "low"}, PROTOTYPES["low"])
    assert [sorted(row) for row in rows[:3]] == [["error"]] * 3
    assert rows[0]["error"].startswith("line 1: not JSON")
    assert (
        rows[1]["error"] == "line 3: x has shape 2, the model takes 2 x 3, channels first, or 3 x 2, channels last"
    )
    assert rows[2]["error"].startswith("line 4: no x")
    assert rows[3]["label"] == "low"


def test_learn_learns_labelled_lines_and_predicts_the_others(model: Path) -> None:
    flat = [0.5] * 6
    rows = stream(model, "learn", PROTOTYPES["low"], *[{"x": flat, "y": "flat"}] * 3, flat)
    assert rows[0]["label"] == "low"
    assert [row["learned"] for row in rows[1:4]] == ["flat"] * 3
    assert rows[4]["label"] == "flat"
    assert rows[-1]["samples"] == 3
    assert rows[-1]["classes_added"] == ["flat"]
    assert EdgeModel.load(model).classes_ == ["low", "high", "flat"]
    assert EdgeModel.load(model).samples_seen_ == 63


def test_answers_say_what_is_on_storage(model: Path) -> None:
    lines = [{"x": PROTOTYPES["low"], "y": "low"}] * 5
    rows = stream(model, "learn", *lines, options=("--checkpoint-every", "2"))
    first = rows[0]["generation"]
    assert [row["generation"] - first for row in rows] == [0, 0, 0, 0, 0, 1]
    assert [row["stored"] for row in rows] == [0, 2, 2, 4, 4, 5]


def test_nothing_learned_writes_nothing(model: Path) -> None:
    before = model.read_bytes()
    assert stream(model, "learn", "[")[-1]["samples"] == 0
    assert model.read_bytes() == before


def test_each_answer_comes_before_the_next_line(model: Path) -> None:
    """A caller that waits for an answer before it writes on must not wait for ever."""
    command = [sys.executable, "-m", "ssd_edge", "infer", str(model), "-"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for name, prototype in PROTOTYPES.items():
            process.stdin.write(json.dumps(prototype) + "\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["label"] == name
        process.stdin.close()
        assert process.wait(timeout=60) == 0


def refused(*args: str) -> str:
    result = CliRunner().invoke(main, list(args), input="[]\n")
    assert result.exit_code == 2
    assert result.stdout == ""
    return result.stderr


def test_what_makes_no_sense_on_a_stream_is_refused(model: Path) -> None:
    assert refused("infer", str(model), "-", "x.npz") == "error: -, standard input, must be the only INPUT\n"
    assert "epochs must be 1 with" in refused("learn", str(model), "-", "--epochs", "2")
    assert "guard needs data that can be taken back" in refused("learn", str(model), "-", "--guard", "x.npz")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"x": [1, 2, NaN, 4, 5, 6]}', "NaN or infinity"),
        ('{"x": [[1], [2, 3]]}', "nested alike"),
        ('{"x": ["a"]}', "must be numbers"),
        ('{"x": [1,2,3,4,5,6], "y": 1.5}', "labels must be strings or integers: 1.5 is no whole number"),
        ('{"x": [1,2,3,4,5,6], "y": true}', "labels must be strings or integers, got bool"),
        ('{"x": [1,2,3,4,5,6], "z": 1}', "unknown 'z'"),
        ("[" * 100_000, "not JSON"),
        ("3", "x has shape"),
    ],
)
def test_lines_that_are_no_samples_say_why(line: str, message: str) -> None:
    with pytest.raises(DataError, match=rf"line 7: .*{message}"):
        parse_line(line, 7, Takes((2, 3)))


@pytest.mark.parametrize(("shape", "sent"), [((2, 3), (3, 2)), ((1, 3, 4), (3, 4)), ((3, 4, 5), (4, 5, 3))])
def test_axes_in_another_order(shape: tuple[int, ...], sent: tuple[int, ...]) -> None:
    x = np.arange(np.prod(sent), dtype=np.float32).reshape(sent)
    wanted = x if len(sent) < len(shape) else np.moveaxis(x, -1, 0)
    found = parse_line(json.dumps(x.tolist()), 1, Takes(shape)).x
    assert np.array_equal(found, wanted.reshape(1, *shape))


def test_integer_labels_are_names() -> None:
    assert parse_line('{"x": [1,2,3,4,5,6], "y": 3, "id": 9}', 1, Takes((2, 3))).labels == ["3"]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_byte_order_mark_is_no_part_of_the_first_line(model: Path, end: str) -> None:
    text = f"[1, 1, 0, 0, 0, 0]{end}".encode() * 2
    result = CliRunner().invoke(main, ["infer", str(model), "-"], input=b"\xef\xbb\xbf" + text)
    assert [json.loads(line)["source"] for line in result.stdout.splitlines()] == ["line 1", "line 2"]


def test_text_that_utf8_cannot_hold_is_answered(model: Path) -> None:
    lines = ['{"x": [1, 1, 0, 0, 0, 0], "y": "\\ud800"}', '{"x": [1, 1, 0, 0, 0, 0], "id": "\\ud800"}']
    rows = stream(model, "learn", *lines)
    assert rows[0]["error"].startswith("line 1: a class name must be text that UTF-8 can hold")
    assert rows[1]["source"] == "\ud800"
    result = CliRunner().invoke(main, ["infer", str(model), "-"], input=b'\xff\xfe\n"\xc3"\n')
    assert [json.loads(line)["error"][:18] for line in result.stdout.splitlines()] == [
        "line 1: not UTF-8 ",
        "line 2: not UTF-8 ",
    ]
