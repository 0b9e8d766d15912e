"""``ssd-edge sweep``: whole output, several runs, refusals."""

import json

import pytest
from click.testing import CliRunner

from ssd_edge.cli import main
from ssd_edge.training import train


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("sweep") / "run"
    options = {"until_task": 2, "hidden": (40,), "epochs": 5, "device": "cpu"}
    train("digits", method="ssd", readout="analytic", k=(8,), output=place, **options)
    return place


def invoke(*arguments):
    return CliRunner().invoke(main, ["sweep", *map(str, arguments)], catch_exceptions=False)


def test_sweep_writes_table_picture_and_json(folder, tmp_path):
    out = tmp_path / "sweep"
    result = invoke(folder, "-o", out)
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[0].startswith("accuracy on 144 test samples; unpruned 0.")
    assert lines[1].split() == ["weights", "kept", "(%)", "50", "20", "10", "5", "2", "1"]
    assert [line.split()[0] for line in lines[2:6]] == ["activity", "magnitude", "sampled", "random"]
    assert lines[6] == f"wrote {out / 'sweep.json'} and {out / 'sweep.png'}"
    document = json.loads((out / "sweep.json").read_text())
    assert len(document["points"]) == 24
    assert (out / "sweep.png").stat().st_size > 1000


def test_sweep_over_chosen_criteria_and_several_runs(folder, tmp_path):
    other = tmp_path / "other"
    options = {"until_task": 2, "hidden": (40,), "epochs": 5, "device": "cpu", "seed": 1}
    train("digits", method="ssd", readout="analytic", k=(8,), output=other, **options)
    chosen = ("--criteria", "random,lottery-ticket", "--densities", "0.5,0.25", "--samples", 100)
    result = invoke(folder, other, *chosen, "--json", "-o", tmp_path / "sweep")
    assert (result.exit_code, result.stderr) == (0, "")
    document = json.loads(result.stdout)
    assert [entry["run"] for entry in document["runs"]] == ["run", "other"]
    assert document["fitted_on"] == 100 and document["measured_on"] == "test" and document["budget"] == "row"
    places = {(point["run"], point["criterion"], point["density"]) for point in document["points"]}
    assert len(places) == len(document["points"]) == 8
    mean = sum(entry["unpruned"] for entry in document["runs"]) / 2
    assert document["unpruned"] == pytest.approx(mean)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (
            ["--criteria", "random,luck"],
            "criterion must be one of auto, activity, magnitude, sampled, random, lottery-ticket, got 'luck'",
        ),
        (
            ["--criteria", "random,random"],
            "criteria must be names with commas between them, none twice, got 'random,random'",
        ),
        (["--densities", "0.5,half"], "densities must be numbers with commas between them, got '0.5,half'"),
        (["--densities", "0.5,2"], "density must be above 0 and at most 1, got 2.0"),
        (["--measure-on", "hold-out"], "measure-on hold-out: run was trained without --hold-out; measure on test"),
    ],
)
def test_bad_sweeps_are_one_line(folder, tmp_path, options, line):
    result = invoke(folder, *options, "-o", tmp_path / "sweep")
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", f"error: {line}\n")
    assert not (tmp_path / "sweep").exists()


def test_an_earlier_sweep_needs_force(folder, tmp_path):
    out, chosen = tmp_path / "sweep", ("--criteria", "random", "--densities", "0.5")
    assert invoke(folder, *chosen, "-o", out).exit_code == 0
    again = invoke(folder, *chosen, "-o", out)
    line = f"error: {out / 'sweep.json'}: exists already; replace it with --force or name another with -o\n"
    assert (again.exit_code, again.stdout, again.stderr) == (2, "", line)
    assert invoke(folder, "--criteria", "random", "--densities", "0.25", "-o", out, "--force").exit_code == 0
    assert json.loads((out / "sweep.json").read_text())["points"][0]["density"] == 0.25


def test_default_folder_stands_beside_the_first_run(folder):
    assert invoke(folder, "--criteria", "random", "--densities", "0.5").exit_code == 0
    assert (folder.with_name("run-sweep") / "sweep.png").is_file()
