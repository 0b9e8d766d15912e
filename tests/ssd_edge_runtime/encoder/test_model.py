"""A model behind an encoder does with images what it does with their embeddings."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from encoders import behind, encoder_model, images, tiny_encoder
from small_models import analytic_state, gradient_state

from ssd_edge_runtime import EdgeModel, EdgeModelError, model_file
from ssd_edge_runtime.encoder import Encoder, EncoderSession, import_encoder
from ssd_edge_runtime.gradient.dampening import DampeningOptions
from ssd_edge_runtime.network.engines import choose
from ssd_edge_runtime.state import ModelState

STATES: dict[str, Callable[[], ModelState]] = {"gradient": gradient_state, "analytic": analytic_state}


def pair(kind: str, **options: Any) -> tuple[EdgeModel, EdgeModel]:
    """A model behind the encoder, and the same model without."""
    state = STATES[kind]()
    return EdgeModel(behind(tiny_encoder(), state), **options), EdgeModel(state, **options)


def embed(x: np.ndarray) -> np.ndarray:
    return EncoderSession(tiny_encoder()).embed(x)


@pytest.mark.parametrize("kind", STATES)
def test_every_verb_takes_images(kind: str) -> None:
    model, bare = pair(kind)
    x, y = images(1, 60, classes=4)
    u = embed(x)
    np.testing.assert_allclose(model.embed(x), u, atol=1e-6)
    np.testing.assert_allclose(model.logits(x), bare.logits(u), rtol=1e-4, atol=1e-4)
    assert model.partial_fit(x, y).score(x, y) == bare.partial_fit(u, y).score(u, y)
    assert model.classes_ == ["0", "1", "2", "3"]
    model.learn_one(x[0], y[0])
    bare.learn_one(u[0], y[0])
    assert (model.classes_, model.samples_seen_) == (bare.classes_, bare.samples_seen_)
    np.testing.assert_allclose(model.predict_proba(x), bare.predict_proba(u), atol=2e-4)
    assert model.predict_one(x[5]) == bare.predict_one(u[5])
    if kind == "analytic":
        model.unlearn(x[:3], y[:3])
        bare.unlearn(u[:3], y[:3])
    else:
        keep = y != 3
        retained, options = (x[keep], y[keep]), DampeningOptions()
        model.dampen("3", x[~keep], retained, options)
        bare.dampen("3", u[~keep], (u[keep], y[keep]), options)
    np.testing.assert_allclose(model.logits(x), bare.logits(u), rtol=1e-4, atol=5e-4)


def test_images_come_in_every_form() -> None:
    model, _ = pair("analytic")
    x, _ = images(2, 5)
    x = (255 * x).astype(np.uint8)
    wanted = model.logits(x.astype(np.float32) / np.float32(255))
    for form in (x, x.reshape(5, 64), (x / np.float32(255)).tolist()):
        np.testing.assert_allclose(model.logits(form), wanted, atol=1e-4)
    np.testing.assert_allclose(model.logits(x[0]), wanted[:1], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((2, 20), np.float32), r"\(N, 1 x 8 x 8\) or \(N, 64\), got \(2, 20\)"),
        (np.zeros((2, 3, 8, 8), np.float32), r"got \(2, 3, 8, 8\)"),
        (np.full((1, 1, 8, 8), np.nan, np.float32), "sample 0 holds NaN or infinity"),
    ],
)
def test_what_is_no_image_changes_nothing(x: np.ndarray, message: str) -> None:
    model, _ = pair("analytic")
    before = model_file.to_bytes(model.state)
    for call in (model.predict, lambda x: model.partial_fit(x, [0] * len(x)), lambda x: model.unlearn(x, [0])):
        with pytest.raises(EdgeModelError, match=message):
            call(x)
    assert model_file.to_bytes(model.state) == before


@pytest.mark.parametrize("kind", STATES)
def test_saving_keeps_the_encoder_and_learning_goes_on(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    model, _ = pair(kind)
    x, y = images(3, 40, classes=4)
    model.save(path)
    EdgeModel.load(path).partial_fit(x[:20], y[:20]).save(path)
    again = EdgeModel.load(path)
    assert again.state.encoder == tiny_encoder() and again.state.encoder is not None
    assert again.state.encoder.tensors == tiny_encoder().tensors
    np.testing.assert_array_equal(again.logits(x), model.partial_fit(x[:20], y[:20]).logits(x))


@pytest.mark.parametrize("kind", STATES)
def test_records_of_learning_leave_the_encoder_out(kind: str) -> None:
    large = import_encoder(encoder_model(20, (1, 64, 64)).SerializeToString(), "large")
    state = behind(large, STATES[kind]())
    model, other = EdgeModel(state), EdgeModel(state)
    rng = np.random.default_rng(0)
    x, y = rng.random((30, 1, 64, 64), np.float32), np.arange(30) % 4
    model.record({})
    record = model.partial_fit(x, y).record({"samples": 30})
    assert len(record) < large.nbytes / 4
    other.replay(record)
    assert other.state.encoder == large
    np.testing.assert_array_equal(other.logits(x), model.logits(x))
    if kind == "gradient":
        with pytest.raises(EdgeModelError, match="not of this model"):
            EdgeModel(behind(large, gradient_state(widths=(31,)))).replay(record)


def test_models_merge_behind_one_encoder_only() -> None:
    base, _ = pair("analytic")
    x, y = images(4, 60, classes=5)
    parts = [EdgeModel(base.state).partial_fit(x[rows], y[rows]) for rows in (slice(30), slice(30, 60))]
    merged = EdgeModel.merge(parts, base=base)
    together = EdgeModel(base.state).partial_fit(x, y)
    np.testing.assert_allclose(merged.logits(x), together.logits(x), rtol=1e-3, atol=1e-3)
    others = (behind(tiny_encoder(seed=1), analytic_state()), analytic_state())
    for other in others:
        with pytest.raises(EdgeModelError, match="model 2 has another encoder than the base"):
            EdgeModel.merge([parts[0], EdgeModel(other)], base=base)


def test_engines() -> None:
    model, bare = pair("analytic", engine="onnxruntime")
    x, _ = images(5, 600)
    np.testing.assert_allclose(model.logits(x), bare.logits(embed(x)), rtol=1e-4, atol=1e-4)
    dense = behind(tiny_encoder(), gradient_state(density=1.0))
    assert (choose(dense, 64, 10**6), choose(dense.head, 64, 10**6)) == ("csr", "onnxruntime")


def test_embedding_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """While one thread's images are in the encoder, others predict and learn."""
    model, _ = pair("analytic")
    x, y = images(6, 20)
    inside, go_on, plain_embed = threading.Event(), threading.Event(), EncoderSession.embed

    def slow(self: EncoderSession, samples: np.ndarray) -> np.ndarray:
        if threading.current_thread() is not threading.main_thread():
            inside.set()
            assert go_on.wait(20)
        return plain_embed(self, samples)

    monkeypatch.setattr(EncoderSession, "embed", slow)
    learner = threading.Thread(target=model.partial_fit, args=(x, ["late"] * 20))
    learner.start()
    assert inside.wait(20)
    model.partial_fit(x, y)
    assert model.predict(x).shape == (20,) and "late" not in model.classes_
    go_on.set()
    learner.join(20)
    assert "late" in model.classes_


def test_predictions_while_learning_see_whole_states() -> None:
    model, _ = pair("gradient")
    x, y = images(7, 64)
    seen: list[np.ndarray] = []
    done = threading.Event()

    def reader() -> None:
        while not done.is_set():
            seen.append(model.predict_proba(x[:8]))

    threads = [threading.Thread(target=reader) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(20):
        model.partial_fit(x, y)
    done.set()
    for thread in threads:
        thread.join()
    assert seen and all(np.allclose(each.sum(axis=1), 1, atol=1e-5) for each in seen)


def test_without_onnxruntime_opening_works_and_using_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.onnx"
    pair("analytic")[0].save(path)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    model = EdgeModel.load(path)
    model.rename("0", "zero").save(path)
    x, y = images(8, 3)
    for call in (model.predict, lambda x: model.partial_fit(x, y)):
        with pytest.raises(EdgeModelError, match=r"encoder \(tiny\), which needs onnxruntime: pip install"):
            call(x)
    assert model.classes_ == ["zero", "1", "2"]


def test_an_encoder_that_onnxruntime_refuses_is_named() -> None:
    good = tiny_encoder()
    node = good.nodes[1].replace(b"Relu", b"Reul")
    state = behind(
        Encoder("odd", good.input_shape, 20, (good.nodes[0], node, *good.nodes[2:]), good.tensors),
        gradient_state(),
    )
    x, _ = images(9, 2)
    with pytest.raises(EdgeModelError, match=r"^encoder odd: .*Reul"):
        EdgeModel(state).predict(x)
    with pytest.raises(EdgeModelError, match=r"^ONNX Runtime refuses the model: .*Reul"):
        EdgeModel(state, engine="onnxruntime").predict(x)


def test_an_encoder_that_gives_something_else_is_named() -> None:
    good = tiny_encoder()
    wrong = Encoder("wrong", good.input_shape, 21, good.nodes, good.tensors)
    with pytest.raises(EdgeModelError, match=r"encoder wrong"):
        EncoderSession(wrong).embed(images(0, 2)[0])
