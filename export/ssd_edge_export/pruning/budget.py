"""From importance to the mask of weights that are kept."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ssd_edge_export.options import Budget
from ssd_edge_runtime.arrays import Float64, Int64

Mask = NDArray[np.bool_]

NEVER_FIRED = 1e-9
"""Counts of neurons that never fired: they share what is left when all others have their whole rows."""
HALVINGS = 100


def kept(entries: int, density: float) -> int:
    """``round(density * entries)``, at least 1."""
    return max(1, round(density * entries))


def masks(
    importance: Sequence[Float64], densities: Sequence[float], budget: Budget, shares: Sequence[Int64] = ()
) -> list[Mask]:
    """Masks bool (n, d), one per layer, of the most important weights, of each layer its density; ties go to the
    lower index.

    row: ``kept(d)`` in every row. firing: as ``shares`` says, int64 (n,) per layer. layer: ``kept(n d)`` in every
    layer. global: ``kept`` of all weights, where each layer's importance is first divided by its mean,
    because layers see inputs of different scale.
    """
    if budget == "row":
        rows = zip(importance, densities, strict=True)
        return [_largest(layer, kept(layer.shape[1], density)) for layer, density in rows]
    if budget == "firing":
        return [_largest(layer, share) for layer, share in zip(importance, shares, strict=True)]
    if budget == "layer":
        return [
            _largest(layer.reshape(1, -1), kept(layer.size, density)).reshape(layer.shape)
            for layer, density in zip(importance, densities, strict=True)
        ]
    assert budget == "global", budget
    scaled = [_scaled(layer).reshape(-1) for layer in importance]
    everything = np.concatenate(scaled)[None]
    count = sum(layer.size * density for layer, density in zip(importance, densities, strict=True))
    mask = _largest(everything, max(1, round(count)))[0]
    ends = np.cumsum([layer.size for layer in importance])[:-1]
    return [part.reshape(layer.shape) for part, layer in zip(np.split(mask, ends), importance, strict=True)]


def firing_shares(counts: Int64, least: Int64, most: Int64, total: int) -> Int64:
    """How many weights each row keeps, int64 (n,): in proportion to the square root of its firing ``counts``.

    If the error of a row falls as one over its weights, this is where ``sum counts_i / shares_i`` is smallest for
    the given ``total`` (Neyman 1934 has the same for samples of strata). Each row has at least ``least`` and at
    most ``most``; rows of neurons that never fired get more than their least only once all others have their most.
    """
    wanted = np.sqrt(np.maximum(counts, NEVER_FIRED))
    low, high = 0.0, float(most.max(initial=1)) / float(wanted.min())
    for _ in range(HALVINGS):
        level = (low + high) / 2.0
        fits = np.clip(np.floor(level * wanted), least, most).sum() <= total
        low, high = (level, high) if fits else (low, level)
    shares = np.clip(np.floor(low * wanted), least, most).astype(np.int64)
    order = np.argsort(-wanted, kind="stable")
    open_rows = order[shares[order] < most[order]]
    shares[open_rows[: max(0, total - int(shares.sum()))]] += 1
    return shares


def _scaled(importance: Float64) -> Float64:
    finite = importance[np.isfinite(importance)]
    mean = float(np.abs(finite).mean()) if finite.size else 0.0
    return importance / mean if mean > 0.0 else importance


def _largest(importance: Float64, count: int | Int64) -> Mask:
    """The ``count`` largest of each row of (rows, columns); one count for all, or one per row."""
    mask = np.zeros(importance.shape, np.bool_)
    order = np.argsort(-importance, axis=1, kind="stable")
    first = np.arange(importance.shape[1]) < np.reshape(count, (-1, 1))
    np.put_along_axis(mask, order, np.broadcast_to(first, mask.shape), axis=1)
    return mask
