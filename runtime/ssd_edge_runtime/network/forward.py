"""The forward pass on compressed rows: Top-K layers, codes. Cost follows the non-zeros.

Samples stand in columns throughout, the layout in which a product with compressed rows is fast.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ssd_edge_runtime.arrays import Float32
from ssd_edge_runtime.sparse.codes import Codes
from ssd_edge_runtime.sparse.csr import CSRMatrix
from ssd_edge_runtime.sparse.topk import top_k, top_k_gated
from ssd_edge_runtime.sparse.workspace import workspace
from ssd_edge_runtime.state import COSINE_EPSILON, Layer

BLOCK_VALUES = 2**17
"""Values of a block of samples, half a megabyte: larger blocks fall out of the cache between two rows of W."""


@dataclass(eq=False)
class LayerPass:
    """What one layer saw and did with N samples; work arrays, good until this thread's next forward pass."""

    u: Float32
    """Its input, contiguous (d, N)."""
    h: Float32
    """``W u``, contiguous (n, N); with the cosine activation times ``scale``."""
    codes: Codes
    """``z``, N samples over n neurons; not a work array."""
    gated: bool = False
    """Whether some neurons were inhibited in part: more may have fired than are in the Top-K."""
    scale: Float32 | None = None
    """Cosine: one over the length of what each row sees, (n, N), or (1, N) where all rows see everything."""

    def scale_at(self, neurons: NDArray[np.integer], samples: NDArray[np.integer]) -> Float32:
        """``scale`` at pairs."""
        assert self.scale is not None
        found: Float32 = self.scale[neurons if len(self.scale) > 1 else 0, samples]
        return found


def block_size(width: int) -> int:
    """Samples of ``width`` values that go through the first layer together: what a second-level cache holds."""
    return min(256, max(32, BLOCK_VALUES // width))


def forward(layers: Sequence[Layer], u: Float32, switch: float | None = None) -> list[LayerPass]:
    """Every layer in turn for preprocessed ``u`` float32 (d, N); each reads the codes of the one before.

    ``switch``: s of the GABA switch, for learning; None for complete inhibition.
    """
    passes: list[LayerPass] = []
    for layer in layers:
        if passes:
            u = passes[-1].codes.to_columns()
        h = workspace.array(layer.name, (layer.weights.shape[0], u.shape[1]))
        hidden(layer.weights, u, h)
        scale = None
        if layer.activation == "cosine":
            scale = cosine_scale(layer.weights, u, workspace.array(f"{layer.name}.scale", h.shape))
            h *= scale
        gate = layer.gate(switch)
        codes = top_k(h, layer.k) if gate is None else top_k_gated(h, layer.k, gate)
        passes.append(LayerPass(u, h, codes, gated=gate is not None, scale=scale))
    return passes


def cosine_scale(weights: CSRMatrix, u: Float32, out: Float32 | None = None) -> Float32:
    """``1 / sqrt(sum u_j^2 + COSINE_EPSILON)``, j over each row's support: float32 (d, N) -> (n, N).

    (1, N) for a matrix without gaps. ``out``: contiguous float32 (n, N) to write into and return.
    """
    squares = np.square(u, out=workspace.array("squares", u.shape))
    if weights.nonzeros == weights.shape[0] * weights.shape[1]:
        seen: Float32 = squares.sum(axis=0, keepdims=True)
    else:
        seen = weights.sums(squares, out)
    seen += np.float32(COSINE_EPSILON)
    np.sqrt(seen, out=seen)
    return np.reciprocal(seen, out=seen)


def hidden(weights: CSRMatrix, u: Float32, out: Float32 | None = None) -> Float32:
    """``h = W u``, contiguous float32 (d, N) -> (n, N)."""
    if u.shape[1] > 1:
        return weights.matmat(u, out)
    return weights.matvec(u.ravel(), None if out is None else out.ravel()).reshape(-1, 1)


def softmax(logits: Float32, temperature: float = 1.0) -> Float32:
    """``softmax(logits / temperature)`` over the last axis, float32."""
    scaled = logits * np.float32(1.0 / temperature)
    scaled -= np.maximum.reduce(scaled, axis=-1, keepdims=True)
    np.exp(scaled, out=scaled)
    scaled /= np.add.reduce(scaled, axis=-1, keepdims=True)
    return scaled


def log_softmax(x: Float32) -> Float32:
    """``log softmax`` over the last axis."""
    shifted: Float32 = x - np.maximum.reduce(x, axis=-1, keepdims=True)
    shifted -= np.log(np.add.reduce(np.exp(shifted), axis=-1, keepdims=True))
    return shifted
