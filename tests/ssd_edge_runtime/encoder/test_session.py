"""An encoder in ONNX Runtime: shared by threads, and clear about what goes wrong."""

from __future__ import annotations

import sys
import threading

import numpy as np
import pytest
from encoders import encoder_model, images, tiny_encoder
from onnx import helper

from ssd_edge_runtime.encoder import EncoderSession, import_encoder
from ssd_edge_runtime.errors import EdgeModelError


def test_a_sample_that_overflows_is_named() -> None:
    model = encoder_model()
    model.graph.node[1].CopyFrom(helper.make_node("Exp", ["c"], ["output"]))
    session = EncoderSession(import_encoder(model.SerializeToString(), name="tiny"))
    x = images(0, 600)[0]
    x[517] = 1e6
    with pytest.raises(EdgeModelError, match="encoder tiny gives NaN or infinity for sample 517"):
        session.embed(x)


def test_threads_share_a_session() -> None:
    session, x = EncoderSession(tiny_encoder(), threads=2), images(0, 700)[0]
    wanted, found = session.embed(x), []
    workers = [threading.Thread(target=lambda: found.append(session.embed(x))) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(found) == 4
    for each in found:
        np.testing.assert_array_equal(each, wanted)


def test_without_onnxruntime_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = tiny_encoder()
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(EdgeModelError, match=r"has an encoder \(tiny\), which needs onnxruntime: pip install"):
        EncoderSession(encoder)
