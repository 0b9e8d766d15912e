"""``ssd-edge train``: whole output, exit status, Ctrl-C."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from click.testing import CliRunner

from ssd_edge.cli import main
from ssd_edge.training import Run

QUICK = ["--hidden", "32", "--epochs", "2", "--device", "cpu"]


@pytest.fixture
def invoke(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        return CliRunner().invoke(main, ["train", *map(str, arguments)], catch_exceptions=False)

    return call


def test_run_folder_and_table(invoke, tmp_path):
    result = invoke("digits", *QUICK, "--until-task", 2, "-o", "run")
    assert result.exit_code == 0
    assert result.stderr.startswith("note: average accuracy ") and result.stderr.count("\n") == 1
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["accuracy", "(%)", "task", "1", "task", "2"]
    assert lines[1].startswith("after task 1") and lines[3].startswith("average accuracy")
    assert lines[-1].endswith("written to run")
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert names >= {"config.toml", "model.safetensors", "metrics.json", "accuracy_matrix.png"}


def test_json_is_the_metrics(invoke):
    result = invoke("digits", *QUICK, "--tasks", 1, "--json", "--set", "ssd.temperature=2", "--seed", 5)
    assert result.exit_code == 0
    document = json.loads(result.stdout)
    keys = {"accuracy_matrix", "average_accuracy", "backward_transfer", "forgetting", "learning_accuracy"}
    assert document.keys() >= keys | {"seconds", "samples_per_second"}
    config = Run.load("runs/digits-ssd").config
    assert (config.seed, config.settings["ssd"]["temperature"]) == (5, 2)


def test_config_file_and_the_line_wins(invoke, tmp_path):
    (tmp_path / "run.toml").write_text('data = "digits"\nhidden = 24\nepochs = 1\nseed = 7\n[ssd]\nalpha = 0.5\n')
    result = invoke("--config", "run.toml", "--seed", 8, "--set", "ssd.kl=teacher-student", "-o", "run")
    assert result.exit_code == 0
    config = Run.load("run").config
    assert (config.hidden, config.epochs, config.seed) == ((24,), 1, 8)
    assert dict(config.settings["ssd"]) == {"alpha": 0.5, "kl": "teacher-student"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing.npz"], "nothing.npz: no such file or folder, and not one of digits"),
        ([], "DATA is missing"),
        (["digits", "--hidden", "50", "--k", "50"], "k must be between 1 and hidden - 1 (49), got 50"),
        (["digits", "--method", "foo"], "method must be one of ssd, sdmlp"),
        (["digits", "--tasks", "11"], "tasks must be between 1 and the number of classes (10), got 11"),
        (["digits", "--classes", "1,x"], "no class 'x'; there are 0, 1"),
        (["--resume"], "--resume needs the run folder: -o RUN"),
        (["--resume", "-o", "nothing"], "nothing: no run to resume"),
        (["--resume", "-o", "r", "--lr", "1"], "--resume takes its options from r/config.toml; leave out lr"),
        (["--config", "none.toml"], "none.toml: no such file"),
    ],
)
def test_one_line_and_status_two(invoke, tmp_path, arguments, message):
    result = invoke(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"error: {message}") and result.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_existing_folder(invoke):
    assert invoke("digits", *QUICK, "--until-task", 1, "-o", "run").exit_code == 0
    result = invoke("digits", *QUICK, "-o", "run")
    assert result.exit_code == 2
    assert result.stderr == "error: run: exists already; go on with --resume or replace it with --force\n"
    assert invoke("digits", *QUICK, "--tasks", 1, "-o", "run", "--force").exit_code == 0
    assert Run.load("run").config.tasks == 1


def test_bad_choice_is_clicks_own(invoke):
    result = invoke("digits", "--readout", "both")
    assert result.exit_code == 2 and "Usage:" in result.stderr


def test_ctrl_c_leaves_a_run_that_goes_on(invoke, tmp_path):
    begun = [
        sys.executable,
        "-m",
        "ssd_edge",
        "train",
        "digits",
        "--hidden",
        "64",
        "--epochs",
        "2000",
        "--tasks",
        "1",
        "-o",
        "run",
    ]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(begun, cwd=tmp_path, stderr=subprocess.PIPE, text=True, env=environment)
    deadline = time.monotonic() + 60
    while not (tmp_path / "run" / "config.toml").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1.0)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors == "stopped; the run is kept: go on with ssd-edge train --resume -o run\n"
    config = (tmp_path / "run" / "config.toml").read_text()
    (tmp_path / "run" / "config.toml").write_text(config.replace("epochs = 2000", "epochs = 1"))
    assert invoke("--resume", "-o", "run").exit_code == 0
