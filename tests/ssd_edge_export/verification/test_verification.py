"""What verify finds in damaged files, and that it needs no torch."""

import subprocess
import sys

import numpy as np
import onnx
import pytest
from command_line import ask, refused
from encoders import behind, tiny_encoder
from onnx import helper
from onnx.numpy_helper import from_array
from small_models import gradient_state

from ssd_edge_export import ExportOptions, PruneOptions, export_model, verify
from ssd_edge_export.verification import trial
from ssd_edge_runtime import model_file
from ssd_edge_runtime.encoder import Encoder
from ssd_edge_runtime.storage import signing


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
    right = getattr(trial, engine)
    monkeypatch.setattr(trial, engine, lambda *arguments: right(*arguments) * 1.01)
    found = {check.check: check.ok for check in trial.run(model.read_bytes())}
    assert found[engine.removesuffix("_logits")] is False


def test_little_memory_skips_onnxruntime(model, monkeypatch):
    monkeypatch.setattr(trial, "free_memory", lambda: 1000)
    check = next(check for check in trial.run(model.read_bytes()) if check.check == "onnxruntime")
    assert check.ok is None and "skipped: needs about" in check.detail


def test_verify_and_inspect_import_no_torch(model):
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from ssd_edge_export.verification import Report, trial\n"
        "import ssd_edge.cli.verify, ssd_edge.cli.inspect\n"
        "import importlib.util as u; find = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name == 'torch' else find(name, *a)\n"
        f"report = Report('', list(trial.run(open({str(model)!r}, 'rb').read())))\n"
        "print(report.ok, [c.detail for c in report.checks if c.check == 'torch'])\n"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout == "True ['not installed here']\n"


def hostile(tmp_path, width=20):
    """A model behind an encoder that is sound, as far as its bytes go."""
    tiny = tiny_encoder(width)
    expand = [
        helper.make_node("Constant", [], ["encoder.s"], value=from_array(np.array([1 << 17, 1 << 13]))),
        helper.make_node("Constant", [], ["encoder.one"], value=from_array(np.ones((1, 1), np.float32))),
        helper.make_node("Expand", ["encoder.one", "encoder.s"], ["encoder.big"]),
        helper.make_node("Add", ["encoder.big", "encoder.one"], ["encoder.bigger"]),
        helper.make_node("ReduceSum", ["encoder.bigger"], ["encoder.sum"], keepdims=1),
        helper.make_node("Add", ["encoder.kept", "encoder.sum"], ["encoder.output"]),
    ]
    nodes = [onnx.NodeProto.FromString(each) for each in tiny.nodes]
    nodes[-1].output[0] = "encoder.kept"
    made = tuple(each.SerializeToString(deterministic=True) for each in [*nodes, *expand])
    encoder = Encoder("bomb", tiny.input_shape, width, made, tiny.tensors)
    path = tmp_path / "bomb.onnx"
    path.write_bytes(model_file.to_bytes(behind(encoder, gradient_state(d=width))))
    return path


def test_a_bomb_is_stopped_and_that_is_the_answer(tmp_path):
    """Four gigabytes from a few bytes: everything that is judged before is sound."""
    report = verify(hostile(tmp_path), memory=700 << 20, seconds=60)
    found = results(report)
    assert found["structure"] and found["digest"] and found["onnx checker"]
    failed = [check.detail for check in report.checks if check.ok is False]
    assert failed and ("stopped, it took" in failed[0] or "bomb: " in failed[0])


def test_limits_are_what_somebody_says(model, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "ssd_edge_export.verification.verification.tried", lambda data, limits: seen.append(limits) or []
    )
    verify(model)
    verify(model, memory=5 << 20)
    ask("verify", model, "--memory", 7, "--seconds", 1.5)
    assert [(limits.memory >> 20, limits.seconds) for limits in seen[1:]] == [(5, 120.0), (7, 1.5)]
    assert seen[0].memory > 1 << 30
    for option in ("--memory", "--seconds"):
        assert f"{option[2:]} must be above 0, got 0" in refused("verify", model, option, 0)


@pytest.mark.parametrize("how", ["digest", "signature"])
def test_what_is_not_sound_is_not_run(model, tmp_path, monkeypatch, how):
    def never(*arguments):
        raise AssertionError("a process was started")

    monkeypatch.setattr("ssd_edge_export.verification.verification.ConfinedProcess", never)
    path = tmp_path / "m.onnx"
    data = bytearray(model.read_bytes())
    if how == "digest":
        data[data.index(b"ssd_edge.digest") + 20] ^= 1
    else:
        pytest.importorskip("cryptography")
        monkeypatch.setenv(signing.TRUSTED_KEYS, str(signing.generate(tmp_path / "key")))
    path.write_bytes(data)
    report = verify(path)
    assert results(report)[how] is False
    assert report.checks[-1].detail == "not run, because of the above" and report.checks[-1].ok is None


@pytest.mark.usefixtures("trial_here")
def test_the_owners_signature_is_asked_for(model, tmp_path, monkeypatch):
    pytest.importorskip("cryptography")
    path, public = tmp_path / "m.onnx", signing.generate(tmp_path / "key")
    path.write_bytes(model.read_bytes())
    signing.sign(path, tmp_path / "key")
    monkeypatch.setenv(signing.TRUSTED_KEYS, str(public))
    checks = [check.detail for check in verify(path, public_key=public).checks if check.check == "signature"]
    assert checks == [f"by the owner of {public}", "by a trusted key"]
