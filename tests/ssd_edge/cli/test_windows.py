"""A logger's table from training to the device: what the file keeps of how rows become samples."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from ssd_edge import train
from ssd_edge.cli import main
from ssd_edge.data import Reading, load_data
from ssd_edge_export import export_model
from ssd_edge_runtime import model_file
from ssd_edge_runtime.errors import DataWarning
from ssd_edge_runtime.input_facts import Windows

WINDOWS = ("--window", 16, "--stride", 8, "--group", "person")
TRAIN = ("--method", "random", "--readout", "analytic", "--hidden", 60, "--k", 12, "--tasks", 1)
NAMES = ("ax", "ay", "az")


def signal(speed: int, rows: int) -> np.ndarray:
    """(rows, 3)."""
    noise = np.random.default_rng(speed).normal(0, 0.1, (rows, 3))
    return np.sin((3 * speed + 1) * np.arange(rows)[:, None] / 10 + np.arange(3)) + noise


def log(path: Path, order: tuple[str, ...] = NAMES, rows: int = 200, people: tuple[str, ...] = ("p", "q")) -> Path:
    lines = [",".join(("time", "person", *order, "activity"))]
    for person in people:
        for speed, activity in enumerate(("still", "walk")):
            for at, values in enumerate(signal(speed, rows)):
                cells = [f"{values[NAMES.index(name)]:.3f}" for name in order]
                lines.append(",".join((f"{at / 50}", person, *cells, activity)))
    path.write_text("\n".join(lines) + "\n")
    return path


def edge(*words: object, stdin: str | None = None) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words], input=stdin)


def good(*words: object, stdin: str | None = None) -> Result:
    done = edge(*words, stdin=stdin)
    assert done.exit_code == 0, done.output
    return done


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A logger's table, and a model of its windows, whose channels nobody named."""
    place = tmp_path_factory.mktemp("windows")
    good("train", log(place / "log.csv"), *WINDOWS, *TRAIN, "-o", place / "run")
    good("export", place / "run", "-o", place / "model.onnx")
    return place


def test_the_file_tells_windows_and_the_names_of_channels(place: Path) -> None:
    state = model_file.load(place / "model.onnx")
    assert state.inputs.windows == Windows(16, 8, NAMES, "person")
    assert state.input_shape == (3, 16)


def test_data_in_memory_tells_them_too(place: Path, tmp_path: Path) -> None:
    with pytest.warns(DataWarning, match="column 'time'"):
        data = load_data(place / "log.csv", reading=Reading(window=16, stride=8, group="person"))
    run = train(data, method="random", hidden=(30,), k=(5,), tasks=1)
    export_model(run, tmp_path / "model.onnx")
    assert model_file.load(tmp_path / "model.onnx").inputs.windows == Windows(16, 8, NAMES, "person")


def test_a_table_with_columns_in_another_order_is_the_same(place: Path, tmp_path: Path) -> None:
    shuffled = log(tmp_path / "shuffled.csv", ("az", "ax", "ay"))
    for path in (place / "log.csv", shuffled):
        told = json.loads(good("eval", place / "model.onnx", path, "--json").stdout)
        assert told["accuracy"] == 1.0
        assert told["n"] == 2 * 2 * 24


def test_a_device_infers_and_learns_from_its_own_table(place: Path, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes((place / "model.onnx").read_bytes())
    lines = ["time,ax,ay,az", *(f"{i / 50},{a},{b},{c}" for i, (a, b, c) in enumerate(signal(1, 40)))]
    (tmp_path / "field.csv").write_text("\n".join(lines) + "\n")
    answers = json.loads(good("infer", tmp_path / "model.onnx", tmp_path / "field.csv", "--json").stdout)
    assert [answer["label"] for answer in answers] == ["walk"] * 4
    told = json.loads(good("learn", tmp_path / "model.onnx", log(tmp_path / "more.csv"), "--json").stdout)
    assert told["samples"] == 96


@pytest.mark.parametrize(
    ("order", "rows", "told"),
    [
        (("ax", "ay"), 50, "no column 'az'; there are time, person, ax, ay, activity"),
        (NAMES, 15, "no window of 16 rows in it: at most 15 in a row are of one label and group"),
    ],
)
def test_a_table_that_does_not_fit_is_refused_by_one_line(
    place: Path, tmp_path: Path, order: tuple[str, ...], rows: int, told: str
) -> None:
    done = edge("infer", place / "model.onnx", log(tmp_path / "log.csv", order, rows))
    assert done.exit_code == 2
    assert done.stderr == f"error: {tmp_path / 'log.csv'}: {told}\n"


def test_options_on_the_line_win_over_the_file(place: Path) -> None:
    whole = ("--window", 16, "--stride", 16, "--channels", "ax,ay,az")
    told = json.loads(good("eval", place / "model.onnx", place / "log.csv", *whole, "--json").stdout)
    assert told["n"] == 2 * 2 * 12


def stream(place: Path, *documents: object) -> list[dict[str, object]]:
    lines = "".join(f"{json.dumps(document)}\n" for document in documents)
    done = good("infer", place / "model.onnx", "-", stdin=lines)
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_stream_takes_rows_as_lists_or_by_name(place: Path) -> None:
    rows = signal(1, 16).tolist()
    named = [{"time": at, "az": c, "AX": a, "ay": b} for at, (a, b, c) in enumerate(rows)]
    across = np.transpose(rows).tolist()
    answers = stream(place, across, rows, {"x": named, "id": "n"}, {"x": rows, "id": 3})
    assert [answer["source"] for answer in answers] == ["line 1", "line 2", "n", 3]
    assert {(answer["label"], answer["confidence"]) for answer in answers} == {("walk", answers[0]["confidence"])}


def test_more_rows_than_one_window_are_several_samples(place: Path) -> None:
    answers = stream(place, {"x": signal(0, 35).tolist(), "id": 7})
    assert [(answer["label"], answer["source"]) for answer in answers] == [
        ("still", f"7, sample {number}") for number in (1, 2, 3)
    ]


def test_rows_of_a_stream_that_do_not_fit_are_answered(place: Path) -> None:
    rows = signal(1, 16).tolist()
    named = [{"ax": a, "ay": b, "az": c} for a, b, c in rows]
    del named[4]["ay"]
    answers = stream(
        place, rows[:15], named, [*rows[:15], [1.0, 2.0, float("nan")]], [row[:2] for row in rows], rows
    )
    assert [answer.get("error") for answer in answers] == [
        "line 1: 15 rows, a window takes 16",
        "line 2, row 5 has no 'ay'; it has ax, az",
        "line 3: x holds NaN or infinity",
        "line 4: x has shape 16 x 2, the model takes 3 x 16, channels first, or 16 x 3, channels last",
        None,
    ]


def test_a_stream_learns_every_window_of_a_line(place: Path, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes((place / "model.onnx").read_bytes())
    line = json.dumps({"x": signal(2, 24).tolist(), "y": "run"})
    done = good("learn", tmp_path / "model.onnx", "-", stdin=f"{line}\n")
    answer = json.loads(done.stdout.splitlines()[0])
    assert (answer["learned"], answer["samples"]) == (["run", "run"], 2)


def test_a_stream_of_arrays_takes_rows_too(place: Path) -> None:
    frame = io.BytesIO()
    np.save(frame, signal(1, 24).astype(np.float32))
    done = CliRunner().invoke(main, ["infer", str(place / "model.onnx"), "-"], input=frame.getvalue())
    assert [json.loads(line)["label"] for line in done.stdout.splitlines()] == ["walk", "walk"]


@pytest.mark.parametrize("kind", ["digits", "arrays.npz", "folder"])
def test_training_has_windows_of_tables_alone(tmp_path: Path, kind: str) -> None:
    data = kind if kind == "digits" else tmp_path / kind
    if kind == "folder":
        (tmp_path / kind).mkdir()
    elif kind != "digits":
        np.savez(tmp_path / kind, x=np.eye(4, dtype=np.float32), y=np.arange(4))
    done = edge("train", data, "--window", 4, "--image-size", 8, *TRAIN, "-o", tmp_path / "run")
    assert done.exit_code == 2
    assert done.stderr == f"error: window is an option of tables, and {data} is none\n"
