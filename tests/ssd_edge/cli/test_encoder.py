"""Commands alone: image files in, labels out, a new class learned from a folder of images."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from command_line import ask, call, refused
from encoders import encoder_model, images
from PIL import Image

from ssd_edge.data import Dataset
from ssd_edge.training import Run, train
from ssd_edge_runtime import EdgeModel, model_file
from ssd_edge_runtime.confinement import Limits
from ssd_edge_runtime.onnx.confined import open_limited

pytestmark = pytest.mark.usefixtures("trial_here")

NAMES = ("bird", "car", "door", "egg")
TRAINED = {"method": "random", "readout": "analytic", "hidden": (60,), "k": (12,), "device": "cpu", "tasks": 1}


def data_set(seed: int, count: int, classes: int = 3) -> Dataset:
    x, y = images(seed, count, classes)
    return Dataset(x, y, NAMES[:classes])


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run trained behind the user's own encoder, with its encoder and a data file beside it."""
    place = tmp_path_factory.mktemp("encoded")
    onnx.save(encoder_model(32), place / "mine.onnx")
    for name, data in (("train", data_set(1, 240)), ("test", data_set(2, 60)), ("embedded", None)):
        if data is not None:
            np.savez(place / f"{name}.npz", x=data.x, y=data.y, classes=np.array(data.classes))
    train(str(place / "train.npz"), encoder=str(place / "mine.onnx"), output=place / "run", **TRAINED)
    return place / "run"


@pytest.fixture
def place(run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an exported model, test images in class folders, and images of a class not known."""
    monkeypatch.chdir(tmp_path)
    report = ask("export", run_folder, "--density", 0.5, "-o", "model.onnx")
    assert report["encoder"]["name"] == "mine" and report["head_bytes"] < report["inference_bytes"]
    for folder, data in (("test", data_set(3, 40, classes=4)), ("new", data_set(4, 160, classes=4))):
        for number, (x, name) in enumerate(zip(data.x, data.names, strict=True)):
            if folder == "test" or name == "egg":
                (tmp_path / folder / name).mkdir(parents=True, exist_ok=True)
                pixels = (255 * x[0]).round().astype(np.uint8)
                Image.fromarray(pixels).save(tmp_path / folder / name / f"{number}.png")
    return tmp_path


def test_from_image_files_to_a_new_class(place: Path) -> None:
    known = ask("infer", "model.onnx", "test/car")
    assert len(known) == 10 and sum(answer["label"] == "car" for answer in known) >= 9
    assert ask("infer", "model.onnx", known[0]["source"])[0]["label"] == known[0]["label"]
    before = ask("eval", "model.onnx", "test")
    learned = ask("learn", "model.onnx", "new")
    assert (learned["classes_added"], learned["samples"], learned["generation"]) == (["egg"], 40, 2)
    after = ask("eval", "model.onnx", "test")
    assert before["per_class"]["egg"] == 0 and after["accuracy"] >= 0.9 > before["accuracy"]
    for engine in ("csr", "onnxruntime"):
        assert ask("eval", "model.onnx", "test", "--engine", engine)["accuracy"] == after["accuracy"]
    forgotten = ask("forget", "model.onnx", "--data", "new")
    assert forgotten["unlearned"] == 40
    assert call("verify", "model.onnx").exit_code == 0


def test_inspect_and_verify_show_the_encoder(place: Path, run_folder: Path) -> None:
    encoder = ask("inspect", "model.onnx")["encoder"]
    assert (encoder["name"], encoder["width"], encoder["nodes"], encoder["initializers"]) == ("mine", 32, 4, 2)
    told = call("inspect", "model.onnx").stdout
    assert f"encoder  mine, gives 32 values, 4 operators, 2 arrays, {encoder['bytes'] / 1e3:.1f} kB" in told
    assert f"digest {encoder['digest']}" in told
    checks = {each["check"]: each for each in ask("verify", "model.onnx", "--against", run_folder)["checks"]}
    assert all(check["ok"] for check in checks.values())
    assert {"encoder", "csr engine", "onnxruntime", "torch", "run: encoder", "run: weights"} <= set(checks)


def test_learning_that_was_cut_off_goes_on(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = ("learn", "model.onnx", "new", "--checkpoint-every", 10)
    shutil.copy("model.onnx", "copy.onnx")
    whole = ask("learn", "copy.onnx", *command[2:])
    assert whole["checkpoints"] == 4
    calls, plain_fit = [], EdgeModel.partial_fit

    def failing(model: EdgeModel, x: Any, y: Any) -> EdgeModel:
        calls.append(len(x))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return plain_fit(model, x, y)

    with monkeypatch.context() as patched:
        patched.setattr(EdgeModel, "partial_fit", failing)
        assert call(*command).exit_code != 0
    assert EdgeModel.load("model.onnx").classes_ == list(NAMES[:3])
    assert ask(*command, "--resume")["resumed"] == 20
    # Embeddings of a batch are those of other batches but for rounding.
    x = images(6, 12, classes=4)[0]
    resumed, expected = (EdgeModel.load(path).logits(x) for path in ("model.onnx", "copy.onnx"))
    np.testing.assert_allclose(resumed, expected, atol=1e-4)


@pytest.mark.parametrize(
    "command", ["learn model.onnx new", "forget model.onnx --data new", "eval model.onnx test"]
)
def test_threads_are_for_the_encoder(place: Path, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if command.startswith("forget"):
        ask("learn", "model.onnx", "new")
    threads = []

    def opened(data: bytes, count: int, limits: Limits | None) -> Any:
        threads.append(count)
        return open_limited(data, count, limits)

    monkeypatch.setattr("ssd_edge_runtime.encoder.session.open_limited", opened)
    ask(*command.split(), "--threads", 2)
    assert threads == [2]


def test_colored_files_for_a_gray_model(place: Path) -> None:
    for path in Path("test").rglob("*.png"):
        Image.open(path).convert("RGB").save(path.with_suffix(".bmp"))
        path.unlink()
    assert ask("eval", "model.onnx", "test")["per_class"]["car"] >= 0.9
    assert len(ask("infer", "model.onnx", "test")) == 40


def test_a_stream_of_images(place: Path) -> None:
    x = images(5, 2)[0]
    lines = [{"x": x[0].tolist(), "id": "a"}, {"x": x[1].ravel().tolist()}, {"x": [0.0] * 32}]
    answers = [
        json.loads(line)
        for line in call("infer", "model.onnx", "-", text="\n".join(map(json.dumps, lines))).stdout.splitlines()
    ]
    assert [answer.get("label") for answer in answers] == ["bird", "car", None]
    assert "x has shape 32, the model takes 1 x 8 x 8" in answers[2]["error"]


def test_bench_measures_the_encoder_apart(place: Path) -> None:
    report = ask("bench", "model.onnx", "--engines", "csr,onnxruntime,torch", "--processes", 1, "--seconds", 0.01)
    rows = {(row["engine"], row["operation"]) for row in report["results"]}
    assert {("csr", "embed"), ("csr", "predict"), ("csr", "learn"), ("onnxruntime", "predict")} <= rows
    assert not any(engine == "torch" for engine, _ in rows) and ("onnxruntime", "embed") not in rows
    assert report["model"]["encoder"]["name"] == "mine" and report["roofline"] is None
    assert (
        "left out, the encoder is an ONNX network"
        in call("bench", "model.onnx", "--engines", "csr,torch", "--processes", 1, "--seconds", 0.01).stdout
    )


@pytest.mark.slow
def test_bench_estimates_the_layers_behind_the_encoder(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quick = ("--engines", "csr", "--processes", 1, "--seconds", 0.01, "--batches", 1)
    entry = ask("bench", "model.onnx", "--profile", "raspberry-pi-4", *quick)["estimates"][0]
    assert entry["behind_encoder"] is True
    assert [row["operation"] for row in entry["rows"]] == ["predict", "learn"]
    assert all(0 < row["estimated_us"] < 1e6 for row in entry["rows"])
    told = call("bench", "model.onnx", "--profile", "raspberry-pi-4", *quick)
    assert "the estimate is of the layers behind the encoder" in told.stderr
    assert "Of the layers behind the encoder alone." in " ".join(told.stdout.split())
    ask("keygen", "key")
    ask("sign", "model.onnx", "--key", "key")
    monkeypatch.setenv("SSD_EDGE_TRUSTED_KEYS", "key.pub")
    assert "leave out the trusted keys" in refused("bench", "model.onnx", "--profile", "raspberry-pi-4", *quick)


def test_an_encoder_may_come_at_export(run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trained on embeddings from elsewhere: the encoder that made them is put in front afterwards."""
    monkeypatch.chdir(tmp_path)
    embedded = Run.load(run_folder).training_data()
    np.savez("embedded.npz", x=embedded.x, y=embedded.y, classes=np.array(embedded.classes))
    train("embedded.npz", output="run", **TRAINED)
    mine = run_folder.parent / "mine.onnx"
    assert ask("export", "run", "--encoder", mine, "-o", "model.onnx")["encoder"]["name"] == "mine"
    assert ask("eval", "model.onnx", run_folder.parent / "test.npz")["accuracy"] > 0.9
    assert all(check["ok"] for check in ask("verify", "model.onnx", "--against", "run")["checks"])
    bare = model_file.load("model.onnx").head
    ask("export", "run", "-o", "bare.onnx")
    np.testing.assert_array_equal(bare.readout.weights, model_file.load("bare.onnx").readout.weights)


def two_inputs(model: Any) -> None:
    model.graph.input.append(onnx.helper.make_tensor_value_info("mask", 1, ["n", 1]))


def any_size(model: Any) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "height"


def in_integers(model: Any) -> None:
    model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.UINT8


def opset_99(model: Any) -> None:
    model.opset_import[0].version = 99


def custom(model: Any) -> None:
    model.graph.node[1].domain = "com.acme"


BAD = {
    "two inputs": (two_inputs, "it has 2 inputs (image, mask): an encoder has one"),
    "any size": (
        any_size,
        "its input image is [n, 1, height, 8]: all but the batch dimension must be fixed numbers",
    ),
    "integers": (in_integers, "image is uint8: input and output of an encoder are float32"),
    "operator set": (opset_99, "operator set 99 cannot be converted to 18, export it with 18"),
    "custom operator": (custom, "operator Relu of domain 'com.acme': only ONNX's own operators will do"),
}


@pytest.mark.parametrize("what", BAD)
def test_an_encoder_that_is_none_is_one_line(run_folder: Path, tmp_path: Path, what: str) -> None:
    edit, message = BAD[what]
    model = encoder_model(32)
    edit(model)
    onnx.save(model, tmp_path / "bad.onnx")
    told = refused("export", run_folder, "--encoder", tmp_path / "bad.onnx", "-o", tmp_path / "model.onnx")
    assert told.startswith(f"{tmp_path / 'bad.onnx'}: {message}")
    assert not (tmp_path / "model.onnx").exists()


def test_an_encoder_that_does_not_fit(run_folder: Path, tmp_path: Path) -> None:
    onnx.save(encoder_model(31), tmp_path / "narrow.onnx")
    train(data_set(1, 60), output=tmp_path / "raw", **TRAINED)
    told = refused("export", tmp_path / "raw", "--encoder", tmp_path / "narrow.onnx", "-o", tmp_path / "m.onnx")
    assert told == "encoder narrow gives 31 values, the network takes 64"
    told = refused("export", run_folder, "--encoder", tmp_path / "narrow.onnx", "-o", tmp_path / "m.onnx")
    assert told == "encoder narrow: this run was trained behind another, mine"
    assert not (tmp_path / "m.onnx").exists()


def test_images_that_do_not_fit(place: Path) -> None:
    Image.new("L", (9, 8)).save("wide.png")
    assert refused("infer", "model.onnx", "wide.png") == (
        "wide.png: samples have shape 1 x 8 x 9, the model takes 1 x 8 x 8"
    )
    np.savez("embeddings.npz", x=np.zeros((3, 32), np.float32), y=[0, 1, 2])
    for command in ("learn", "eval"):
        assert refused(command, "model.onnx", "embeddings.npz") == (
            "embeddings.npz: samples have shape 32, the model takes 1 x 8 x 8"
        )


def test_verify_against_a_run_behind_another_encoder(place: Path, run_folder: Path, tmp_path: Path) -> None:
    onnx.save(encoder_model(32, seed=7), tmp_path / "other.onnx")
    data = str(run_folder.parent / "train.npz")
    train(data, encoder=str(tmp_path / "other.onnx"), output=tmp_path / "other", **TRAINED)
    told = refused_check("model.onnx", tmp_path / "other")
    assert told["check"] == "run: encoder" and "not the run's, which is other, digest" in told["detail"]
    Path("bare.onnx").write_bytes(model_file.to_bytes(model_file.load("model.onnx").head))
    told = refused_check("bare.onnx", run_folder)
    assert told["detail"] == "the run was trained behind mine, the file has no encoder"


def refused_check(model: str, run: Path) -> dict[str, Any]:
    result = call("verify", model, "--against", run, "--json")
    assert result.exit_code == 2
    failed: list[dict[str, Any]] = [each for each in json.loads(result.stdout)["checks"] if each["ok"] is False]
    assert len(failed) == 1
    return failed[0]
