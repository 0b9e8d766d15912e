"""What somebody meets who types the first commands: few classes, slips of the pen, and poor results explained."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from command_line import ask, call, refused

from ssd_edge.training import Run, TrainConfig
from ssd_edge.training.advice import advice

QUICK = ("--method", "random", "--readout", "analytic", "--hidden", 40, "--k", 8)


def write_classes(path: Path, classes: int, samples: int = 10) -> Path:
    rng = np.random.default_rng(0)
    y = np.arange(classes * samples) % classes
    x = rng.random((classes, 12))[y] + 0.1 * rng.random((len(y), 12))
    np.savez(path, x=x.astype(np.float32), y=y)
    return path


@pytest.mark.parametrize("classes", [1, 2, 3, 4])
def test_as_many_tasks_as_fit_and_they_are_told(tmp_path: Path, classes: int) -> None:
    data = write_classes(tmp_path / "few.npz", classes)
    result = call("train", data, *QUICK, "-o", tmp_path / "run")
    assert result.exit_code == 0
    tasks, has = ("1 task", "1 class") if classes == 1 else (f"{classes} tasks", f"{classes} classes")
    assert result.stderr == f"note: {tasks}, not 5: {data}, train part has {has}\n"
    run = Run.load(tmp_path / "run")
    assert run.config.tasks == len(run.metrics["tasks"]) == classes
    names = ask("export", tmp_path / "run", "-o", tmp_path / "m.onnx")["classes"]
    assert names == [str(number) for number in range(classes)]


def test_five_classes_are_five_tasks_without_a_word(tmp_path: Path) -> None:
    result = call("train", write_classes(tmp_path / "five.npz", 5), *QUICK, "-o", tmp_path / "run")
    assert (result.exit_code, result.stderr) == (0, "")
    assert Run.load(tmp_path / "run").config.tasks == 5


def test_tasks_that_are_asked_for_are_not_changed(tmp_path: Path) -> None:
    data = write_classes(tmp_path / "few.npz", 4)
    told = refused("train", data, *QUICK, "--tasks", 5, "-o", tmp_path / "run")
    assert told == "tasks must be between 1 and the number of classes (4), got 5"
    told = refused("train", data, *QUICK, "--until-task", 5, "-o", tmp_path / "run")
    assert told == "until-task must be at most 4, got 5"
    assert not (tmp_path / "run").exists()


def test_compare_splits_few_classes_alike_for_all_rows(tmp_path: Path) -> None:
    data = write_classes(tmp_path / "few.npz", 3, samples=20)
    options = ("--methods", "random", "--seeds", 1, "--hidden", 20, "--k", 4, "--epochs", 1, "--jobs", 1)
    result = call("compare", data, *options, "-o", tmp_path / "c", "--json")
    assert result.exit_code == 0, result.stderr
    assert "note: 3 tasks, not 5" in result.stderr
    rows = json.loads(result.stdout)["rows"]
    assert {len(row["accuracy_matrices"][0][0]) for row in rows} == {3}


SLIPS = {
    "data": "train nowhere.csv -o run",
    "folder": "train digits -o taken",
    "tasks": "train digits --tasks 0",
    "until": "train digits --tasks 3 --until-task 4",
    "settings": "train --config nowhere.toml",
    "resume": "train --resume -o nowhere",
    "compared": "compare nowhere.npz --methods ssd",
    "encoder": "encoder nowhere -o e.onnx",
    "pruned": "prune nowhere",
    "density": "prune run --density 5",
    "swept": "sweep nowhere",
    "exported": "export nowhere",
    "unfinished": "export taken",
    "place": "export nowhere -o there/m.onnx",
    "share": "export nowhere --density 2",
}
SCRIPT = """
import json, sys
from click.testing import CliRunner
from ssd_edge.cli import main
for line in json.load(sys.stdin):
    done = CliRunner().invoke(main, line.split(), catch_exceptions=False)
    assert done.exit_code == 2 and done.stderr.count("\\n") == 1, (line, done.stderr)
    assert "torch" not in sys.modules, line
"""


def test_slips_are_told_before_torch_is_imported(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        input=json.dumps(list(SLIPS.values())),
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def told(accuracy: float, learned: float | None, classes: int, readout: str = "gradient") -> str | None:
    tasks = [{"classes": [str(number)]} for number in range(classes)]
    metrics = {"average_accuracy": accuracy, "learning_accuracy": learned, "readout": readout, "tasks": tasks}
    return advice(metrics)


def test_little_more_than_guessing_is_explained() -> None:
    forgot = told(0.19, 0.98, 10)
    assert forgot == (
        "average accuracy 19.0%, where guessing among 10 classes gives 10.0%: each task was learned (98.0% right "
        "after it) and then forgotten over the next; --readout analytic forgets nothing"
    )
    assert "little was learned at all; --readout analytic" in str(told(0.3, 0.3, 4))
    assert "try more --hidden, or an --encoder" in str(told(0.3, 0.3, 4, "analytic"))
    assert "little was learned at all" in str(told(0.6, None, 2))


def test_what_is_good_enough_needs_no_word() -> None:
    assert told(0.2, 0.9, 10) is None
    assert told(0.5, 0.6, 4) is None
    assert told(0.8, 0.8, 2) is None
    assert told(0.1, 0.1, 1) is None


def test_the_advice_that_a_first_run_gives_helps(tmp_path: Path) -> None:
    """digits, without options but those that keep it short."""
    short = ("--hidden", 200, "--epochs", 1)
    poor = call("train", "digits", *short, "-o", tmp_path / "poor", "--json")
    assert json.loads(poor.stdout)["average_accuracy"] < 0.2
    assert poor.stderr.startswith("note: average accuracy ") and "--readout analytic" in poor.stderr
    better = call("train", "digits", *short, "--readout", "analytic", "-o", tmp_path / "better", "--json")
    assert json.loads(better.stdout)["average_accuracy"] > 0.8
    assert better.stderr == ""


def test_export_says_what_a_density_would_give(tmp_path: Path) -> None:
    run, file = tmp_path / "run", tmp_path / "m.onnx"
    call("train", "digits", "--method", "random", "--readout", "analytic", "--hidden", 200, "--k", 20, "-o", run)
    whole = call("export", run, "-o", file)
    line = next(line for line in whole.stdout.splitlines() if line.startswith("every weight"))
    assert line.startswith(
        "every weight of the run is kept: --density 0.05 keeps the 5 % that matter most, about "
    )
    promised = int(line.split(" bytes for inference")[0].split()[-1])
    small = ask("export", run, "--density", 0.05, "-o", tmp_path / "small.onnx")
    assert promised == pytest.approx(small["inference_bytes"], rel=0.05)
    assert small["inference_bytes_at_five_percent"] is None
    again = call("export", run, "--density", 0.05, "-o", tmp_path / "small.onnx")
    assert "every weight" not in again.stdout


def test_the_number_of_tasks_is_in_one_place() -> None:
    assert (TrainConfig().task_count, TrainConfig(tasks=2).task_count, TrainConfig().last_task) == (5, 2, 5)
