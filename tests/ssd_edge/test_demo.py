"""The demo: every step happens, in a fresh process without torch on the device's side, and files stay."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from ssd_edge.cli import main
from ssd_edge.demo import fresh_folder
from ssd_edge_runtime import EdgeModel
from ssd_edge_runtime.errors import DataError


def test_demo_tells_the_whole_story(tmp_path: Path) -> None:
    out = tmp_path / "demo"
    result = CliRunner().invoke(main, ["demo", "-o", str(out), "--json"], catch_exceptions=False)
    assert result.exit_code == 0, result.stderr
    summary = json.loads(result.stdout)
    trained, exported, learned, forgot = summary["steps"]
    assert [step["where"] for step in summary["steps"]] == ["torch", "device", "device", "device"]
    assert trained["old"] > 0.95
    assert exported["old"] > trained["old"] - 0.03
    assert learned["added"] == ["8", "9"]
    assert learned["new"] > 0.85
    assert learned["old"] > exported["old"] - 0.03
    assert forgot["classes"] == [name for name in learned["classes"] if name != "0"]
    assert forgot["all"] > 0.93
    assert 4 * summary["size"]["inference_bytes"] < summary["size"]["dense_float32_bytes"]
    assert summary["latency"]["predict_us"] > 0
    assert EdgeModel.load(out / "forgot.onnx").classes_ == forgot["classes"]
    assert {path.name for path in out.iterdir()} >= {"run", "model.onnx", "learned.onnx", "new.npz", "test.npz"}


def test_a_folder_with_other_things_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("keep me")
    with pytest.raises(DataError, match="no earlier demo"):
        fresh_folder(tmp_path)
    assert (tmp_path / "precious.txt").read_text() == "keep me"


def test_an_earlier_demo_is_replaced(tmp_path: Path) -> None:
    folder = fresh_folder(tmp_path / "demo")
    (folder / "model.onnx").write_text("old")
    assert [path.name for path in fresh_folder(folder).iterdir()] == ["demo.json"]
