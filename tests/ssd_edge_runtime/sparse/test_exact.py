"""Exact codes: against the same sums in Python's integers, and the same bits however they are made."""

from __future__ import annotations

import dataclasses
import math
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import gradient_state

from ssd_edge_runtime.errors import EdgeModelError
from ssd_edge_runtime.network.preprocess import preprocess
from ssd_edge_runtime.sparse import exact, products
from ssd_edge_runtime.sparse.codes import Codes
from ssd_edge_runtime.sparse.csr import CSRMatrix
from ssd_edge_runtime.sparse.exact import BITS, ExactInput, ExactNetwork, code_step, sum_by_halves
from ssd_edge_runtime.sparse.sketch import Sketch


def layers(seed: int, *widths: int, density: float = 0.5, scale: float = 1.0) -> list[tuple[CSRMatrix, int]]:
    rng = np.random.default_rng(seed)
    found = []
    for d, n in pairwise(widths):
        dense = rng.standard_normal((n, d)) * (rng.random((n, d)) < density)
        dense *= scale / np.maximum(np.linalg.norm(dense, axis=1, keepdims=True), 1e-9)
        found.append((CSRMatrix.from_dense(dense.astype(np.float32)), max(1, n // 4)))
    return found


def halves(terms: list[float]) -> float:
    while len(terms) > 1:
        half = (len(terms) + 1) // 2
        terms = [a + b for a, b in zip(terms[:half], [*terms[half:], 0.0], strict=False)]
    return terms[0]


def by_integers(x: np.ndarray, given_layers: list[tuple[CSRMatrix, int]], center: np.ndarray, bits: int) -> list:
    """z of each layer of one sample, in units of its step, all sums in integers without a bound."""
    wide = [float(value) - float(mean) for value, mean in zip(x, center, strict=True)]
    norm = math.sqrt(halves([value * value for value in wide]))
    u = [round(value * (2.0**BITS / max(norm, 1e-12))) for value in wide]
    codes = []
    for number, (matrix, k) in enumerate(given_layers, 1):
        kept = bits if number == len(given_layers) else BITS
        step = code_step([matrix], 0)
        dense = matrix.to_dense().tolist()
        weights = [[round(Fraction(w) * 2**BITS / Fraction(step)) for w in row] for row in dense]
        h = [round(Fraction(sum(map(int.__mul__, row, u)), 2 ** (2 * BITS - kept))) for row in weights]
        limit = max(sorted(h)[-k - 1], 0)
        u = [max(value - limit, 0) for value in h]
        codes.append(u)
    return codes


@pytest.mark.parametrize("density", [0.1, 0.6])
@pytest.mark.parametrize("widths", [(9, 12), (30, 20, 16), (7, 24, 12, 12)])
def test_codes_are_the_sums_of_integers(widths: tuple[int, ...], density: float) -> None:
    made = layers(1, *widths, density=density)
    rng = np.random.default_rng(2)
    center = rng.random(widths[0]).astype(np.float32)
    x = rng.random((20, widths[0])).astype(np.float32)
    network = ExactNetwork(ExactInput(center), made, 16)
    found = network.codes(x)
    assert network.step == code_step([matrix for matrix, _ in made], 16)
    for sample in range(len(x)):
        expected = by_integers(x[sample], made, center, 16)
        steps = [code_step([m for m, _ in made[: n + 1]], BITS) for n in range(len(made) - 1)] + [network.step]
        for z, integer, step in zip(found, expected, steps, strict=True):
            np.testing.assert_array_equal(z.to_dense()[sample] / step, integer)


def as_bytes(codes: list[Codes]) -> list[bytes]:
    return [part for z in codes for part in (z.indptr.tobytes(), z.neurons.tobytes(), z.values.tobytes())]


INPUTS = {
    "plain": ExactInput(),
    "centered": ExactInput(np.linspace(0, 1, 33, dtype=np.float32)),
    "normalized first": ExactInput(np.full(33, 0.1, np.float32), normalized_first=True),
    "sketched": ExactInput(np.full(33, 0.3, np.float32), sketch=Sketch.draw(33, 20, 1)),
    "all": ExactInput(np.full(33, 0.1, np.float32), normalized_first=True, sketch=Sketch.draw(33, 20, 2)),
}


@pytest.mark.parametrize("before", INPUTS.values(), ids=INPUTS)
def test_inputs_are_as_a_prediction_sees_them(before: ExactInput) -> None:
    x = np.random.default_rng(8).standard_normal((9, 33)).astype(np.float32)
    names = ("center", "epsilon", "normalized_first", "sketch")
    state = dataclasses.replace(gradient_state(d=33), **{name: getattr(before, name) for name in names})
    np.testing.assert_allclose(before.integers(x) * 2.0**-BITS, preprocess(x, state), rtol=0, atol=3e-6)


@settings(max_examples=20)
@given(
    cut=st.lists(st.integers(1, 39), max_size=6), seed=st.integers(0, 1000), before=st.sampled_from(list(INPUTS))
)
def test_a_sample_has_the_same_code_in_any_batch(cut: list[int], seed: int, before: str) -> None:
    width = 33 if INPUTS[before].sketch is None else 20
    network = ExactNetwork(INPUTS[before], layers(seed, width, 400, 40, density=0.2))
    x = np.random.default_rng(seed).standard_normal((40, 33)).astype(np.float32)
    order = np.random.default_rng(seed + 1).permutation(40)
    edges = sorted({0, 40, *cut})
    parts = [network.codes(x[order[a:b]]) for a, b in pairwise(edges)]
    whole = network.codes(x[order])
    assert as_bytes([Codes.concatenate(layer) for layer in zip(*parts, strict=True)]) == as_bytes(whole)


def test_no_kernel_has_a_say(monkeypatch: pytest.MonkeyPatch) -> None:
    made = layers(3, 50, 300, density=0.3)
    x = np.random.default_rng(4).standard_normal((25, 50)).astype(np.float32)

    def found() -> list[list[bytes]]:
        network = ExactNetwork(ExactInput(), made)
        return [as_bytes(network.codes(x)), as_bytes(network.codes(x[:1]))]

    ways = [found()]
    monkeypatch.setattr(exact, "DENSE", 1.0)
    ways.append(found())
    for name in ("matvec", "matvecs"):
        monkeypatch.setattr(products, f"_csr_{name}", getattr(products, f"_public_{name}"))
    ways.append(found())

    def backwards(rows, columns, count, indptr, indices, values, x, out):
        """Each sum from its end, one product at a time."""
        for row in range(rows):
            for entry in range(indptr[row + 1] - 1, indptr[row] - 1, -1):
                out.reshape(rows, count)[row] += values[entry] * x.reshape(columns, count)[indices[entry]]

    monkeypatch.setattr(products, "_csr_matvecs", backwards)
    monkeypatch.setattr(products, "_csr_matvec", lambda n, d, *rest: backwards(n, d, 1, *rest))
    ways.append(found())
    assert all(way == ways[0] for way in ways)


@pytest.mark.parametrize("scale", [1e-30, 1e-3, 1.0, 7.0, 1e20])
def test_weights_of_any_scale(scale: float) -> None:
    x = np.random.default_rng(5).random((10, 20)).astype(np.float32)
    one = ExactNetwork(ExactInput(), layers(6, 20, 40))
    other = ExactNetwork(ExactInput(), layers(6, 20, 40, scale=scale))
    z, scaled = one.codes(x)[0].to_dense(), other.codes(x)[0].to_dense() / scale
    np.testing.assert_allclose(scaled, z, rtol=0, atol=3 * one.step)
    assert scaled.any()


@pytest.mark.parametrize("value", [0.0, 1e-45, 1e-30, 3e38])
def test_inputs_of_any_size(value: float) -> None:
    x = np.full((3, 11), value, np.float32)
    x[1, ::2] *= -1
    u = ExactInput().integers(x)
    assert np.isfinite(u).all()
    assert np.abs(u).max() <= 2**BITS
    far = ExactInput(np.full(11, -3e38, np.float32)).integers(x)
    assert np.isfinite(far).all()
    assert np.isfinite(ExactNetwork(ExactInput(), layers(1, 11, 20)).codes(x)[0].values).all()


@pytest.mark.parametrize("width", [1, 2, 3, 7, 8, 9, 1000])
def test_a_sum_by_halves_is_a_sum(width: int) -> None:
    terms = np.random.default_rng(width).integers(0, 1000, (4, width)).astype(np.float64)
    np.testing.assert_array_equal(sum_by_halves(terms.copy()), terms.sum(axis=1))


def test_too_many_active_neurons_are_refused() -> None:
    matrix = CSRMatrix(np.zeros(200_001, np.int32), np.zeros(0, np.int32), np.zeros(0, np.float32), (200_000, 3))
    with pytest.raises(EdgeModelError, match="needs k below 131072 in each layer, got 150000"):
        ExactNetwork(ExactInput(), [(matrix, 150_000), (matrix, 5)])
