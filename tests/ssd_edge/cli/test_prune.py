"""``ssd-edge prune``: whole output, refusals, a run folder again."""

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from ssd_edge.cli import main
from ssd_edge.training import Run, train


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("prune") / "run"
    options = {"until_task": 2, "hidden": (40,), "epochs": 5, "device": "cpu"}
    train("digits", method="ssd", readout="analytic", k=(8,), output=place, **options)
    return place


def invoke(*arguments):
    return CliRunner().invoke(main, ["prune", *map(str, arguments)], catch_exceptions=False)


def test_output_for_a_person(folder, tmp_path):
    result = invoke(
        folder, "--density", 0.25, "--criterion", "magnitude", "--reserve", 0.2, "-o", tmp_path / "out"
    )
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[:3] == [
        "criterion magnitude",
        "budget row (every neuron may matter to classes to come)",
        "hidden1: 640 of 40 x 64 weights (25.00 %), 8 neurons in reserve",
    ]
    assert lines[3].startswith("test accuracy 0.") and lines[4] == f"wrote {tmp_path / 'out'}"
    assert int(Run.load(tmp_path / "out").network.topk_layers[0].mask.sum()) == 640


def test_auto_says_why(folder, tmp_path):
    result = invoke(folder, "-o", tmp_path / "out")
    first, second = result.stdout.splitlines()[:2]
    assert first.startswith("criterion sampled (") and second.startswith("budget row (")


def test_json(folder, tmp_path):
    result = invoke(folder, "--drop-inactive", "--budget", "layer", "-o", tmp_path / "out", "--json")
    document = json.loads(result.stdout)
    assert document["run"] == str(tmp_path / "out") and document["budget"] == "layer"
    assert set(document["accuracy"]) == {"before", "after"}
    assert Run.load(tmp_path / "out").metrics["prune"] == document


def test_default_folder_stands_beside_the_run(folder):
    assert invoke(folder).exit_code == 0
    assert Run.load(folder.with_name("run-pruned")).provenance["prune"]["density"] == 0.05


def test_existing_folder_needs_force(folder, tmp_path):
    out = tmp_path / "out"
    assert invoke(folder, "-o", out).exit_code == 0
    refused = invoke(folder, "-o", out)
    assert refused.exit_code == 2 and refused.stdout == ""
    assert refused.stderr == f"error: {out}: exists already; replace it with --force or name another with -o\n"
    assert invoke(folder, "-o", out, "--force", "--density", 0.5).exit_code == 0
    assert Run.load(out).provenance["prune"]["density"] == 0.5


@pytest.mark.parametrize("file", ["config.toml", "metrics.json", "model.safetensors"])
def test_pruning_that_is_cut_off_leaves_what_was_there(folder, tmp_path, monkeypatch, file):
    old, new = tmp_path / "old", tmp_path / "new"
    assert invoke(folder, "-o", old, "--density", 0.5).exit_code == 0
    before = {entry.name: entry.read_bytes() for entry in old.iterdir()}
    replace = os.replace

    def cut_off(source, target, **options):
        if Path(target).name == file:
            raise KeyboardInterrupt
        replace(source, target, **options)

    monkeypatch.setattr(os, "replace", cut_off)
    for out in (old, new):
        assert invoke(folder, "-o", out, "--force").exit_code != 0
    assert {entry.name: entry.read_bytes() for entry in old.iterdir()} == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["old"]


def test_force_spares_other_folders(folder, tmp_path):
    (tmp_path / "photos").mkdir()
    result = invoke(folder, "-o", tmp_path / "photos", "--force")
    assert result.stderr == f"error: {tmp_path / 'photos'}: is not a run folder, so it is not replaced\n"
    same = invoke(folder, "-o", folder, "--force")
    assert same.stderr == f"error: {folder}: is the run to prune; name another folder with -o\n"


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--density", "0"], "density must be above 0 and at most 1, got 0.0"),
        (["--density", "1.01"], "density must be above 0 and at most 1, got 1.01"),
        (["--reserve", "-0.1"], "reserve must be between 0 and 1, got -0.1"),
        (["--fine-tune-epochs", "-2"], "fine-tune-epochs must be at least 0, got -2"),
        (["--seed", "-1"], "seed must be at least 0, got -1"),
    ],
)
def test_bad_values_are_one_line(folder, tmp_path, options, line):
    result = invoke(folder, *options, "-o", tmp_path / "out")
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", f"error: {line}\n")
    assert not (tmp_path / "out").exists()


def test_bad_choices_are_usage_errors(folder):
    for option, value in (("--criterion", "luck"), ("--budget", "column"), ("--density", "half")):
        result = invoke(folder, option, value)
        assert result.exit_code == 2 and f"Invalid value for '{option}'" in result.stderr


def test_missing_and_half_written_runs(tmp_path, folder):
    missing = invoke(tmp_path / "none")
    assert missing.stderr == f"error: {tmp_path / 'none'}: no such run folder\n"
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "config.toml").write_bytes((folder / "config.toml").read_bytes())
    half = invoke(tmp_path / "half")
    assert half.stderr == f"error: {tmp_path / 'half'}: not finished: go on with ssd-edge train --resume\n"
    assert half.exit_code == missing.exit_code == 2


def test_pruning_less_than_before_is_refused(folder, tmp_path):
    invoke(folder, "--density", 0.1, "-o", tmp_path / "a")
    result = invoke(tmp_path / "a", "--density", 0.5, "-o", tmp_path / "b")
    assert result.stderr == "error: density 0.5 is above what pruning has left of hidden1 (0.09375)\n"


def test_missing_torch_names_the_extra(folder, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    result = invoke(folder)
    assert result.stderr == "error: pruning needs the [train] extra: pip install 'ssd-edge[train]'\n"


def test_lottery_ticket_from_the_command_line(folder, tmp_path):
    result = invoke(folder, "--criterion", "lottery-ticket", "--density", 0.25, "-o", tmp_path / "t")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines()[:2] == ["criterion lottery-ticket", "budget row"]
