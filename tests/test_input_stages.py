"""Share of the mean, normalization before and after, sketch: from the command line to every engine."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from ssd_edge import train
from ssd_edge.cli import main
from ssd_edge.training import Run
from ssd_edge_export import ExportOptions, PruneOptions, export_model, prune, verify
from ssd_edge_runtime import EdgeModel, EdgeModelError, model_file
from ssd_edge_runtime.errors import OptionError
from ssd_edge_runtime.sparse.sketch import Sketch
from ssd_edge_runtime.state import COSINE_EPSILON

pytestmark = pytest.mark.usefixtures("trial_here")

STAGES = {
    "share": {"center": 0.5},
    "sketch": {"sketch": 20},
    "both": {"center": 0.5, "sketch": 20},
    "normalized first": {"normalize": "both"},
    "share after": {"center": 0.3, "normalize": "after"},
    "cosine": {"center": 0.5, "activation": "cosine"},
}
SHORT = {"tasks": 5, "until_task": 2, "hidden": (60,), "k": (5,), "epochs": 1, "nonnegative": False}


def digits(**options: object) -> Run:
    return train("digits", **(SHORT | options))


def by_hand(run: Run, x: np.ndarray) -> np.ndarray:
    """The first layer's input, by the formulas alone, float64."""
    network = run.network
    u = x.reshape(len(x), -1).astype(np.float64)
    if run.config.normalize == "both":
        u = u / np.maximum(np.linalg.norm(u, axis=1, keepdims=True), 1e-12)
    if network.center is not None:
        u = u - network.center.numpy()
    if network.sketch is not None:
        sums = np.zeros((len(u), network.sketch.width))
        np.add.at(sums.T, network.sketch.sums, (u * network.sketch.signs).T)
        u = sums
    return np.asarray(u / np.maximum(np.linalg.norm(u, axis=1, keepdims=True), 1e-12))


@pytest.mark.parametrize("name", STAGES)
def test_stages_from_training_to_every_engine(tmp_path: Path, name: str) -> None:
    run = digits(**STAGES[name])
    run.save(tmp_path / "run")
    run = Run.load(tmp_path / "run")
    x = run.training_data().x
    u = by_hand(run, x)
    np.testing.assert_allclose(run.network.preprocess(torch.from_numpy(x)).numpy(), u, atol=2e-6)
    if run.config.center:
        seen = x.reshape(len(x), -1)
        first = seen[run.training_data().y < 2].astype(np.float64)
        if run.config.normalize == "both":
            first /= np.linalg.norm(first, axis=1, keepdims=True)
        np.testing.assert_allclose(run.network.center.numpy(), run.config.center * first.mean(0), atol=1e-6)
    path = export_model(run, tmp_path / "model.onnx", ExportOptions(values="float32"))
    report = verify(path, against=run)
    assert report.ok, report.as_dict()
    model = EdgeModel.load(path, engine="csr")
    wanted = run.network(torch.from_numpy(x[:50])).detach().numpy()
    np.testing.assert_allclose(model.logits(x[:50]), wanted, atol=2e-5)
    np.testing.assert_allclose(model.logits(x[:1]), wanted[:1], atol=2e-5)
    assert model_file.to_bytes(model_file.load(path)) == path.read_bytes()


def test_a_device_learns_behind_a_sketch(tmp_path: Path) -> None:
    run = digits(center=0.5, sketch=20)
    model = EdgeModel.load(export_model(run, tmp_path / "model.onnx"))
    rng = np.random.default_rng(0)
    model.partial_fit(rng.random((30, 1, 8, 8), np.float32), np.array(["new"] * 30))
    model.save(tmp_path / "model.onnx")
    assert EdgeModel.load(tmp_path / "model.onnx").classes_ == [*run.network.classes, "new"]
    assert verify(tmp_path / "model.onnx").ok


def test_shares_of_the_mean_as_they_were() -> None:
    assert [digits(center=on).config.center for on in (True, False)] == [1.0, 0.0]
    np.testing.assert_array_equal(digits(center=True).network.center, digits(center=1.0).network.center)
    assert digits(center=0).network.center is None
    assert (digits(center=1.0).config.normalize, digits(center=0.9).config.normalize) == ("after", "both")


def test_density_counts_against_the_layer_that_sees_the_whole_input(tmp_path: Path) -> None:
    run = digits(sketch=16)
    whole = prune(run, PruneOptions(density=0.25))
    half = prune(run, PruneOptions(density=0.125))
    assert [each.provenance["prune"]["layers"][0]["nonzeros"] for each in (whole, half)] == [60 * 16, 60 * 8]
    assert [each.provenance["prune"]["layers"][0]["density"] for each in (whole, half)] == [0.25, 0.125]
    with pytest.raises(OptionError, match=r"density 0\.25 is above what pruning has left of hidden1 \(0\.5\)"):
        prune(half, PruneOptions(density=0.25))
    told = model_file.describe(export_model(half, tmp_path / "half.onnx"))
    assert (told["sketch"], told["normalized_first"], told["layers"][0]["density"]) == (16, True, 0.125)
    assert told["layers"][0]["shape"] == [60, 16]


def test_models_merge_behind_one_sketch_alone(tmp_path: Path) -> None:
    options = ExportOptions(readout="analytic")
    base = EdgeModel.load(export_model(digits(sketch=16), tmp_path / "a.onnx", options))
    other = EdgeModel.load(export_model(digits(sketch=16), tmp_path / "b.onnx", options))
    other.partial_fit(np.ones((1, 64), np.float32), base.classes_[:1])
    assert EdgeModel.merge([other], base=base).classes_ == base.classes_
    turned = model_file.load(tmp_path / "b.onnx")
    turned.sketch = Sketch(turned.sketch.sums, -turned.sketch.signs, turned.sketch.width)
    with pytest.raises(EdgeModelError, match="other hidden weights than the base"):
        EdgeModel.merge([base, EdgeModel(turned)], base=base)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--sketch 65", "sketch must be at most the input's 64 values, got 65"),
        ("--sketch 0", "sketch must be at least 1, got 0"),
        ("--center 1.5", "center must be between 0 and 1, got 1.5"),
        ("--center nan", "center must be between 0 and 1, got nan"),
        ("--method views --sketch 9", "method views looks at images, and a sketch mixes their pixels"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(tmp_path: Path, options: str, message: str) -> None:
    result = CliRunner().invoke(main, ["train", "digits", *options.split(), "-o", str(tmp_path / "run")])
    assert result.exit_code == 2
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "center"),
    [
        ("--center digits", 1.0),
        ("digits --center", 1.0),
        ("--center 0.25 digits", 0.25),
        ("digits --center=0.25", 0.25),
        ("--no-center digits", 0.0),
        ("digits --no-center --center", 1.0),
    ],
)
def test_the_mean_on_the_command_line(tmp_path: Path, words: str, center: float) -> None:
    rest = "--hidden 20 --k 3 --epochs 1 --tasks 5 --until-task 1 --json -o"
    result = CliRunner().invoke(main, ["train", *words.split(), *rest.split(), str(tmp_path / "run")])
    assert result.exit_code == 0, result.stderr
    json.loads(result.stdout)
    assert Run.load(tmp_path / "run").config.center == center


@pytest.mark.parametrize("hidden", [(60,), (60, 40)], ids=["one layer", "two layers"])
def test_pruned_rows_compare_directions(tmp_path: Path, hidden: tuple[int, ...]) -> None:
    """From training to a device that learns, in every engine: over the length of what a row sees."""
    k = (5,) * len(hidden)
    run = prune(digits(activation="cosine", hidden=hidden, k=k), PruneOptions(density=0.3))
    path = export_model(run, tmp_path / "model.onnx", ExportOptions(values="float32"))
    report = verify(path, against=run)
    assert report.ok, report.as_dict()
    x = run.training_data().x[:40]
    state = model_file.load(path)
    u, w = by_hand(run, x), state.layers[0].weights
    support = np.zeros(w.shape)
    support[w.row_of_entry(), w.columns] = 1
    wanted = np.maximum(u @ w.to_dense().T.astype(float), 0) / np.sqrt(u**2 @ support.T + COSINE_EPSILON)
    found = run.network.layers[0].activate(run.network.preprocess(torch.from_numpy(x)))
    np.testing.assert_allclose(found.detach().numpy(), wanted, atol=2e-6)
    model = EdgeModel.load(path, engine="csr")
    model.partial_fit(x, np.array(["new"] * len(x)))
    model.save(path)
    both = [EdgeModel.load(path, engine=engine).logits(x) for engine in ("csr", "onnxruntime")]
    np.testing.assert_allclose(*both, atol=2e-5)
    assert model_file.describe(path)["layers"][0]["activation"] == "cosine"


def test_a_closed_form_needs_plain_layers(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="activation cosine goes with the gradient readout"):
        digits(activation="cosine", readout="analytic")
    with pytest.raises(OptionError, match="activation must be"):
        digits(activation="cosinus")
