"""What exact codes cost: accuracy by the bits of a code, and the time of ``partial_fit`` against float32 codes.

``OMP_NUM_THREADS=1 python docs/lab/scripts/exact_codes.py`` prints both tables of
``docs/lab/device-learning.md`` in two minutes. Closed form on random rows over centered inputs; a sixth of
the training part is held out.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator

import numpy as np

from ssd_edge.data import load_data
from ssd_edge_runtime import AnalyticOptions, EdgeModel, analytic
from ssd_edge_runtime.sparse.csr import CSRMatrix
from ssd_edge_runtime.state import Layer, ModelState, Readout

BITS = (None, 8, 12, 16)
DATA = {"digits": (500, 100, 0.3), "fashion-mnist": (1000, 100, 0.05)}
"""Neurons, k and share of inputs kept."""
SIZES = ((784, 1000, 10, 0.05), (784, 1000, 100, 0.05), (784, 1000, 100, 1.0), (3072, 4000, 200, 0.05))
BATCHES = {1: 300, 32: 40, 512: 8}
"""Samples a call, and calls."""


def untaught(inputs: int, neurons: int, k: int, density: float, bits: int | None) -> ModelState:
    """Random rows that keep a share ``density`` of ``inputs``; ten classes, codes of ``bits``, nothing learned."""
    rng = np.random.default_rng(0)
    dense = rng.standard_normal((neurons, inputs), np.float32)
    kept = np.argsort(rng.random((neurons, inputs), np.float32), axis=1) < max(1, round(density * inputs))
    dense = np.where(kept, dense, np.float32(0.0))
    dense /= np.linalg.norm(dense, axis=1, keepdims=True)
    none = np.zeros(neurons, np.int64)
    matrix = CSRMatrix.from_dense(dense, kept)
    return ModelState(
        input_shape=(inputs,),
        classes=[str(number) for number in range(10)],
        center=rng.random(inputs, np.float32),
        epsilon=1e-12,
        layers=[Layer("hidden1", matrix, k, none, none.copy(), np.zeros((10, neurons), np.int64))],
        readout=Readout("analytic", np.zeros((10, neurons), np.float32), np.zeros(10, np.float32)),
        analytic=AnalyticOptions(),
        statistics=analytic.empty(neurons, 10, bits),
        class_samples=np.zeros(10, np.int64),
    )


def accuracies() -> Iterator[str]:
    """One row for each data set."""
    yield f"| hold-out accuracy | {' | '.join(f'{bits} bits' if bits else 'float32' for bits in BITS)} |"
    for name, (neurons, k, density) in DATA.items():
        rest, held = load_data(name).hold_out(1 / 6, 0)
        x, asked = rest.x.reshape(len(rest.x), -1), held.x.reshape(len(held.x), -1)
        found = []
        for bits in BITS:
            state = untaught(x.shape[1], neurons, k, density, bits)
            model = EdgeModel(dataclasses.replace(state, center=x.mean(axis=0)), engine="csr")
            found.append(model.partial_fit(x, rest.y).score(asked, held.y))
        yield f"| {name}, {neurons} neurons, k {k} | {' | '.join(f'{share:.4f}' for share in found)} |"


def ratios() -> Iterator[str]:
    """One row for each size: the fastest call by float32 codes and by exact ones, and the ratio of the two."""
    yield f"| `partial_fit`, ms: float32, 16 bits, ratio | {' | '.join(f'batch {batch}' for batch in BATCHES)} |"
    rng = np.random.default_rng(1)
    for inputs, neurons, k, density in SIZES:
        models = [EdgeModel(untaught(inputs, neurons, k, density, bits), engine="csr") for bits in (None, 16)]
        cells = []
        for batch, calls in BATCHES.items():
            x, y = rng.random((batch, inputs), np.float32), rng.integers(0, 10, batch)
            took: list[list[float]] = [[], []]
            for _ in range(calls + 1):
                for model, times in zip(models, took, strict=True):
                    start = time.perf_counter()
                    model.partial_fit(x, y)
                    times.append(time.perf_counter() - start)
            plain, exact = (1e3 * min(times[1:]) for times in took)
            cells.append(f"{plain:.2f}, {exact:.2f}, {exact / plain:.2f}")
        yield f"| {inputs} -> {neurons} at {density:.0%}, k {k} | {' | '.join(cells)} |"


if __name__ == "__main__":
    for line in (*accuracies(), *ratios()):
        print(line, flush=True)
