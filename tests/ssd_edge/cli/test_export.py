"""``ssd-edge export``, ``verify`` and ``inspect``: whole output and refusals."""

import json

import pytest
from click.testing import CliRunner

from ssd_edge.cli import main
from ssd_edge.training import train
from ssd_edge_runtime import model_file

pytestmark = pytest.mark.usefixtures("trial_here")

NO_V = "this run was trained with the analytic readout, so there is no trained V"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("export") / "run"
    train("digits", method="random", until_task=2, hidden=(100,), k=(10,), device="cpu", output=place)
    return place


@pytest.fixture(scope="module")
def model(folder):
    path = folder.with_name("model.onnx")
    assert invoke("export", folder, "--density", 0.1, "-o", path).exit_code == 0
    return path


def invoke(*arguments):
    return CliRunner().invoke(main, [*map(str, arguments)], catch_exceptions=False)


def test_export_for_a_person(folder, tmp_path):
    path = tmp_path / "m.onnx"
    result = invoke("export", folder, "--density", 0.1, "-o", path)
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert (
        lines[0]
        == "pruned to 10 % by random (random weights carry no information that could rank them), budget row"
    )
    assert lines[1].startswith("hidden1: 64 -> 100, k 10, 600 weights (9.38 %) as float16, ")
    assert lines[2] == "analytic readout over 4 classes: 0, 1, 2, 3"
    assert lines[3].endswith("times smaller than dense float32")
    assert lines[-1] == f"wrote {path} ({path.stat().st_size} bytes)"


def test_export_json(folder, tmp_path):
    path = tmp_path / "m.onnx"
    result = invoke("export", folder, "--values", "int8", "--no-learning-state", "-o", path, "--json")
    document = json.loads(result.stdout)
    assert document["path"] == str(path) and document["file_bytes"] == path.stat().st_size
    assert document["values"] == "int8" and document["learning_state"] is False and document["prune"] is None
    assert document["inference_bytes"] == document["file_bytes"] < document["dense_bytes"]
    assert not model_file.load(path).has_learning_state


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--density", "0"], "density must be above 0 and at most 1, got 0.0"),
        (["--readout", "gradient"], f"readout gradient: {NO_V}"),
    ],
)
def test_export_refusals(folder, tmp_path, options, line):
    result = invoke("export", folder, *options, "-o", tmp_path / "m.onnx")
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", f"error: {line}\n")
    assert list(tmp_path.iterdir()) == []


def test_export_places(folder, tmp_path):
    into = invoke("export", folder, "-o", tmp_path)
    assert into.stderr == f"error: {tmp_path}: is a folder; name a file such as {tmp_path / 'model.onnx'}\n"
    (tmp_path / "notes.txt").write_text("mine")
    over = invoke("export", folder, "-o", tmp_path / "notes.txt")
    assert "exists and is not a model of SSD-Edge; choose another name" in over.stderr
    assert (tmp_path / "notes.txt").read_text() == "mine"
    missing = invoke("export", tmp_path / "none")
    assert missing.stderr == f"error: {tmp_path / 'none'}: no such run folder\n"
    assert [result.exit_code for result in (into, over, missing)] == [2, 2, 2]


def test_verify_for_a_person(model, folder):
    result = invoke("verify", model, "--against", folder)
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    names = ["structure", "digest", "onnx checker", "csr engine", "onnxruntime", "torch"]
    assert [line[7:19].strip() for line in lines[:6]] == names
    assert all(line.startswith("ok ") for line in lines) and len(lines) == 9


def test_verify_json(model):
    document = json.loads(invoke("verify", model, "--json").stdout)
    assert document["ok"] is True and document["path"] == str(model)
    assert {frozenset(check) for check in document["checks"]} == {frozenset({"check", "ok", "detail"})}


def test_verify_says_what_failed(model, tmp_path):
    (tmp_path / "cut.onnx").write_bytes(model.read_bytes()[:2000])
    result = invoke("verify", tmp_path / "cut.onnx")
    assert result.exit_code == 2
    assert result.stdout.startswith("FAILED structure  ")
    assert result.stderr.startswith(f"error: {tmp_path / 'cut.onnx'}: structure: ")
    document = json.loads(invoke("verify", tmp_path / "cut.onnx", "--json").stdout)
    assert document["ok"] is False


def test_verify_missing_files(model, tmp_path):
    result = invoke("verify", tmp_path / "none.onnx")
    assert (result.exit_code, result.stderr) == (
        2,
        f"error: {tmp_path / 'none.onnx'}: No such file or directory\n",
    )
    result = invoke("verify", model, "--against", tmp_path / "none")
    assert (result.exit_code, result.stderr) == (2, f"error: {tmp_path / 'none'}: no such run folder\n")


def test_inspect_json_has_the_promised_keys(model):
    document = json.loads(invoke("inspect", model, "--json").stdout)
    promised = {"format", "classes", "input_shape", "readout", "file_bytes", "digest", "layers", "neurons"}
    assert promised <= set(document)
    assert set(document["neurons"]) == {"active", "reused", "free"}
    layer = document["layers"][0]
    assert {"name", "shape", "nonzeros", "density", "bytes", "k"} <= set(layer)
    assert (layer["shape"], layer["nonzeros"], layer["k"]) == ([100, 64], 600, 10)
    assert document["file_bytes"] == model.stat().st_size
    assert document["estimates"]["memory_bytes"] > 8 * 600


def test_inspect_for_a_person(model):
    result = invoke("inspect", model)
    assert (result.exit_code, result.stderr) == (0, "")
    text = result.stdout
    assert "hidden1  64 -> 100, k 10, 600 weights (9.38 %), float16" in text
    assert "analytic readout, 4 classes" in text
    assert "method: random" in text and "data: digits" in text
    assert "{" not in text


def test_inspect_refuses_other_files(tmp_path):
    (tmp_path / "a.onnx").write_bytes(b"hello")
    result = invoke("inspect", tmp_path / "a.onnx")
    assert result.exit_code == 2 and result.stdout == ""
    assert result.stderr.startswith(f"error: {tmp_path / 'a.onnx'}: ") and result.stderr.count("\n") == 1
