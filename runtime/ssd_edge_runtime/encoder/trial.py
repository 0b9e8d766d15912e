"""An encoder on trial: does it give what the model it was made from gives, for each sample by itself?"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx

from ssd_edge_runtime.arrays import Float32
from ssd_edge_runtime.encoder.encoder import Encoder
from ssd_edge_runtime.encoder.session import EncoderSession
from ssd_edge_runtime.errors import EdgeModelError, first_line
from ssd_edge_runtime.onnx.model_proto import OPSET
from ssd_edge_runtime.onnx.session import open_session

SAMPLES = 3
"""Samples that an encoder is tried on."""
SAME = 1e-3
"""Of the largest value of an embedding: more than rounding makes between two ways to compute the same."""


def run_original(model: Any, batch: int, shape: tuple[int, ...]) -> tuple[Float32, Float32]:
    """Samples, and what the model as it was given makes of them, float32 (N, ...).

    ``model``: its ``ModelProto``.
    ``batch``: N where the model takes no other; 0 where it takes any.
    """
    samples = np.random.default_rng(0).random((batch or SAMPLES, *shape), np.float32)
    try:
        session = open_session(model.SerializeToString(), threads=1)
        outputs = session.run(None, {session.get_inputs()[0].name: samples})[0]
    except ImportError:
        raise EdgeModelError("trying an encoder needs onnxruntime: pip install onnxruntime") from None
    except Exception as error:  # whatever ONNX Runtime or protobuf raise about a foreign graph
        raise EdgeModelError(f"ONNX Runtime does not run it: {first_line(error)}") from None
    good = outputs.ndim >= 2 and len(outputs) == len(samples) and outputs.size > 0
    EdgeModelError.unless(
        good, f"{len(samples)} samples give {list(outputs.shape)}: its output must be [batch, ...]"
    )
    return samples, outputs


def check_trial(encoder: Encoder, samples: Float32, expected: Float32) -> None:
    """Refuse an encoder that does not give what the original gave, or whose samples depend on each other."""
    try:
        onnx.checker.check_model(encoder.to_onnx(), full_check=True)
    except Exception as error:  # the checker's own, and what shape inference raises
        raise EdgeModelError(f"onnx refuses it: {first_line(error)}") from None
    session = EncoderSession(encoder)
    EdgeModelError.unless(
        bool(np.isfinite(expected).all()), "its output for samples between 0 and 1 holds NaN or infinity"
    )
    given, others = _embed_each_way(session, samples)
    try:
        session.embed(np.zeros_like(samples[:1]))
    except EdgeModelError:
        raise EdgeModelError("its output for a sample of zeros holds NaN or infinity") from None
    off = SAME * (float(np.abs(expected).max()) or 1.0)
    same = bool(np.abs(given - expected).max() <= off)
    EdgeModelError.unless(same, f"in operator set {OPSET} it gives other answers: export it with that set")
    apart = max(np.abs(other - given[: len(other)]).max() for other in others)
    EdgeModelError.unless(
        bool(apart <= off), "a sample's answer depends on the others in its batch: export it for inference"
    )


def _embed_each_way(session: EncoderSession, samples: Float32) -> tuple[Float32, tuple[Float32, Float32]]:
    """Embeddings of the samples as one batch; and of the same in a larger one, and of the first alone."""
    try:
        given = session.embed(samples)
        together = session.embed(np.concatenate([samples, samples[::-1]]))[: len(samples)]
        return given, (together, session.embed(samples[:1]))
    except EdgeModelError as error:
        raise EdgeModelError(f"its batch size must be free, make that dimension symbolic: {error}") from None
