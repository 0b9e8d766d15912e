"""Engines: logits of a model state, from the compressed rows directly or through ONNX Runtime."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from typing import Literal, Protocol, get_args

import numpy as np

from ssd_edge_runtime.arrays import Float32
from ssd_edge_runtime.confinement import Limits
from ssd_edge_runtime.errors import EdgeModelError
from ssd_edge_runtime.memory import free_memory
from ssd_edge_runtime.network.forward import block_size, forward
from ssd_edge_runtime.network.preprocess import preprocess
from ssd_edge_runtime.onnx.confined import open_limited
from ssd_edge_runtime.onnx.session import run_session
from ssd_edge_runtime.state import ModelState

EngineName = Literal["auto", "csr", "onnxruntime"]
LARGE_ENOUGH = 16
DENSE_ENOUGH = 0.15
WIDEST = 4_000_000
SETTLED = 4096
DENSE_COPIES = 5
"""Dense matrices that ONNX Runtime holds at its peak while it unfolds one (585 MB for 3072 -> 10000)."""


class Engine(Protocol):
    """Logits for checked samples."""

    name: str

    def logits(self, x: Float32) -> Float32:
        """Contiguous float32 (N, values) -> float32 (N, classes)."""


class CSREngine:
    """numpy and scipy on the compressed rows; needs neither ONNX Runtime nor a dense matrix.

    It takes what the first layer takes: embeddings, where the model has an encoder.
    """

    name = "csr"

    def __init__(self, state: ModelState) -> None:
        self._block_size = block_size(state.input_width)
        self._state = state
        self._transposed = np.ascontiguousarray(state.readout.weights.T)
        self._bias = state.readout.bias

    def logits(self, x: Float32) -> Float32:
        """Contiguous float32 (N, d) -> float32 (N, classes)."""
        size = self._block_size
        if len(x) <= size:
            return self._block(x)
        return np.concatenate([self._block(x[start : start + size]) for start in range(0, len(x), size)])

    def _block(self, x: Float32) -> Float32:
        codes = forward(self._state.layers, preprocess(x, self._state))[-1].codes
        logits = codes.read_out(self._transposed)
        if self._bias is not None:
            logits += self._bias
        return logits


class OnnxEngine:
    """ONNX Runtime on the same bytes that ``save`` would write, without the learning state: encoder and all."""

    name = "onnxruntime"

    def __init__(self, state: ModelState, threads: int = 1) -> None:
        from ssd_edge_runtime import model_file

        if find_spec("onnxruntime") is not None:
            check_unfolding(state)
        data = model_file.to_bytes(state, learning_state=False)
        try:
            self._session = open_limited(data, threads, limits_of(state))
        except ImportError as error:
            raise EdgeModelError(
                "onnxruntime is not installed here: pip install onnxruntime, or use engine='csr'"
            ) from error
        except EdgeModelError as error:
            raise EdgeModelError(f"ONNX Runtime refuses the model: {error}") from error
        self._input_shape = state.input_shape
        self._block = None if state.encoder is None else state.encoder.block

    def logits(self, x: Float32) -> Float32:
        """Contiguous float32 (N, values of a sample) -> float32 (N, classes)."""
        samples = x.reshape(-1, *self._input_shape)
        size = self._block or len(samples)
        parts = [self._run(samples[start : start + size]) for start in range(0, len(samples), size)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _run(self, samples: Float32) -> Float32:
        try:
            logits: Float32 = run_session(self._session, "logits", samples)
        except EdgeModelError as error:
            raise EdgeModelError(f"ONNX Runtime fails on the model: {error}") from error
        return logits


def limits_of(state: ModelState) -> Limits | None:
    """What ONNX Runtime may take for a model whose encoder is confined; None where it is not."""
    if state.encoder is None or not state.encoder.confined:
        return None
    limits = state.encoder.limits
    return replace(limits, memory=limits.memory + folding_bytes(state))


def check_unfolding(state: ModelState) -> None:
    """Refuse to unfold weights into more memory than there is: a small file can stand for a huge dense matrix."""
    needed, free = folding_bytes(state), free_memory()
    if needed > free:
        raise EdgeModelError(
            f"ONNX Runtime needs about {needed >> 20} MiB to unfold these weights, {free >> 20} MiB are free: "
            "use engine='csr'"
        )


def folding_bytes(state: ModelState) -> int:
    """Peak memory of ONNX Runtime while it opens the file of ``state``, and folds its weights into dense ones."""
    return DENSE_COPIES * 4 * _dense_entries(state)


def _dense_entries(state: ModelState) -> int:
    """Of every layer; the support of a cosine one stands beside its weights."""
    matrices = {"plain": 1, "cosine": 2}
    shapes = [(matrices[layer.activation], *layer.weights.shape) for layer in state.layers]
    return sum(count * rows * width for count, rows, width in shapes)


def check_engine(engine: str) -> None:
    """Raise :class:`EdgeModelError` unless ``engine`` is a known name."""
    if engine not in get_args(EngineName):
        raise EdgeModelError(f"engine must be one of {', '.join(get_args(EngineName))}, got {engine!r}")


def choose(state: ModelState, batch: int, served: int) -> str:
    """The engine that ``auto`` takes for ``batch`` samples when ``served`` were answered since the last change.

    ONNX Runtime only for batches through a nearly dense, not too wide model that has stopped changing for a while:
    making a session unfolds the weights, which takes time and several times the memory of the dense matrix.
    Never behind an encoder, which ONNX Runtime runs anyway, and beside which the layers cost little.
    """
    if state.encoder is not None or batch < LARGE_ENOUGH or served < SETTLED:
        return "csr"
    dense = _dense_entries(state)
    nonzeros = sum(layer.weights.nonzeros for layer in state.layers)
    worth = nonzeros > DENSE_ENOUGH * dense and dense <= WIDEST
    return "onnxruntime" if worth and find_spec("onnxruntime") is not None else "csr"
