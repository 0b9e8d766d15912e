"""Codes that are the same bits everywhere: alone or in any batch, by any kernel, on any processor.

Inputs and weights are rounded to integers, which float64 holds. An input of norm 2^22 and a row of weights of at
most that norm have, by Cauchy and Schwarz, no partial sum of products beyond 2^44, in whatever order they are
added: every sum is exact. All else is done value by value, which IEEE 754 defines to the bit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ssd_edge_runtime.arrays import Float32, Float64
from ssd_edge_runtime.errors import EdgeModelError
from ssd_edge_runtime.sparse.codes import Codes
from ssd_edge_runtime.sparse.csr import CSRMatrix
from ssd_edge_runtime.sparse.products import matmat, matvec
from ssd_edge_runtime.sparse.sketch import Sketch
from ssd_edge_runtime.sparse.topk import top_k
from ssd_edge_runtime.sparse.workspace import workspace

BITS = 22
"""Of inputs, of weights, and of the codes of all layers but the last."""
CODE_BITS = 16
"""Of the last layer's codes: products of two have 32, of which float64 adds up two million of the largest."""
LEAST_BITS = 8
MOST_ACTIVE = 1 << 17
"""Neurons active in a layer behind which there is another: a code of more could be longer than 2^30."""
DENSE = 0.25
"""A matrix of a larger share of entries is multiplied as a dense one,"""
WIDEST = 4_000_000
"""if it has no more places than this: a float64 copy of it is held."""


def code_step(weights: Sequence[CSRMatrix], bits: int) -> float:
    """What exact codes behind ``weights``, layer by layer, are multiples of: a power of two."""
    return math.ldexp(1.0, sum(map(_exponent, weights)) - bits)


def _exponent(weights: CSRMatrix) -> int:
    """The least e such that no row is longer than 2^e, give or take a rounding of rows of length 1."""
    norms = np.sqrt(np.bincount(weights.row_of_entry(), weights.values.astype(np.float64) ** 2))
    return math.frexp(float(norms.max(initial=0.0)) * 0.99)[1]


class ExactLayer:
    """``rint(W u)`` in units of the layer's ``step``, for u in units of the step of what is before it."""

    def __init__(self, weights: CSRMatrix, k: int, before: float, bits: int) -> None:
        """``before``: the length that an input of norm 2^22 stands for, a power of two."""
        self._weights, self._k = weights, k
        exponent = _exponent(weights)
        self.length = math.ldexp(before, exponent)
        """What a code of 2^bits stands for."""
        self.step = math.ldexp(self.length, -bits)
        """Codes are multiples of it."""
        self._shift = math.ldexp(1.0, bits - 2 * BITS)
        self._values: Float64 = np.rint(np.ldexp(weights.values.astype(np.float64), BITS - exponent))
        self._dense: Float64 | None = None
        places = weights.shape[0] * weights.shape[1]
        if weights.nonzeros > DENSE * places and places <= WIDEST:
            self._dense = np.zeros(weights.shape)
            self._dense[weights.row_of_entry(), weights.columns] = self._values

    def codes(self, u: Float64) -> Codes:
        """z float32 (N, n), of integers ``u`` float64 (columns, N)."""
        h = self._product(u)
        h *= self._shift
        np.rint(h, out=h)
        a: Float32 = workspace.array("exact.a", h.shape)
        np.multiply(h, self.step, out=a, casting="same_kind")
        return top_k(a, self._k)

    def _product(self, u: Float64) -> Float64:
        shape, indptr, columns = self._weights.shape, self._weights.indptr, self._weights.columns
        out = workspace.array("exact.h", (shape[0], u.shape[1]), np.float64)
        if self._dense is not None:
            return np.matmul(self._dense, u, out=out)
        if u.shape[1] == 1:
            one: Float64 = out.ravel()
            return matvec(shape, indptr, columns, self._values, u[:, 0], one).reshape(-1, 1)
        return matmat(shape, indptr, columns, self._values, u, out)


@dataclass(frozen=True, eq=False)
class ExactInput:
    """What stands before the first layer, in integers: an input of length 1 is one of length 2^22."""

    center: Float32 | None = None
    epsilon: float = 1e-12
    normalized_first: bool = False
    sketch: Sketch | None = None

    @cached_property
    def _signs(self) -> Float64:
        assert self.sketch is not None
        return self.sketch.matrix.values.astype(np.float64)

    def integers(self, x: Float32) -> Float64:
        """u, float32 (N, d) -> contiguous float64 (width, N)."""
        v = x.astype(np.float64)
        if self.normalized_first:
            v = unit_rows(v, self.epsilon)
            v *= 2.0**-BITS
        if self.center is not None:
            v -= self.center
        if self.sketch is not None:
            # The sums of a sketch are exact too: those of an input of length 1 as well as of any other.
            columns = np.ascontiguousarray(unit_rows(v, self.epsilon).T)
            matrix = self.sketch.matrix
            v = matmat(matrix.shape, matrix.indptr, matrix.columns, self._signs, columns).T
        out = workspace.array("exact.u", v.shape[::-1], np.float64)
        np.copyto(out, unit_rows(v, self.epsilon).T)
        return out


def unit_rows(v: Float64, epsilon: float) -> Float64:
    """``rint(2^22 v / max(||v||, epsilon))`` of each row, float64 (N, d)."""
    scale = 2.0**BITS / np.maximum(np.sqrt(sum_by_halves(np.square(v))), epsilon)
    scaled: Float64 = v * scale[:, None]
    return np.rint(scaled, out=scaled)


class ExactNetwork:
    """The codes that an analytic readout learns from.

    A code z differs from the one that predictions are made of by roundings to 2^-22 of inputs and weights and to
    2^-16 of z, relative to an input and a row of W of length 1.
    """

    def __init__(self, before: ExactInput, layers: Sequence[tuple[CSRMatrix, int]], bits: int = CODE_BITS) -> None:
        """``layers``: W and k of each; ``bits``: of the last layer's codes."""
        for _, k in layers[:-1]:
            EdgeModelError.unless(
                k < MOST_ACTIVE, f"an analytic readout needs k below {MOST_ACTIVE} in each layer, got {k}"
            )
        self.bits = bits
        """Of the last layer's codes."""
        self._before = before
        self._layers: list[ExactLayer] = []
        length = 1.0
        for number, (weights, k) in enumerate(layers, 1):
            self._layers.append(ExactLayer(weights, k, length, bits if number == len(layers) else BITS))
            length = self._layers[-1].length

    @property
    def step(self) -> float:
        """The last layer's codes are multiples of it, a power of two."""
        return self._layers[-1].step

    def codes(self, x: Float32) -> list[Codes]:
        """z of every layer, of samples float32 (N, d) that are finite."""
        u = self._before.integers(x)
        codes: list[Codes] = []
        for layer in self._layers:
            if codes:
                u = codes[-1].to_columns().astype(np.float64)
                u *= 1.0 / self._layers[len(codes) - 1].step
            codes.append(layer.codes(u))
        return codes


def sum_by_halves(terms: Float64) -> Float64:
    """Sums over the last axis of ``terms`` (N, d), which are overwritten: the second half is added to the first,
    until one is left. No library and no processor has a say in that order.
    """
    width = terms.shape[1]
    while width > 1:
        half = (width + 1) // 2
        terms[:, : width - half] += terms[:, half:width]
        width = half
    return terms[:, 0]
