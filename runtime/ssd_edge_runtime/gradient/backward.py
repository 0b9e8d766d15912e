"""The backward pass on the sparse support: only active neurons and stored weights are visited."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ssd_edge_runtime.arrays import Float32
from ssd_edge_runtime.gradient.distill import kl_gradient
from ssd_edge_runtime.gradient.teacher_pass import Taught, dense_part
from ssd_edge_runtime.network.counting import Touched
from ssd_edge_runtime.network.forward import LayerPass
from ssd_edge_runtime.options import DistillOptions
from ssd_edge_runtime.sparse.codes import Codes
from ssd_edge_runtime.sparse.csr import CSRMatrix
from ssd_edge_runtime.sparse.products import matmat, transposed_matmat
from ssd_edge_runtime.sparse.row_index import RowIndex
from ssd_edge_runtime.state import ModelState

PRODUCTS_PER_ENTRY = 32
"""A dense product over the touched rows pays up to so many of its products per entry gathered otherwise."""


@dataclass(eq=False)
class Pairs:
    """Gradient by single activations: at (sample, neuron), ``value``; a pair may stand twice, its values add."""

    samples: NDArray[np.integer]
    neurons: NDArray[np.integer]
    values: Float32


def code_gradient(codes: Codes, by_logits: Float32, readout: Float32) -> Float32:
    """``dL/dlogits V`` at the active neurons, float32 (pairs,); ``readout`` is V^T, (n, classes)."""
    by_codes: Float32
    if len(by_logits) == 1:
        by_codes = readout.take(codes.neurons, axis=0).dot(by_logits[0])
    else:
        by_codes = np.einsum("pc,pc->p", by_logits[codes.samples()], readout[codes.neurons])
    return by_codes


def readout_gradient(codes: Codes, by_logits: Float32) -> Float32:
    """``Z^T dL/dlogits``, float32 (n, classes)."""
    return transposed_matmat(codes.shape, codes.indptr, codes.neurons, codes.values, by_logits)


def backpropagate(
    state: ModelState,
    indexes: list[RowIndex],
    passes: list[LayerPass],
    active: list[Touched],
    by_codes: Float32,
    taught: Taught | None = None,
    distill: DistillOptions | None = None,
) -> list[tuple[Pairs, Touched]]:
    """Gradient by ``h`` of every layer, from ``by_codes``, that by the codes of the last layer (pairs,).

    ``active``: per layer, the neurons among its codes.
    """
    found: list[tuple[Pairs, Touched]] = []
    for number in reversed(range(len(passes))):
        layer, own, touched = state.layers[number], passes[number], active[number]
        pairs = Pairs(own.codes.samples(), own.codes.neurons, by_codes)
        if taught is not None and distill is not None:
            pairs = _with_distillation(pairs, own, taught, number, distill)
            if distill.hidden_stage == "before":
                touched = Touched.of(pairs.neurons, layer.weights.shape[0])
        if own.gated:
            # Where g < 0 a neuron fires at h <= 0 too, and relu passes no gradient there.
            pairs.values = pairs.values * (own.h[pairs.neurons, pairs.samples] > 0.0)
        if own.scale is not None:
            pairs.values = pairs.values * own.scale_at(pairs.neurons, pairs.samples)
        found.insert(0, (pairs, touched))
        if number:
            below, rows = passes[number - 1].codes, indexes[number].extract(layer.weights, touched.rows)
            by_input = _input_gradient(rows, pairs, touched, own.u.shape[1])
            if own.scale is not None:
                by_input -= own.u * _length_gradient(rows, pairs, touched, own)
            by_codes = by_input[below.neurons, below.samples()]
    return found


def _with_distillation(
    pairs: Pairs, own: LayerPass, taught: Taught, number: int, options: DistillOptions
) -> Pairs:
    """Add the gradient of L_hidden; "after", it reaches active neurons only, "before", all that fire."""
    weight = np.float32((1.0 - options.alpha) * options.lambda_hidden)
    target, chosen = taught.hidden[number], taught.selected[number]
    if options.hidden_stage == "before":
        a = np.maximum(own.h[chosen].T, 0.0)
        gradient = weight * kl_gradient(a, target, options.temperature, options.kl)
        samples, at = np.nonzero(a > 0.0)
        return Pairs(
            np.concatenate([pairs.samples, samples]),
            np.concatenate([pairs.neurons, chosen[at]]),
            np.concatenate([pairs.values, gradient[samples, at]]),
        )
    place = taught.place[number]
    part = dense_part(own.codes, place, len(chosen))
    gradient = weight * kl_gradient(part, target, options.temperature, options.kl)
    among = place.take(pairs.neurons)
    inside = (among >= 0).nonzero()[0]
    values = pairs.values.copy()
    values[inside] += gradient[pairs.samples.take(inside), among.take(inside)]
    return Pairs(pairs.samples, pairs.neurons, values)


def weight_gradient(weights: CSRMatrix, index: RowIndex, u: Float32, pairs: Pairs, touched: Touched) -> Float32:
    """``sum of value * u[:, sample]`` on the support of the touched rows, flat float32, row after row."""
    if u.shape[1] == 1 and len(pairs.neurons) == len(touched.rows):
        values = np.empty(len(touched.rows), np.float32)
        values[touched.local] = pairs.values
        inputs: Float32 = u.ravel().take(index.take(weights.columns, touched.rows))
        inputs *= index.spread(values, touched.rows)
        return inputs
    if index.uniform is not None:
        return _uniform_gradient(weights, index.uniform, u, pairs, touched)
    if len(touched.rows) * u.size <= PRODUCTS_PER_ENTRY * int(index.lengths[pairs.neurons].sum()):
        return _product_gradient(weights, index, u, pairs, touched)
    return _ragged_gradient(weights, index, u, pairs, touched)


def _uniform_gradient(weights: CSRMatrix, length: int, u: Float32, pairs: Pairs, touched: Touched) -> Float32:
    order = np.argsort(touched.local, kind="stable")
    pointers = np.zeros(len(touched.rows) + 1, np.int32)
    np.cumsum(np.bincount(touched.local, minlength=len(touched.rows)), out=pointers[1:])
    at = weights.columns.reshape(-1, length)[pairs.neurons[order]]
    inputs = u.ravel().take(at * np.int64(u.shape[1]) + pairs.samples[order][:, None])
    here = np.arange(len(order), dtype=np.int32)
    product: Float32 = matmat((len(touched.rows), len(order)), pointers, here, pairs.values[order], inputs)
    return product.ravel()


def _product_gradient(weights: CSRMatrix, index: RowIndex, u: Float32, pairs: Pairs, touched: Touched) -> Float32:
    """One dense product over the touched rows alone, of which the support is taken: for long rows."""
    by_hidden = np.zeros((len(touched.rows), u.shape[1]), np.float32)
    np.add.at(by_hidden, (touched.local, pairs.samples), pairs.values)
    rows = np.repeat(np.arange(len(touched.rows)), index.lengths[touched.rows])
    gradient: Float32 = (by_hidden @ u.T)[rows, index.take(weights.columns, touched.rows)]
    return gradient


def _ragged_gradient(weights: CSRMatrix, index: RowIndex, u: Float32, pairs: Pairs, touched: Touched) -> Float32:
    pointers = index.pointers(touched.rows)
    lengths = index.lengths[pairs.neurons]
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if len(ends) else 0
    starts = pointers[:-1].astype(np.int64)[touched.local]
    position = np.arange(total) + np.repeat(starts - ends + lengths, lengths)
    columns = index.take(weights.columns, touched.rows)[position]
    inputs = u.ravel().take(columns * np.int64(u.shape[1]) + np.repeat(pairs.samples, lengths))
    inputs *= np.repeat(pairs.values, lengths)
    return np.bincount(position, inputs, minlength=int(pointers[-1])).astype(np.float32)


def _input_gradient(rows: CSRMatrix, pairs: Pairs, touched: Touched, samples: int) -> Float32:
    """``W^T dL/dh``, float32 (d, N), from the touched rows of W."""
    by_hidden = np.zeros((len(touched.rows), samples), np.float32)
    np.add.at(by_hidden, (touched.local, pairs.samples), pairs.values)
    return transposed_matmat(rows.shape, rows.indptr, rows.columns, rows.values, by_hidden)


def _length_gradient(rows: CSRMatrix, pairs: Pairs, touched: Touched, own: LayerPass) -> Float32:
    """What the length of its input takes off a cosine layer's gradient, by u and over u, float32 (d, N)."""
    by_length = pairs.values * own.h[pairs.neurons, pairs.samples] * own.scale_at(pairs.neurons, pairs.samples)
    lengths = Pairs(pairs.samples, pairs.neurons, by_length)
    support = CSRMatrix(rows.indptr, rows.columns, rows.ones, rows.shape)
    return _input_gradient(support, lengths, touched, own.u.shape[1])
