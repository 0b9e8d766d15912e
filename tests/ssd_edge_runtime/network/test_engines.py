"""One function, every engine: the same logits to float tolerance."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import analytic_state, gradient_state, samples

from ssd_edge_runtime import EdgeModel, EdgeModelError
from ssd_edge_runtime.network.engines import SETTLED, CSREngine, choose
from ssd_edge_runtime.state import ModelState


def dense_logits(state: ModelState, x: np.ndarray) -> np.ndarray:
    """The function by its definition, in float64."""
    u = x.astype(np.float64) - (0.0 if state.center is None else state.center)
    u /= np.maximum(np.linalg.norm(u, axis=1, keepdims=True), state.epsilon)
    for layer in state.layers:
        a = np.maximum(u @ layer.weights.to_dense().T.astype(np.float64), 0.0)
        u = np.maximum(a - np.sort(a, axis=1)[:, -layer.k - 1, None], 0.0)
    return u @ state.readout.weights.T + (0.0 if state.readout.bias is None else state.readout.bias)


STATES = {
    "dense": lambda: gradient_state(),
    "pruned": lambda: gradient_state(density=0.2, center=True),
    "ragged": lambda: gradient_state(density=0.2, uniform=False),
    "two layers": lambda: gradient_state(widths=(40, 25), density=0.5),
    "one neuron": lambda: gradient_state(widths=(2,), k=1),
    "analytic": lambda: analytic_state(),
}


@pytest.mark.parametrize("name", STATES)
@pytest.mark.parametrize("engine", ["csr", "onnxruntime"])
@pytest.mark.parametrize("batch", [1, 2, 33, 300])
def test_engines_compute_the_function(name: str, engine: str, batch: int) -> None:
    if engine == "onnxruntime":
        pytest.importorskip("onnxruntime")
    state = STATES[name]()
    x, _ = samples(1, batch)
    expected = dense_logits(state, x)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(EdgeModel(state, engine=engine).logits(x), expected, rtol=1e-5, atol=1e-5 * scale)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    d=st.integers(1, 12),
    widths=st.lists(st.integers(2, 12), min_size=1, max_size=3),
    density=st.floats(0.05, 1.0),
    uniform=st.booleans(),
    center=st.booleans(),
    count=st.integers(1, 5),
)
def test_engines_agree(
    seed: int, d: int, widths: list[int], density: float, uniform: bool, center: bool, count: int
) -> None:
    pytest.importorskip("onnxruntime")
    state = gradient_state(seed, d, tuple(widths), k=1, density=density, uniform=uniform, center=center, classes=2)
    x = np.random.default_rng(seed).standard_normal((count, d)).astype(np.float32)
    csr, onnx = (EdgeModel(state, engine=engine).logits(x) for engine in ("csr", "onnxruntime"))
    np.testing.assert_allclose(csr, onnx, rtol=1e-5, atol=1e-5 * max(1.0, np.abs(onnx).max()))


@pytest.mark.parametrize("engine", ["csr", "onnxruntime"])
@pytest.mark.parametrize("scale", [0.0, 1e-30, 1e30])
def test_extreme_inputs_stay_finite(engine: str, scale: float) -> None:
    if engine == "onnxruntime":
        pytest.importorskip("onnxruntime")
    model = EdgeModel(gradient_state(), engine=engine)
    assert np.isfinite(model.logits(np.full((2, 20), scale))).all()


def test_huge_inputs_are_normalized_like_any_other() -> None:
    model = EdgeModel(gradient_state(), engine="csr")
    x, _ = samples(1, 3)
    np.testing.assert_allclose(model.logits(x * 1e30), model.logits(x), rtol=1e-5)


def test_onnxruntime_follows_what_was_learned() -> None:
    pytest.importorskip("onnxruntime")
    model = EdgeModel(gradient_state(density=0.5), engine="onnxruntime")
    x, _ = samples(1, 40, classes=4)
    for seed in range(4):
        model.logits(x)
        model.partial_fit(*samples(seed, 16, classes=4))
        np.testing.assert_allclose(model.logits(x), CSREngine(model.state).logits(x), rtol=1e-5, atol=1e-6)


def test_auto_leaves_onnxruntime_alone_for_sparse_wide_or_changing_models() -> None:
    pytest.importorskip("onnxruntime")
    dense, sparse = gradient_state(), gradient_state(density=0.1)
    assert choose(dense, 32, SETTLED) == "onnxruntime"
    assert choose(dense, 1, SETTLED) == "csr"
    assert choose(dense, 32, 0) == "csr"
    assert choose(sparse, 32, SETTLED) == "csr"


def test_without_onnxruntime_csr_works_and_asking_for_it_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    x, _ = samples(1, 4)
    assert EdgeModel(gradient_state(), engine="csr").logits(x).shape == (4, 3)
    with pytest.raises(EdgeModelError, match="pip install onnxruntime"):
        EdgeModel(gradient_state(), engine="onnxruntime").logits(x)


def test_a_small_file_of_a_huge_dense_matrix_is_not_unfolded(
    make_state: Callable[..., ModelState], monkeypatch: pytest.MonkeyPatch
) -> None:
    """ONNX Runtime would rebuild the 20 x 30 matrix five times over on the way."""
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=20 * 30 * 4 * 5 - 1))
    x = np.ones((1, 30), np.float32)
    with pytest.raises(EdgeModelError, match=r"needs about 0 MiB to unfold .* use engine='csr'"):
        EdgeModel(make_state(), engine="onnxruntime").predict(x)
    EdgeModel(make_state(), engine="csr").predict(x)
