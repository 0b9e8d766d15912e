"""From importance to the mask of weights that are kept."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ssd_edge_export.options import Budget

Float64 = NDArray[np.float64]
Mask = NDArray[np.bool_]


def kept(entries: int, density: float) -> int:
    """``round(density * entries)``, at least 1."""
    return max(1, round(density * entries))


def masks(importance: Sequence[Float64], density: float, budget: Budget) -> list[Mask]:
    """Masks bool (n, d), one per layer, of the most important weights; ties go to the lower index.

    row: ``kept(d)`` in every row. layer: ``kept(n d)`` in every layer. global: ``kept`` of all weights, where each
    layer's importance is first divided by its mean, because layers see inputs of different scale.
    """
    if budget == "row":
        return [_largest(layer, kept(layer.shape[1], density)) for layer in importance]
    if budget == "layer":
        return [
            _largest(layer.reshape(1, -1), kept(layer.size, density)).reshape(layer.shape) for layer in importance
        ]
    scaled = [_scaled(layer).reshape(-1) for layer in importance]
    everything = np.concatenate(scaled)[None]
    mask = _largest(everything, kept(everything.size, density))[0]
    ends = np.cumsum([layer.size for layer in importance])[:-1]
    return [part.reshape(layer.shape) for part, layer in zip(np.split(mask, ends), importance, strict=True)]


def _scaled(importance: Float64) -> Float64:
    finite = importance[np.isfinite(importance)]
    mean = float(np.abs(finite).mean()) if finite.size else 0.0
    return importance / mean if mean > 0.0 else importance


def _largest(importance: Float64, count: int) -> Mask:
    """The ``count`` largest of each row of (rows, columns)."""
    mask = np.zeros(importance.shape, np.bool_)
    order = np.argsort(-importance, axis=1, kind="stable")[:, :count]
    np.put_along_axis(mask, order, True, axis=1)
    return mask
