"""Small random model states for the tests of the runtime."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ssd_edge_runtime.analytic.solver import solve
from ssd_edge_runtime.analytic.statistics import gather
from ssd_edge_runtime.network.exact import exact_network
from ssd_edge_runtime.network.forward import forward
from ssd_edge_runtime.network.preprocess import preprocess
from ssd_edge_runtime.options import AnalyticOptions, LearningOptions
from ssd_edge_runtime.sparse.csr import CSRMatrix
from ssd_edge_runtime.sparse.exact import CODE_BITS
from ssd_edge_runtime.sparse.sketch import Sketch
from ssd_edge_runtime.state import Layer, ModelState, Readout


def random_layer(
    rng: np.random.Generator, number: int, n: int, d: int, k: int, classes: int, density: float, uniform: bool
) -> Layer:
    dense = np.abs(rng.standard_normal((n, d)))
    if uniform:
        order = np.argsort(rng.random((n, d)), axis=1)
        mask = order < max(1, round(density * d))
    else:
        mask = rng.random((n, d)) < density
        mask[-1] = False
    dense *= mask
    dense /= np.maximum(np.linalg.norm(dense, axis=1, keepdims=True), 1e-12)
    zeros = np.zeros(n, np.int64)
    weights = CSRMatrix.from_dense(dense.astype(np.float32), mask)
    return Layer(f"hidden{number}", weights, k, zeros, zeros.copy(), np.zeros((classes, n), np.int64))


def gradient_state(
    seed: int = 0,
    d: int = 20,
    widths: tuple[int, ...] = (30,),
    k: int = 4,
    classes: int = 3,
    density: float = 1.0,
    uniform: bool = True,
    center: bool = False,
    learning: LearningOptions | None = None,
    normalized_first: bool = False,
    sketch: int | None = None,
    activation: str = "plain",
) -> ModelState:
    rng = np.random.default_rng(seed)
    layers, width = [], sketch or d
    for number, n in enumerate(widths, start=1):
        layers.append(random_layer(rng, number, n, width, k, classes, density, uniform))
        width = n
    for layer in layers:
        layer.activation = activation  # type: ignore[assignment]
    readout = Readout("gradient", np.abs(rng.standard_normal((classes, width))).astype(np.float32), None)
    return ModelState(
        input_shape=(d,),
        classes=[str(c) for c in range(classes)],
        center=rng.random(d).astype(np.float32) * (0.2 if normalized_first else 1.0) if center else None,
        epsilon=1e-12,
        layers=layers,
        readout=readout,
        learning=learning or LearningOptions(batch_size=8),
        class_samples=np.zeros(classes, np.int64),
        normalized_first=normalized_first,
        sketch=Sketch.draw(d, sketch, seed) if sketch else None,
    )


def samples(seed: int, count: int, d: int = 20, classes: int = 3) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Clusters around one random point per class."""
    rng = np.random.default_rng(seed)
    centers = np.random.default_rng(99).random((classes, d))
    y = np.arange(count) % classes
    x = centers[y] + 0.3 * rng.random((count, d))
    return x.astype(np.float32), y.astype(np.int64)


def analytic_state(
    seed: int = 0,
    d: int = 20,
    n: int = 30,
    k: int = 6,
    classes: int = 3,
    solver: str = "lda",
    count: int = 60,
    code_bits: int | None = CODE_BITS,
) -> ModelState:
    """Random features with statistics of ``count`` samples of all classes."""
    state = gradient_state(seed, d, (n,), k, classes, density=0.5, center=True)
    x, y = samples(seed, count, d, classes)
    if code_bits is None:
        codes = forward(state.layers, preprocess(x, state))[-1].codes
    else:
        codes = exact_network(state, code_bits).codes(x)[-1]
    state.analytic = AnalyticOptions(solver=solver, rho=1e-2)  # type: ignore[arg-type]
    state.learning = None
    state.statistics = gather(codes, y, classes, code_bits)
    state.readout = Readout("analytic", *solve(state.statistics, state.analytic))
    layer = state.layers[0]
    active = codes.to_dense() > 0
    layer.activation_count = active.sum(axis=0)
    layer.task_count = layer.activation_count.copy()
    layer.class_count = np.stack([active[y == c].sum(axis=0) for c in range(classes)])
    state.class_samples = np.bincount(y, minlength=classes)
    state.samples_seen = state.task_samples = count
    return state
