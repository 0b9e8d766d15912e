"""One function, however it is computed: every form of the file, in plain ONNX Runtime, our engines and torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from encoders import images, tiny_encoder

from ssd_edge.data import Dataset
from ssd_edge_export import ExportOptions, Weights, export_model, verify
from ssd_edge_export.verification.torch_network import network_of
from ssd_edge_export.verification.trial import TOLERANCE, term_scale
from ssd_edge_runtime import EdgeModel, model_file

pytestmark = pytest.mark.usefixtures("trial_here")

N, K, WIDTH, CLASSES = 40, 5, 20, ("a", "b", "c")


def exported(path: Path, values: str, readout: str, encoder: bool, learning_state: bool) -> Path:
    rng = np.random.default_rng(3)
    width = WIDTH if encoder else 64
    hidden = np.abs(rng.standard_normal((N, width))) * (rng.random((N, width)) < 0.3)
    hidden /= np.maximum(np.linalg.norm(hidden, axis=1, keepdims=True), 1e-12)
    x, y = images(1, 120)
    weights = Weights(
        [hidden],
        CLASSES,
        K,
        input_shape=None if encoder else x.shape[1:],
        readout=None if readout == "analytic" else rng.random((len(CLASSES), N)),
    )
    options = ExportOptions(values=values, learning_state=learning_state)  # type: ignore[arg-type]
    front = tiny_encoder(WIDTH) if encoder else None
    return export_model(weights, path, options, data=Dataset(x, y, CLASSES), encoder=front)


def plain_logits(path: Path, x: np.ndarray) -> np.ndarray:
    """Nothing of ours: what a program in any language does with the file."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    logits, probabilities = session.run(["logits", "probabilities"], {"input": x})
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, rtol=1e-5)
    return np.asarray(logits)


def torch_logits(path: Path, x: np.ndarray) -> np.ndarray:
    """The trainer's network on embeddings."""
    model = EdgeModel.load(path)
    with torch.no_grad():
        return np.asarray(network_of(model.state)(torch.from_numpy(model.embed(x))).numpy())


def check(path: Path) -> None:
    x, _ = images(2, 33, classes=4)
    onnx.checker.check_model(onnx.load(path), full_check=True)
    model = EdgeModel.load(path, engine="csr")
    wanted = model.logits(x)
    assert np.abs(wanted).max() > 0.01
    # Terms of a closed-form logit are much larger than their sum; rounding goes with the terms.
    close = {"rtol": 1e-5, "atol": TOLERANCE * term_scale(model.state, model.embed(x))}
    np.testing.assert_allclose(plain_logits(path, x), wanted, **close)
    np.testing.assert_allclose(torch_logits(path, x), wanted, **close)
    np.testing.assert_allclose(EdgeModel.load(path, engine="onnxruntime").logits(x), wanted, **close)
    np.testing.assert_allclose(model.logits(x[:1]), wanted[:1], **close)
    report = verify(path)
    assert report.ok, report.as_dict()
    assert [each.check for each in report.checks if each.ok] == [each.check for each in report.checks]


@pytest.mark.parametrize("learning_state", [True, False], ids=["learns", "answers"])
@pytest.mark.parametrize("encoder", [True, False], ids=["encoder", "raw"])
@pytest.mark.parametrize("readout", ["analytic", "gradient"])
@pytest.mark.parametrize("values", ["float32", pytest.param("float16", marks=pytest.mark.slow), "int8"])
def test_the_same_logits(tmp_path: Path, values: str, readout: str, encoder: bool, learning_state: bool) -> None:
    path = exported(tmp_path / "model.onnx", values, readout, encoder, learning_state)
    state = model_file.load(path)
    assert (state.values_type, state.readout.kind) == (values, readout)
    assert (state.encoder is not None, state.has_learning_state) == (encoder, learning_state)
    assert model_file.to_bytes(state, learning_state=learning_state) == path.read_bytes()
    check(path)
    if learning_state:
        model = EdgeModel.load(path)
        x, y = images(4, 40, classes=4)
        model.partial_fit(x, np.array([*CLASSES, "d"])[y])
        model.save(path)
        after = model_file.load(path)
        assert (after.classes, after.generation, after.encoder) == ([*CLASSES, "d"], 2, state.encoder)
        check(path)
