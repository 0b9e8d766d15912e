"""Comparisons: what holds a line in a build, and what refuses to be compared."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from ssd_edge.cli import main
from ssd_edge_bench.machine.facts import machine_facts
from ssd_edge_bench.measurement.compare import Rule, check_alike, compare, judge, load_document
from ssd_edge_bench.measurement.results import SCHEMA, result_row
from ssd_edge_runtime.errors import DataError, OptionError

MACHINE = machine_facts()


def document(scale: float = 1.0, jitter: float = 0.0) -> dict[str, Any]:
    """Four processes that predict in about 100 us times ``scale``."""
    values = [[scale * (100 + jitter * step) + call for call in range(5)] for step in range(4)]
    rows = [result_row("csr", "predict", batch, values) for batch in (1, 32)]
    return {"schema": SCHEMA, "machine": dict(MACHINE), "conditions": {"threads": 1}, "results": rows}


def test_a_slowdown_is_seen_and_noise_is_not() -> None:
    slower = compare(document(2.0), document())
    assert [row["change"] for row in slower] == ["slower", "slower"]
    assert slower[0]["ratio"] == pytest.approx(2.0, rel=0.02)
    assert [row["change"] for row in compare(document(0.5), document())] == ["faster", "faster"]
    noisy = compare(document(1.02, jitter=10), document(jitter=10))
    assert [row["change"] for row in noisy] == ["no difference seen"] * 2


def test_a_rule_breaks_only_beyond_its_interval() -> None:
    rule = Rule.parse("predict b1 p50 > 1.10x")
    assert (rule.engine, rule.operation, rule.batch, rule.percentile, rule.limit) == (
        None,
        "predict",
        1,
        50.0,
        1.1,
    )
    assert judge([rule], document(2.0), document())[0].broken
    assert not judge([rule], document(1.05), document())[0].broken
    assert not judge([rule], document(1.12, jitter=20), document(jitter=20))[0].broken


def test_rules_may_name_engine_and_batch() -> None:
    rule = Rule.parse("csr predict b32 p99 > 3x")
    assert (rule.engine, rule.batch, rule.percentile, rule.limit) == ("csr", 32, 99.0, 3.0)
    assert judge([rule], document(4.0), document())[0].broken
    assert Rule.parse("onnxruntime-dense start p50>2x").batch == 1


@pytest.mark.parametrize("text", ["", "fast", "predict p50 > 1.1", "fly b1 p50 > 2x", "predict b1 p75 > 2x"])
def test_what_is_no_rule_is_refused(text: str) -> None:
    with pytest.raises(OptionError, match=r'fail-if must look like "predict b1 p50 > 1\.10x"'):
        Rule.parse(text)


def test_a_rule_about_what_was_not_measured_is_refused() -> None:
    with pytest.raises(OptionError, match="not measured in both"):
        judge([Rule.parse("learn b1 p50 > 2x")], document(), document())


@pytest.mark.parametrize(
    ("fact", "value"), [("processor", "Z80"), ("cores", 64), ("memory_bytes", 4096), ("governor", "schedutil")]
)
def test_unlike_machines_are_refused_without_force(fact: str, value: object) -> None:
    other = document()
    other["machine"][fact] = value
    with pytest.raises(DataError, match=f"unlike machines: {fact.replace('_', ' ')} .*--force"):
        check_alike(document(), other, force=False)
    assert len(check_alike(document(), other, force=True)) == 1


def test_threads_must_agree() -> None:
    other = copy.deepcopy(document())
    other["conditions"]["threads"] = 4
    with pytest.raises(DataError, match="threads"):
        check_alike(document(), other, force=False)


def test_a_little_less_memory_is_the_same_machine() -> None:
    other = document()
    other["machine"]["memory_bytes"] = int(MACHINE["memory_bytes"] * 0.99)
    assert check_alike(document(), other, force=False) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ('{"a": ' * 100_000, "not JSON"),
        ("9" * 5000, "not JSON"),
        ("[]", "not what ssd-edge bench"),
        ('{"results": [], "schema": 9}', "schema 9"),
        (f'{{"results": [], "schema": {SCHEMA}}}', "damaged, not what ssd-edge bench"),
        (f'{{"results": [[]], "schema": {SCHEMA}, "machine": {{}}, "conditions": {{}}}}', "damaged"),
    ],
)
def test_files_that_are_no_measurements_are_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(DataError, match=message):
        load_document(tmp_path / "x.json")


def bench(*args: object) -> Result:
    quick = [
        "--processes",
        "2",
        "--seconds",
        "0.02",
        "--engines",
        "csr",
        "--operations",
        "predict",
        "--batches",
        "1",
    ]
    return CliRunner().invoke(main, ["bench", *map(str, args), *quick])


def test_a_build_holds_its_line(gradient_model: Path, tmp_path: Path) -> None:
    found = bench(gradient_model, "--json")
    earlier = json.loads(found.stdout)
    path = tmp_path / "earlier.json"
    path.write_text(found.stdout)
    passed = bench(gradient_model, "--against", path, "--fail-if", "predict b1 p50 > 1000x", "--json")
    assert passed.exit_code == 0, passed.stderr
    assert json.loads(passed.stdout)["comparison"]["rules"][0]["broken"] is False
    for row in earlier["results"]:
        row["values_us"] = [[value / 1e6 for value in process] for process in row["values_us"]]
    path.write_text(json.dumps(earlier))
    failed = bench(gradient_model, "--against", path, "--fail-if", "predict b1 p50 > 1000x")
    assert failed.exit_code == 1
    assert failed.stderr.startswith("failed: predict b1 p50 > 1000x: it is ")
    assert f"Against {path}"[:20] in " ".join(failed.stdout.split())  # a long path starts a line of its own


def test_two_models_are_measured_side_by_side(model: Path, gradient_model: Path) -> None:
    found = bench(model, "--against", gradient_model, "--json")
    assert found.exit_code == 0, found.stderr
    row = json.loads(found.stdout)["comparison"]["rows"][0]
    assert row["ratio_low"] <= row["ratio"] <= row["ratio_high"]


def test_options_that_need_against_say_so(gradient_model: Path) -> None:
    for option in (["--fail-if", "predict p50 > 2x"], ["--force"]):
        result = bench(gradient_model, *option)
        assert (result.exit_code, result.stderr) == (2, f"error: {option[0]} needs --against\n")


def test_data_gives_real_inputs_and_accuracy(gradient_model: Path, tmp_path: Path) -> None:
    data = tmp_path / "data.npz"
    np.savez(
        data, x=np.random.default_rng(0).random((6, 3, 4), np.float32), y=np.arange(6) % 3, classes=list("abc")
    )
    document = json.loads(bench(gradient_model, "--data", data, "--json").stdout)
    assert document["accuracy"]["n"] == 6
    assert set(document["accuracy"]["per_class"]) == {"a", "b", "c"}
