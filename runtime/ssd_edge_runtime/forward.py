"""The forward pass on compressed rows: preprocess, Top-K layers, codes. Cost follows the non-zeros."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ssd_edge_runtime.csr import CSRMatrix, Float32
from ssd_edge_runtime.state import Layer
from ssd_edge_runtime.topk import Codes, top_k


def preprocess(x: Float32, center: Float32 | None, epsilon: float) -> Float32:
    """``u = (x - center) / max(||x - center||, epsilon)`` per sample, float32 (N, d) -> (N, d), a new array."""
    u = x - center if center is not None else x
    with np.errstate(over="ignore"):
        norm = np.sqrt(np.einsum("nd,nd->n", u, u))
    if not np.isfinite(norm).all():
        norm = np.linalg.norm(u.astype(np.float64), axis=1)
    scale = 1.0 / np.maximum(norm, epsilon)
    scaled: Float32 = u * scale[:, None].astype(np.float32)
    return scaled


@dataclass(eq=False)
class LayerPass:
    """What one layer saw and did with N samples."""

    u: Float32
    """Its input, (N, d)."""
    transposed: Float32
    """The same as contiguous (d, N); unused and equal to ``u`` for a single sample."""
    h: Float32
    """``W u``, contiguous (N, n)."""
    codes: Codes
    """``z``, (N, n)."""


def forward(layers: Sequence[Layer], u: Float32) -> list[LayerPass]:
    """Every layer in turn for preprocessed ``u`` float32 (N, d); each reads the codes of the one before."""
    passes: list[LayerPass] = []
    for layer in layers:
        if passes:
            u = passes[-1].codes.to_dense()
        transposed = u if len(u) == 1 else np.ascontiguousarray(u.T)
        h = hidden(layer.weights, u, transposed)
        passes.append(LayerPass(u, transposed, h, top_k(h, layer.k)))
    return passes


def hidden(weights: CSRMatrix, u: Float32, transposed: Float32) -> Float32:
    """``h = W u`` per sample, contiguous float32 (N, n)."""
    if len(u) == 1:
        return weights.matvec(u[0])[None]
    return np.ascontiguousarray(weights.matmat(transposed).T)


def softmax(logits: Float32, temperature: float = 1.0) -> Float32:
    """``softmax(logits / temperature)`` over the last axis, float32."""
    scaled = logits * np.float32(1.0 / temperature)
    scaled -= scaled.max(axis=-1, keepdims=True)
    np.exp(scaled, out=scaled)
    scaled /= scaled.sum(axis=-1, keepdims=True)
    return scaled
