"""The Top-K activation with subtraction and its sparse result (Bricken et al., ICLR 2023, inference form)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ssd_edge_runtime.arrays import Float32
from ssd_edge_runtime.sparse.codes import Codes
from ssd_edge_runtime.sparse.workspace import workspace

GROUPS = 4
"""Groups of neurons per k + 1 in the screen: more make the bound tighter and the screen dearer."""
SCREEN = 40
"""Layers with at least so many neurons per k + 1 are screened; below that partitioning whole rows is faster."""


def top_k(h: Float32, k: int) -> Codes:
    """``z = relu(a - I)``, ``a = relu(h)``, ``I`` the (k+1)-th largest of ``a``, for each column of ``h``.

    ``h`` float32 (n, N), contiguous, one sample a column, 1 <= k < n. Ties at the threshold are all inactive.
    """
    neurons, samples = h.shape
    if samples == 1:
        return _top_k_of_one(h[:, 0], k)
    if neurons >= SCREEN * (k + 1):
        return _top_k_screened(h, k)
    rows = workspace.array("top_k.rows", (samples, neurons))
    np.copyto(rows, h.T)
    return Codes.above(rows, thresholds(rows, k))


def top_k_gated(h: Float32, k: int, gate: Float32) -> Codes:
    """``z = relu(a - g I)`` for each column of ``h``, ``gate`` g float32 (n,), as while the GABA switch closes.

    ``h`` float32 (n, N), contiguous; neurons with g < 0 may fire at ``h <= 0``.
    """
    rows = workspace.array("top_k.rows", h.shape[::-1])
    np.copyto(rows, h.T)
    np.maximum(rows, np.float32(0.0), out=rows)
    limits = np.multiply(thresholds(rows, k)[:, None], gate, out=workspace.array("top_k.limits", rows.shape))
    return Codes.from_dense(np.subtract(rows, limits, out=rows))


def thresholds(rows: Float32, k: int) -> Float32:
    """``I`` per sample, float32 (N,): the (k+1)-th largest of ``relu`` of each of ``rows`` (N, n)."""
    place = rows.shape[1] - k - 1
    scratch = workspace.array("top_k.scratch", rows.shape)
    np.copyto(scratch, rows)
    scratch.partition(place, axis=1)
    found: Float32 = np.maximum(scratch[:, place], np.float32(0.0))
    return found


def _top_k_of_one(h: Float32, k: int) -> Codes:
    place = len(h) - k - 1
    scratch = h.copy()
    scratch.partition(place)
    threshold = max(scratch[place], np.float32(0.0))
    neurons = (h > threshold).nonzero()[0]
    values = h.take(neurons)
    values -= threshold
    return Codes(np.array([0, len(neurons)], np.int32), neurons.astype(np.int32), values, (1, len(h)))


def _top_k_screened(h: Float32, k: int) -> Codes:
    """Screen with a bound first: the (k+1)-th largest of the maxima of disjoint groups is at most ``I``."""
    neurons, samples = h.shape
    groups = GROUPS * (k + 1)
    depth = neurons // groups
    flat, main = h.ravel(), depth * groups * samples
    maxima = flat[:main].reshape(depth, groups * samples).max(axis=0).reshape(groups, samples)
    maxima.partition(groups - k - 1, axis=0)
    below = np.nextafter(maxima[groups - k - 1], np.float32(-np.inf))
    np.maximum(below, np.float32(0.0), out=below)
    tiled = np.tile(below, groups)
    mask = workspace.array("top_k.mask", (len(flat),), np.bool_)
    np.greater(flat[:main].reshape(depth, -1), tiled, out=mask[:main].reshape(depth, -1))
    np.greater(flat[main:], tiled[: len(flat) - main], out=mask[main:])
    place = mask.nonzero()[0]
    return _exact(h.shape, place, flat[place], k)


def _exact(shape: tuple[int, int], place: NDArray[np.intp], values: Float32, k: int) -> Codes:
    """The Top-K among candidates, entries of ``h`` at flat places that hold each sample's k + 1 largest."""
    neurons, samples = shape
    neuron, sample = np.divmod(place, samples)
    order = np.argsort(sample, kind="stable")
    sample, neuron, values = sample[order], neuron[order], values[order]
    counts = np.bincount(sample, minlength=samples)
    width = max(int(counts.max()), k + 1)
    padded = np.zeros((samples, width), np.float32)
    padded[sample, np.arange(len(sample)) - np.repeat(np.cumsum(counts) - counts, counts)] = values
    padded.partition(width - k - 1, axis=1)
    z = values - padded[sample, width - k - 1]
    keep = (z > 0.0).nonzero()[0]
    indptr = np.zeros(samples + 1, np.int32)
    np.cumsum(np.bincount(sample[keep], minlength=samples), out=indptr[1:])
    return Codes(indptr, neuron[keep].astype(np.int32), z[keep], (samples, neurons))
