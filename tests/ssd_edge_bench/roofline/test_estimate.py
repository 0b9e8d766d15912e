"""Estimates for boards: files complete and sourced, arithmetic by hand, always labelled, error beside them."""

from __future__ import annotations

import json
import tomllib
from importlib.resources import files
from pathlib import Path

import pytest
from click.testing import CliRunner

from ssd_edge.cli import main
from ssd_edge_bench.fit_costs import fit
from ssd_edge_bench.report.tables import estimate_table
from ssd_edge_bench.roofline.boards import board_names, load_board
from ssd_edge_bench.roofline.estimate import (
    COSTS,
    Cost,
    estimate,
    instruction_rate,
    key_of,
    typical_error,
)
from ssd_edge_bench.roofline.roofline import Ceilings, Work, count
from ssd_edge_runtime import model_file
from ssd_edge_runtime.errors import OptionError

QUICK = ["--engines", "csr", "--operations", "predict,learn", "--batches", "1,8", "--processes", "1"]
QUICK += ["--seconds", "0.02"]


def test_the_boards_that_the_help_names_are_there() -> None:
    assert board_names() == ["jetson-nano", "raspberry-pi-4", "raspberry-pi-5", "raspberry-pi-zero-2w"]
    text = " ".join(CliRunner().invoke(main, ["bench", "--help"]).output.split())
    for name in board_names():
        assert name in text.replace("- ", "-")


@pytest.mark.parametrize("name", ["jetson-nano", "raspberry-pi-4", "raspberry-pi-5", "raspberry-pi-zero-2w"])
def test_every_figure_of_a_board_has_a_source(name: str) -> None:
    table = tomllib.loads((files("ssd_edge_bench.roofline.boards") / f"{name}.toml").read_text())
    groups = [group for group in table.values() if isinstance(group, dict)]
    assert len(groups) == 5
    for group in groups:
        assert group["source"].startswith(("https://", "assumed"))
    board = load_board(name)
    assert 1e9 < board.memory_bytes_per_second < board.cache_bytes_per_second < 1e11
    assert 5e8 < board.instructions_per_second < 5e9


def test_an_unknown_board_is_refused_in_one_line_before_anything_is_measured(model: Path) -> None:
    line = f"profile must be one of {', '.join(board_names())}, got abacus"
    with pytest.raises(OptionError, match="got abacus"):
        load_board("abacus")
    result = CliRunner().invoke(main, ["bench", str(model), "--profile", "abacus"])
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", f"error: {line}\n")


def test_a_working_set_that_fits_in_the_cache_is_read_faster() -> None:
    board = load_board("raspberry-pi-4")
    assert board.ceilings(1 << 19).bytes_per_second == 16 * 1.8e9
    assert board.ceilings(1 << 21).bytes_per_second == 5.16e9


def test_cost_by_hand() -> None:
    machine = Ceilings(1e9, 1e9, 1e10, instructions_per_second=2e9)
    assert Cost(1000, 2, 3).seconds(Work(bytes=500, operations=100), machine) == pytest.approx(
        (1000 + 200) / 2e9 + 3 * 500 / 1e9
    )


def test_fit_finds_the_costs_that_made_the_times() -> None:
    features = [(1e-9, 1e-9 * 10.0**i, 1e-7 * i) for i in range(2, 7)]
    sparse = [(f, 5e4 * f[0] + 0.5 * f[1] + f[2]) for f in features]
    assert fit(sparse, dense=False).instructions == pytest.approx(5e4)
    assert fit(sparse, dense=False).per_operation == pytest.approx(0.5)
    dense = [(f, 7e4 * f[0] + 1.5 * f[2]) for f in features]
    assert fit(dense, dense=True).bounds == pytest.approx(1.5)


def test_estimate_stands_beside_its_error_here(model: Path) -> None:
    result = CliRunner().invoke(main, ["bench", str(model), *QUICK, "--profile", "raspberry-pi-5", "--json"])
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    (entry,) = document["estimates"]
    assert (entry["board"], entry["estimate"]) == ("Raspberry Pi 5", True)
    assert len(entry["rows"]) == len(document["results"]) == 4
    state = model_file.load(model)
    board = load_board("raspberry-pi-5")
    for row, measured in zip(entry["rows"], document["results"], strict=True):
        assert row["here_measured_us"] == measured["p50_us"]
        assert row["here_error"] == pytest.approx(measured["p50_us"] / row["here_estimated_us"])
        key, work = key_of(row, state.readout.kind), count(state, row["operation"], row["batch"])
        assert key is not None
        assert work is not None
        expected = 1e6 * COSTS[key].seconds(work, board.ceilings(4000))
        assert row["estimated_us"] == pytest.approx(expected)
    assert "AN ESTIMATE" in str(estimate_table(entry).title)
    assert estimate(document, state, board) | {"behind_encoder": False} == entry


def test_typical_error_counts_misses_in_either_direction() -> None:
    assert typical_error({"rows": [{"here_error": 2.0}, {"here_error": 0.5}]}) == pytest.approx(2.0)
    assert typical_error({"rows": []}) == 1.0


def test_threads_other_than_one_are_refused(model: Path) -> None:
    result = CliRunner().invoke(main, ["bench", str(model), "--profile", "raspberry-pi-5", "--threads", "2"])
    assert result.exit_code == 2
    assert "--profile estimates one thread" in result.stderr or "threads must be" in result.stderr


def test_instruction_rate_is_plausible() -> None:
    assert 1e8 < instruction_rate() < 3e10
