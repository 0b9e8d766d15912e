"""What verify finds in damaged files, and that it needs no torch."""

import subprocess
import sys

import numpy as np
import onnx
import pytest

from ssd_edge_export import ExportOptions, PruneOptions, export_model, verify
from ssd_edge_export.verification import verification as verifying
from ssd_edge_runtime import model_file


@pytest.fixture(scope="module")
def model(tmp_path_factory, analytic_run):
    return export_model(
        analytic_run, tmp_path_factory.mktemp("verify") / "m.onnx", ExportOptions(prune=PruneOptions(density=0.3))
    )


def results(report):
    return {check.check: check.ok for check in report.checks}


def test_sound_file_passes_every_check(model):
    report = verify(model)
    assert results(report) == dict.fromkeys(
        ["digest", "structure", "onnx checker", "csr engine", "onnxruntime", "torch"], True
    )
    assert report.as_dict()["ok"] is True


def test_altered_weight_fails_the_digest(model, tmp_path):
    data = bytearray(model.read_bytes())
    values = model_file.load(model).layers[0].weights.values[:4].astype(np.float16).tobytes()
    at = bytes(data).index(values)
    data[at] ^= 1
    (tmp_path / "bad.onnx").write_bytes(data)
    found = results(verify(tmp_path / "bad.onnx"))
    assert found["digest"] is False and found["structure"] is True


def test_cut_file_fails(model, tmp_path):
    (tmp_path / "cut.onnx").write_bytes(model.read_bytes()[:-100])
    report = verify(tmp_path / "cut.onnx")
    assert not report.ok and results(report) == {"structure": False}


def test_another_onnx_file_fails(tmp_path):
    node = onnx.helper.make_node("Relu", ["x"], ["y"])
    info = [onnx.helper.make_tensor_value_info(name, 1, [1]) for name in "xy"]
    graph = onnx.helper.make_graph([node], "g", info[:1], info[1:])
    onnx.save(onnx.helper.make_model(graph), tmp_path / "other.onnx")
    report = verify(tmp_path / "other.onnx")
    assert [check.check for check in report.checks] == ["structure"] and not report.ok


@pytest.mark.parametrize("engine", ["onnxruntime_logits", "torch_logits"])
def test_a_wrong_engine_fails(model, monkeypatch, engine):
    right = getattr(verifying, engine)
    monkeypatch.setattr(verifying, engine, lambda *arguments: right(*arguments) * 1.01)
    assert results(verify(model))[engine.removesuffix("_logits")] is False


def test_little_memory_skips_onnxruntime(model, monkeypatch):
    monkeypatch.setattr(verifying, "free_memory", lambda: 1000)
    check = next(check for check in verify(model).checks if check.check == "onnxruntime")
    assert check.ok is None and "skipped: needs about" in check.detail


def test_verify_and_inspect_import_no_torch(model):
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from ssd_edge_export import verify\n"
        "import ssd_edge.cli.verify, ssd_edge.cli.inspect\n"
        "import importlib.util as u; find = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name == 'torch' else find(name, *a)\n"
        f"report = verify({str(model)!r})\n"
        "print(report.ok, [c.detail for c in report.checks if c.check == 'torch'])\n"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout == "True ['not installed here']\n"
