"""Engines measured against each other must compute the same function."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from encoders import behind, images, tiny_encoder
from small_models import gradient_state

from ssd_edge_bench.engines import ENGINES, missing, open_engine
from ssd_edge_bench.engines.prepare import prepare
from ssd_edge_runtime import EdgeModel, model_file
from ssd_edge_runtime.encoder import EncoderSession


@pytest.mark.parametrize("engine", ENGINES)
def test_every_engine_computes_the_same_function(model: Path, tmp_path: Path, engine: str) -> None:
    if missing(engine):
        pytest.skip(str(missing(engine)))
    x = np.random.default_rng(1).random((9, 3, 4), np.float32)
    expected = EdgeModel.load(model, engine="csr").logits(x)
    found = open_engine(engine, prepare(engine, model, tmp_path), 1).predict(x)
    # int8 rounds weights and activations to 256 steps; a sample near a Top-K tie may then answer otherwise.
    tolerance = 0.15 if engine == "onnxruntime-int8" else 1e-4
    assert np.median(np.abs(found - expected)) <= tolerance * np.abs(expected).max()
    if engine != "onnxruntime-int8":
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("density", [0.3, 1.0])
@pytest.mark.parametrize("engine", [name for name in ENGINES if name != "onnxruntime-int8"])
def test_cosine_layers_too(tmp_path: Path, engine: str, density: float) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(model_file.to_bytes(gradient_state(widths=(30, 25), density=density, activation="cosine")))
    x = np.random.default_rng(1).random((9, 20), np.float32)
    found = open_engine(engine, prepare(engine, path, tmp_path), 1).predict(x)
    np.testing.assert_allclose(found, EdgeModel.load(path, engine="csr").logits(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("engine", ["csr", "torch"])
def test_learning_engines_learn_the_same(gradient_model: Path, engine: str) -> None:
    """One step without a teacher: dense torch and CSR agree on what the batch does to the logits.

    W of the tiny model is dense enough to start with its support only; torch's step fills it up, so the readout,
    which both hold dense, is what is compared, on a hidden layer that stands still.
    """
    rng = np.random.default_rng(2)
    x, y = rng.random((8, 3, 4), np.float32), np.array(list("abcabcab"))
    opened = open_engine(engine, gradient_model, 1)
    before = opened.predict(x).copy()
    opened.learn(x, y)
    after = opened.predict(x)
    right = ["abc".index(name) for name in y]
    assert after[np.arange(8), right].mean() > before[np.arange(8), right].mean() - 1e-3
    assert not np.allclose(before, after)


def test_only_engines_that_learn_say_so(model: Path, tmp_path: Path) -> None:
    csr = open_engine("csr", model, 1)
    assert csr.operations[0] == "learn"
    assert ("solve" in csr.operations) == (model.stem == "analytic")
    assert open_engine("onnxruntime", model, 1).operations == ()
    bare = tmp_path / "bare.onnx"
    bare.write_bytes(model_file.to_bytes(model_file.load(model), learning_state=False))
    assert open_engine("csr", bare, 1).operations == ("save",)


def test_only_a_model_with_an_encoder_is_timed_embedding(tmp_path: Path) -> None:
    path = tmp_path / "encoded.onnx"
    path.write_bytes(model_file.to_bytes(behind(tiny_encoder(20), gradient_state())))
    csr, x = open_engine("csr", path, 1), images(0, 4)[0]
    assert csr.operations == ("embed", "learn", "save")
    np.testing.assert_array_equal(csr.embed(x), EncoderSession(tiny_encoder(20)).embed(x))
    assert missing("torch", encoded=True) == "the encoder is an ONNX network"


def test_dense_model_is_larger_and_int8_smaller_than_it(model: Path, tmp_path: Path) -> None:
    dense, int8 = (prepare(name, model, tmp_path) for name in ("onnxruntime-dense", "onnxruntime-int8"))
    assert dense.stat().st_size > 40 * 12 * 4
    assert int8 != dense
    assert prepare("csr", model, tmp_path) == model
