"""``compare``: rows, statistics over seeds, the command."""

import json
import multiprocessing
import os
import statistics
import time

import pytest
from click.testing import CliRunner

import ssd_edge
from ssd_edge.cli import main
from ssd_edge.comparison.comparison import workers
from ssd_edge.comparison.rows import make_rows
from ssd_edge.comparison.table import spread
from ssd_edge.training import train
from ssd_edge_runtime.errors import DataError, OptionError

QUICK = {"hidden": (24,), "epochs": 1, "device": "cpu", "until_task": 2}


@pytest.fixture(scope="module")
def result():
    rows = [{"name": "ssd, T 1", "method": "ssd", "ssd": {"temperature": 1.0}}]
    return ssd_edge.compare("digits", ["ssd", "sdmlp+analytic"], rows=rows, seeds=2, jobs=1, hold_out=0.2, **QUICK)


def test_figures_are_those_of_single_runs(result):
    row = result.document["rows"][0]
    runs = [train("digits", method="ssd", seed=s, hold_out=0.2, **QUICK).metrics for s in (0, 1)]
    values = [run["average_accuracy"] for run in runs]
    assert row["average_accuracy"] == {
        "mean": pytest.approx(statistics.mean(values)),
        "deviation": pytest.approx(statistics.stdev(values)),
        "values": values,
    }
    assert row["accuracy_matrices"] == [run["accuracy_matrix"] for run in runs]
    assert row["hold_out"]["values"] == [run["hold_out"]["average_accuracy"] for run in runs]


def test_closed_form_and_joint_rows_are_always_there(result):
    seen = {row["name"]: row["data_seen"] for row in result.document["rows"]}
    assert seen == {
        "ssd": "each task once",
        "sdmlp+analytic": "earlier tasks again",
        "ssd, T 1": "each task once",
        "random+analytic": "each task once",
        "joint": "all at once",
    }


def test_table(result):
    lines = result.text().splitlines()
    assert lines[0].startswith("method           average accuracy  backward transfer  forgetting")
    assert len(lines) == 6 and " ± " in lines[1]
    assert lines[5].split()[0] == "joint" and lines[5].endswith("all at once")


def test_rows_take_only_their_own_options():
    rows = make_rows({"data": "digits", "ssd": {"alpha": 0.5}, "epochs": 3}, ["ssd+ewc+analytic", "sdmlp"])
    assert rows[0].config.settings == {"ssd": {"alpha": 0.5}}
    assert (rows[0].config.method, rows[0].config.readout) == ("ssd+ewc", "analytic")
    assert rows[1].config.settings == {} and rows[1].config.epochs == 3
    assert [row.name for row in make_rows({"data": "digits"}, ["joint"], widths=[50, 60])][:2] == [
        "joint, n 50",
        "joint, n 60",
    ]


@pytest.mark.parametrize(
    ("methods", "rows", "message"),
    [
        (["foo"], [], "method must be one of ssd"),
        ([], [], "methods are missing"),
        (["ssd+analytic+gradient"], [], "names two readouts"),
        (["ssd"], [{"method": "ssd"}], "two rows are called ssd; give each listed row a name"),
        (["ssd"], [{"name": "x", "method": "ssd", "hiden": 3}], "row x: no option 'hiden'"),
        (["ssd"], [{"name": "x"}], "a row without a method"),
    ],
)
def test_bad_rows(methods, rows, message):
    with pytest.raises(OptionError, match=message):
        make_rows({"data": "digits"}, methods, rows)


def test_spread():
    assert spread([1.0]) == {"mean": 1.0, "deviation": None, "values": [1.0]}
    assert spread([None, None]) is None


class TestCommand:
    @pytest.fixture
    def invoke(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)

        def call(*arguments):
            return CliRunner().invoke(main, ["compare", *map(str, arguments)], catch_exceptions=False)

        return call

    ARGUMENTS = ("digits", "--methods", "random", "--seeds", 1, "--hidden", 24, "--epochs", 1, "--until-task", 2)

    def test_folder_then_resume(self, invoke, tmp_path):
        first = invoke(*self.ARGUMENTS, "-o", "out", "--jobs", 1)
        assert first.exit_code == 0
        assert first.stdout.strip() == (tmp_path / "out" / "table.txt").read_text().strip()
        names = {path.name for path in (tmp_path / "out").iterdir()}
        assert names == {"raw", "comparison.json", "table.txt", "over_tasks.png", "matrices.png"}
        refused = invoke(*self.ARGUMENTS, "-o", "out")
        assert (refused.exit_code, refused.stdout) == (2, "")
        kept = tmp_path / "out" / "raw" / "random-seed0.json"
        before = kept.stat().st_mtime_ns
        again = invoke(*self.ARGUMENTS, "-o", "out", "--resume", "--json", "--widths", "24,30", "--jobs", 1)
        document = json.loads(again.stdout)
        assert len(document["rows"]) == 6 and (tmp_path / "out" / "width.png").exists()
        assert invoke(*self.ARGUMENTS, "-o", "out", "--resume").exit_code == 0
        assert kept.stat().st_mtime_ns == before

    def test_rows_from_a_file(self, invoke, tmp_path):
        (tmp_path / "a.toml").write_text(
            'data = "digits"\nseeds = 1\nhidden = 24\nepochs = 1\nuntil_task = 2\n'
            '[[row]]\nname = "T = 1"\nmethod = "ssd"\nssd.temperature = 1.0\n'
        )
        result = invoke("--config", "a.toml", "--json", "-o", "out", "--jobs", 1)
        assert result.exit_code == 0
        assert json.loads(result.stdout)["rows"][0]["options"] == {"ssd": {"temperature": 1.0}}

    def test_one_line_and_status_two(self, invoke, tmp_path):
        result = invoke("digits", "--methods", "ssd,foo")
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr.startswith("error: method must be one of") and result.stderr.count("\n") == 1
        assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_something_else_is_left_alone(tmp_path):
    (tmp_path / "letters.txt").write_text("mine")
    with pytest.raises(DataError, match="not the folder of a comparison"):
        ssd_edge.compare("digits", ["random"], output=tmp_path, force=True, **QUICK)
    assert (tmp_path / "letters.txt").exists()


def test_a_process_that_dies_is_one_line():
    with (
        pytest.raises(OptionError, match="a process that trains could not start, or was ended"),
        workers(1) as pool,
    ):
        pool.submit(os._exit, 3).result()


def test_an_interrupt_ends_the_processes():
    with pytest.raises(KeyboardInterrupt), workers(1) as pool:
        pool.submit(time.sleep, 0).result()
        pool.submit(time.sleep, 300)
        raise KeyboardInterrupt
    assert not multiprocessing.active_children()


@pytest.mark.slow
def test_side_by_side_is_as_one_after_the_other():
    options = {"seeds": 1, "hidden": (24,), "epochs": 1, "until_task": 2}
    one, two = (ssd_edge.compare("digits", ["random"], jobs=jobs, **options).document["rows"] for jobs in (1, 2))
    for a, b in zip(one, two, strict=True):
        assert a["average_accuracy"]["values"] == b["average_accuracy"]["values"]
