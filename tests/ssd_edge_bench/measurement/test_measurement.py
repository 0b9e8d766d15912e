"""The measurement end to end, on a tiny model: structure, consistency and refusals, never speed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from click.testing import CliRunner
from encoders import behind, tiny_encoder
from small_models import gradient_state

from ssd_edge.cli import main
from ssd_edge_bench.machine.facts import machine_facts
from ssd_edge_bench.measurement import measurement
from ssd_edge_bench.measurement.measurement import measure, measure_side_by_side, pinned_cores, run_worker
from ssd_edge_bench.measurement.options import BenchOptions
from ssd_edge_bench.measurement.results import result_row, stability
from ssd_edge_runtime import model_file
from ssd_edge_runtime.confinement import Limits
from ssd_edge_runtime.errors import EdgeModelError, OptionError

QUICK = {"processes": 1, "seconds": 0.01, "max_runs": 20}
TWICE = QUICK | {"processes": 2}


def run(*args: object) -> Any:
    result = CliRunner().invoke(main, ["bench", *map(str, args)])
    assert result.exit_code == 0, result.stderr
    return result.stdout


def test_document_has_every_key_scripts_rely_on(model: Path) -> None:
    text = run(model, "--json", "--processes", 1, "--seconds", 0.01, "--batches", "1,4")
    document = json.loads(text)
    assert set(document) >= {"schema", "machine", "results", "file_bytes", "peak_rss_bytes"}
    assert document["file_bytes"] == model.stat().st_size
    assert document["peak_rss_bytes"] > 10_000_000
    keys = {"engine", "operation", "batch", "p50_us", "p90_us", "p99_us", "samples_per_second", "runs"}
    for row in document["results"]:
        assert set(row) >= keys
        assert 0 < row["p50_us"] <= row["p90_us"] <= row["p99_us"]
        assert row["p50_low_us"] <= row["p50_us"] <= row["p50_high_us"]
    found = {(row["engine"], row["operation"], row["batch"]) for row in document["results"]}
    assert found >= {("csr", "predict", 1), ("csr", "predict", 4), ("csr", "learn", 1), ("csr", "start", 1)}
    assert found >= {("onnxruntime", "predict", 1), ("onnxruntime-dense", "predict", 4)}
    assert ("onnxruntime", "learn", 1) not in found


def test_statistics_can_be_derived_again_from_the_raw_values(gradient_model: Path) -> None:
    document = measure(gradient_model, BenchOptions(engines=("csr",), operations=("predict",), **TWICE))  # type: ignore[arg-type]
    for row in document["results"]:
        assert len(row["values_us"]) == 2
        values = np.concatenate([np.array(process) for process in row["values_us"]])
        assert row["runs"] == len(values)
        assert row["p99_us"] == pytest.approx(np.percentile(values, 99), rel=1e-3)
        assert row["samples_per_second"] == pytest.approx(row["batch"] * 1e6 / values.mean(), rel=1e-3)


def test_every_operation_of_the_analytic_readout(model: Path) -> None:
    options = BenchOptions(
        engines=("csr",), operations=("start", "predict", "learn", "solve", "save"), batches=(3,), **QUICK
    )  # type: ignore[arg-type]
    operations = [row["operation"] for row in measure(model, options)["results"]]
    solved = ["solve"] if model.stem == "analytic" else []
    assert operations == ["start", "predict", "learn", *solved, "save"]


def test_own_samples_are_used(gradient_model: Path) -> None:
    options = BenchOptions(engines=("csr",), operations=("predict",), **QUICK)  # type: ignore[arg-type]
    wrong = np.zeros((3, 5), np.float32)
    with pytest.raises(EdgeModelError, match=r"engine csr failed: .*samples must have shape"):
        measure(gradient_model, options, samples=wrong)
    right = np.zeros((3, 3, 4), np.float32)
    assert measure(gradient_model, options, samples=right)["results"]


def test_measuring_leaves_the_file_alone(gradient_model: Path) -> None:
    before = gradient_model.read_bytes()
    run(gradient_model, "--engines", "csr", "--operations", "learn,save", "--processes", 1, "--seconds", 0.01)
    assert gradient_model.read_bytes() == before
    assert [path.name for path in gradient_model.parent.iterdir()] == [gradient_model.name]


def test_table_for_a_person(gradient_model: Path) -> None:
    text = run(gradient_model, "--processes", 1, "--seconds", 0.01, "--engines", "csr,onnxruntime-dense")
    assert "predict b32" in text
    assert "onnxruntime-dense" in text
    assert "This run was " in text


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--engines", "csr,tpu", "engines must be one of csr, onnxruntime, "),
        ("--engines", "csr,csr", "engines names one twice: csr, csr"),
        ("--engines", "", "engines must name at least one engine"),
        ("--operations", "dance", "operations must be one of start, predict, "),
        ("--batches", "0", "batches must be between 1 and 4096, got 0"),
        ("--threads", "9999", "threads must be between 1 and "),
        ("--processes", "0", "processes must be between 1 and 100, got 0"),
        ("--seconds", "-1", "seconds must be above 0 and at most 600, got -1.0"),
    ],
)
def test_bad_options_are_named(gradient_model: Path, option: str, value: str, message: str) -> None:
    result = CliRunner().invoke(main, ["bench", str(gradient_model), option, value])
    assert result.exit_code == 2
    assert result.stderr.startswith(f"error: {message}")


def test_batches_that_are_no_numbers_are_a_usage_error(gradient_model: Path) -> None:
    result = CliRunner().invoke(main, ["bench", str(gradient_model), "--batches", "one"])
    assert result.exit_code == 2
    assert "'one' is not a list of whole numbers" in result.stderr


def test_a_worker_that_fails_says_why(tmp_path: Path) -> None:
    job = {"engine": "csr", "model": str(tmp_path / "none.onnx"), "threads": 1, "cores": []}
    with pytest.raises(EdgeModelError, match=r"engine csr failed: .*none\.onnx"):
        run_worker(job)


def test_a_strangers_encoder_is_measured_within_limits(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    path = tmp_path / "m.onnx"
    path.write_bytes(model_file.to_bytes(behind(tiny_encoder(), gradient_state(d=20))))
    options, told = BenchOptions(engines=("csr",), operations=("predict",), batches=(1,), **QUICK), []  # type: ignore[arg-type]
    measure_side_by_side([path], options, tell=told.append)
    start = f"note: no trusted key has signed the encoder in {path}: each process may take "
    assert [text.removeprefix(start) for text in told] == ["1024 MiB of memory and 120.04 s"]
    few = patch.object(measurement, "limits_for", lambda *_: Limits(1 << 20, 30))
    with few, pytest.raises(EdgeModelError, match="engine csr was stopped: it took more than 1 MiB of memory"):
        measure_side_by_side([path], options)


def test_pinning_leaves_the_first_core_to_interrupts() -> None:
    cores = pinned_cores(1)
    assert len(cores) <= 1
    assert cores == pinned_cores(len(pinned_cores(10_000)))[-1:]


def test_stability_names_what_to_do() -> None:
    machine = machine_facts() | {"timer_resolution_ns": 50, "load_average": 3.2, "governor": "powersave"}
    rows = [
        result_row("csr", "predict", 1, [[10.0] * 5, [20.0] * 5]),
        result_row("csr", "learn", 1, [[1.0] * 5, [1.0] * 5]),
    ]
    found = stability(rows, machine, cores=2)
    assert not found["stable"]
    assert found["advice"][0].startswith("processes disagree by more than a tenth on csr predict b1")
    assert found["advice"][1:] == [
        "the load average is 3.2 on 2 cores: stop other programs",
        "the governor is powersave: set it to performance",
        "the timer's step is more than 1 % of csr learn b1: use a larger batch",
    ]
    quiet = machine | {"load_average": 0.1, "governor": None}
    assert stability(rows[:0], quiet, cores=2) == {"stable": True, "largest_spread": 0.0, "advice": []}


def test_p99_9_needs_a_thousand_calls() -> None:
    assert result_row("csr", "predict", 1, [[1.0] * 999])["p99_9_us"] is None
    assert result_row("csr", "predict", 1, [[1.0] * 600, [2.0] * 400])["p99_9_us"] == 2.0


def test_options_are_checked_in_python_too() -> None:
    with pytest.raises(OptionError, match="max-runs must be at least 10"):
        BenchOptions(max_runs=1)
