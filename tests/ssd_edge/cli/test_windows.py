"""A logger's table from training to the device: what the file keeps of how rows become samples."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from ssd_edge.cli import main
from ssd_edge_runtime import model_file
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
