"""What runs a model file once it has been judged, in a process of its own: ONNX's checker and every engine."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict

import numpy as np

from ssd_edge_export.verification.report import Check
from ssd_edge_runtime import model_file
from ssd_edge_runtime.arrays import Float32
from ssd_edge_runtime.confinement import serve
from ssd_edge_runtime.encoder import Encoder, EncoderSession
from ssd_edge_runtime.errors import EdgeModelError
from ssd_edge_runtime.memory import free_memory
from ssd_edge_runtime.network.engines import CSREngine, folding_bytes
from ssd_edge_runtime.network.forward import forward
from ssd_edge_runtime.network.preprocess import preprocess
from ssd_edge_runtime.onnx.session import open_session
from ssd_edge_runtime.state import ModelState

Logits = Callable[[bytes, ModelState, Float32], Float32]
TOLERANCE = 1e-5
"""Largest difference of logits, relative to the sum of the absolute terms that make up a logit."""
SAMPLES = 64
BLOCKS = 8
"""Calls that ONNX Runtime answers them in: an encoder holds much for each sample."""


def run(data: bytes) -> Iterator[Check]:
    """ONNX's own full check; the same logits from every engine here. Raises EdgeModelError for no sound file."""
    state = model_file.from_bytes(data)
    yield _guarded("onnx checker", lambda: check_onnx(data))
    yield from check_logits(data, state)


def check_logits(data: bytes, state: ModelState) -> Iterator[Check]:
    """The same logits from every engine here, each fed with what it takes: samples, or embeddings of them."""
    samples = probe(state)
    inputs = samples
    if state.encoder is not None:
        inputs, check = check_encoder(state.encoder, samples)
        yield check
    reference = CSREngine(state).logits(inputs)
    scale = term_scale(state, inputs)
    yield Check("csr engine", bool(np.isfinite(reference).all()), f"{SAMPLES} samples, finite logits")
    engines: tuple[tuple[str, Logits, Float32], ...] = (
        ("onnxruntime", onnxruntime_logits, samples),
        ("torch", torch_logits, inputs),
    )
    for name, engine, x in engines:
        yield _same_logits(name, engine, data, state, x, reference, scale)


def check_encoder(encoder: Encoder, samples: Float32) -> tuple[Float32, Check]:
    """Embeddings of samples; where it does not run, made-up ones, so that the rest is checked."""
    told = (
        f"{encoder.name}, {len(encoder.nodes)} operators, {encoder.width} values, digest {encoder.digest[:12]}..."
    )
    try:
        return EncoderSession(encoder).embed(samples), Check("encoder", True, told)
    except EdgeModelError as error:
        installed = importlib.util.find_spec("onnxruntime") is not None
        made_up = np.random.default_rng(0).random((SAMPLES, encoder.width), np.float32)
        return made_up, Check("encoder", False if installed else None, str(error))


def _guarded(name: str, action: Callable[[], str]) -> Check:
    """A check that fails, with its first line, by whatever ``action`` raises."""
    try:
        return Check(name, True, action())
    except Exception as error:
        lines = str(error).splitlines()
        return Check(name, False, lines[0] if lines else type(error).__name__)


def check_onnx(data: bytes) -> str:
    """ONNX's own full check; raises what the checker raises."""
    import onnx

    model = onnx.load_model_from_string(data)
    onnx.checker.check_model(model, full_check=True)
    domains = {node.domain for node in model.graph.node}
    if domains - {""}:
        raise EdgeModelError(f"operators of other domains: {', '.join(sorted(domains - {''}))}")
    return f"full check passed, opset {model.opset_import[0].version}, standard operators only"


def probe(state: ModelState) -> Float32:
    """Seeded samples float32 (SAMPLES, values): half uniform in [0, 1], half Gaussian, the last one zero."""
    rng, width = np.random.default_rng(0), state.sample_width
    samples = rng.random((SAMPLES, width), np.float32)
    samples[SAMPLES // 2 :] = rng.standard_normal((SAMPLES - SAMPLES // 2, width), np.float32)
    samples[-1] = 0.0
    return samples


def term_scale(state: ModelState, samples: Float32) -> float:
    """Largest ``sum_i |V_ci| a_i + |b_c|`` over samples, classes and the active neurons i of the last layer.

    Rounding errors are in proportion to this: not to ``z = a - I``, which may be a small difference.
    """
    last = forward(state.layers, preprocess(samples.reshape(len(samples), -1), state))[-1]
    terms = np.where(last.codes.to_dense() > 0.0, last.h.T, 0.0) @ np.abs(state.readout.weights).T
    bias = 0.0 if state.readout.bias is None else np.abs(state.readout.bias)
    return float(np.max(terms + bias)) or 1.0


def _same_logits(
    name: str, engine: Logits, data: bytes, state: ModelState, x: Float32, reference: Float32, scale: float
) -> Check:
    if importlib.util.find_spec(name) is None:
        return Check(name, None, "not installed here")
    if name == "onnxruntime" and (needed := folding_bytes(state)) > free_memory():
        return Check(name, None, f"skipped: needs about {needed / 2**20:.0f} MiB of memory, more than is free")
    try:
        logits = engine(data, state, x)
    except Exception as error:
        return Check(name, False, f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}")
    worst = float(np.abs(logits - reference).max()) / scale
    return Check(name, worst <= TOLERANCE, f"logits as the csr engine's: off by {worst:.1e} at most")


def onnxruntime_logits(data: bytes, state: ModelState, x: Float32) -> Float32:
    """A bare session on the file as it is: no custom operator, nothing of this package."""
    session = open_session(data, threads=0)
    blocks = np.array_split(x.reshape(-1, *state.input_shape), BLOCKS)
    logits: Float32 = np.concatenate([session.run(["logits"], {"input": block})[0] for block in blocks])
    return logits


def torch_logits(data: bytes, state: ModelState, x: Float32) -> Float32:
    """The trainer's own network with the file's weights."""
    import torch

    from ssd_edge_export.verification.torch_network import network_of

    with torch.no_grad():
        logits: Float32 = network_of(state)(torch.from_numpy(x)).numpy()
    return logits


def answers(data: bytes) -> Iterator[bytes]:
    """The checks of :func:`run`, each as JSON as soon as it is known, and null at the end."""
    for check in run(data):
        yield json.dumps(asdict(check)).encode()
    yield b"null"


if __name__ == "__main__":
    serve(answers)
