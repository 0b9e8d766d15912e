"""An encoder that nobody has signed: in a process of its own, the same answers, and its end is one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from encoders import behind, images, tiny_encoder
from onnx import helper
from onnx.numpy_helper import from_array
from small_models import analytic_state

from ssd_edge.on_device import (
    Guard,
    Keys,
    Saving,
    forget,
    infer,
    infer_stream,
    keygen,
    learn,
    learn_stream,
    merge,
    sign,
)
from ssd_edge_runtime import EdgeModel, EdgeModelError, model_file
from ssd_edge_runtime.confinement import Limits
from ssd_edge_runtime.encoder import Encoder, EncoderSession

pytest.importorskip("onnxruntime")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "m.onnx").write_bytes(model_file.to_bytes(behind(tiny_encoder(), analytic_state())))
    return tmp_path / "m.onnx"


def growing(values: int) -> Encoder:
    """A sound one that makes so many values out of nothing before it answers."""
    tiny = tiny_encoder()
    nodes = [onnx.NodeProto.FromString(each) for each in tiny.nodes]
    nodes[-1].output[0] = "encoder.kept"
    # Sizes that hang on what goes in cannot be folded away when the model is opened.
    nodes += [
        helper.make_node("Constant", [], ["encoder.n"], value=from_array(np.array([values]))),
        helper.make_node("ReduceMax", ["encoder.kept"], ["encoder.one"], keepdims=0),
        helper.make_node("Expand", ["encoder.one", "encoder.n"], ["encoder.big"]),
        helper.make_node("ReduceMax", ["encoder.big"], ["encoder.max"], keepdims=0),
        helper.make_node("Min", ["encoder.kept", "encoder.max"], ["encoder.output"]),
    ]
    made = tuple(each.SerializeToString(deterministic=True) for each in nodes)
    return Encoder("growing", tiny.input_shape, tiny.width, made, tiny.tensors)


def test_the_same_answers_to_the_bit(path: Path) -> None:
    x, _ = images(1, 50)
    confined, free = EdgeModel.load(path), EdgeModel.load(path, confine=False)
    assert confined.state.encoder is not None and confined.state.encoder.confined
    assert free.state.encoder is not None and not free.state.encoder.confined
    np.testing.assert_array_equal(confined.logits(x), free.logits(x))
    engines = [EdgeModel.load(path, engine="onnxruntime", confine=each) for each in (True, False)]
    np.testing.assert_array_equal(engines[0].logits(x), engines[1].logits(x))


def test_whom_somebody_trusts_runs_here(path: Path, tmp_path: Path) -> None:
    pytest.importorskip("cryptography")
    public = keygen(tmp_path / "key")["public_key"]
    sign(path, tmp_path / "key")
    state = EdgeModel.load(path, trusted=[public]).state
    assert state.encoder is not None and not state.encoder.confined


@pytest.mark.parametrize(
    "limited", [lambda e: EncoderSession(e), lambda e: EdgeModel(behind(e, analytic_state()))]
)
def test_one_that_takes_too_much_is_stopped(limited: Callable[[Encoder], object]) -> None:
    few = property(lambda self: Limits(200 << 20, 30))
    encoder = replace(growing(1 << 31), confined=True)
    x, _ = images(1, 2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Encoder, "limits", few)
        session = limited(encoder)
        for _ in range(2):
            with pytest.raises(EdgeModelError) as caught:
                session.embed(x)  # type: ignore[attr-defined]
            assert "growing" in str(caught.value) and "\n" not in str(caught.value)


def test_what_fails_inside_is_told_as_it_is_here() -> None:
    broken = growing(-5)
    x, _ = images(1, 2)
    told = []
    for confined in (True, False):
        with pytest.raises(EdgeModelError) as caught:
            EncoderSession(replace(broken, confined=confined)).embed(x)
        told.append(str(caught.value))
    assert told[0] == told[1]


def test_that_it_is_confined_is_said(path: Path) -> None:
    told: list[str] = []
    x, y = images(1, 2)
    lines = [json.dumps({"x": x[0].tolist(), "y": str(y[0])})]
    guard, devices = Guard((x, y), 1.0), [path.with_name("a.onnx"), path.with_name("b.onnx")]
    infer(path, x, x, keys=Keys(), tell=told.append)
    infer_stream(path, lines, answer=lambda _: None, tell=told.append)
    for seed, device in enumerate(devices, 1):
        learn(path, images(seed, 2), guard=guard, tell=told.append, saving=Saving(device))
    merge(devices, path, path.with_name("all.onnx"), guard=guard, tell=told.append)
    learn_stream(path, lines, lambda _: None, tell=told.append)
    forget(devices[0], data=(x, y), tell=told.append)
    assert [text for text in told if "encoder" in text] == 7 * [
        "note: no trusted key has signed the encoder tiny: it runs in a process of its own, with at most "
        "1024 MiB of memory and 60 s for an answer"
    ]
