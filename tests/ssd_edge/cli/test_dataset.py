"""``ssd-edge dataset``: device-ready arrays."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from ssd_edge.cli import main
from ssd_edge.data import load_data


@pytest.fixture
def invoke(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        return CliRunner().invoke(main, ["dataset", *map(str, arguments)], catch_exceptions=False)

    return call


def test_one_task(invoke):
    result = invoke("digits", "--task", 2, "--tasks", 5, "-o", "part.npz")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "part.npz: 288 samples of 2, 3\n")
    with np.load("part.npz", allow_pickle=False) as arrays:
        assert (arrays["x"].dtype, arrays["x"].shape) == (np.float32, (288, 1, 8, 8))
        assert arrays["classes"].tolist() == ["2", "3"] and arrays["classes"].dtype.kind == "U"
        assert set(arrays["y"].tolist()) == {0, 1}
    again = load_data("part.npz")
    expected = load_data("digits").select(["2", "3"])
    assert np.array_equal(again.x, expected.x) and again.names.tolist() == expected.names.tolist()


def test_json_classes_and_split(invoke):
    result = invoke("digits", "--split", "test", "--classes", "7,1", "--json", "-o", "part.npz")
    assert json.loads(result.stdout) == {
        "file": "part.npz",
        "samples": 72,
        "input_shape": [1, 8, 8],
        "classes": {"7": 36, "1": 36},
    }


def test_tasks_are_those_of_train(invoke):
    names = []
    for task in range(1, 6):
        invoke("digits", "--task", task, "--class-order", 3, "-o", "part.npz")
        names += load_data("part.npz").classes
    from ssd_edge.training import train

    run = train("digits", class_order=3, method="random", hidden=(20,))
    assert run.network.classes == names


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["digits", "--task", 6], "task must be between 1 and tasks (5), got 6"),
        (["digits", "--classes", "cat"], "no class 'cat'; there are 0, 1"),
        (["none"], "none: no such file or folder"),
    ],
)
def test_errors(invoke, tmp_path, arguments, message):
    result = invoke(*arguments, "-o", "part.npz")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"error: {message}")
    assert list(tmp_path.iterdir()) == []
