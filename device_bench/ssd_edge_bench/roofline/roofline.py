"""What this machine could do at best: short probes, work counted from the model, and measured against the bound.

The roofline model (Williams, Waterman and Patterson, CACM 2009): an operation that moves B bytes and computes F
operations takes at least ``max(B / bandwidth, F / rate)``.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ssd_edge_runtime.state import ModelState

PROBE_SECONDS = 0.15
DRAM_BYTES = 1 << 27
GEMM_SIZE = 384
FLOAT, INDEX, DOUBLE = 4, 4, 8


@dataclass(frozen=True)
class Work:
    """What one call moves and computes at least."""

    bytes: float
    operations: float
    """Multiplications and additions, counted separately."""


@dataclass(frozen=True)
class Ceilings:
    """What the machine reaches in the probes, on one thread."""

    bytes_per_second: float
    """Reading a working set of the size of the model's weights, again and again."""
    dram_bytes_per_second: float
    """Reading memory that no cache holds."""
    operations_per_second: float
    """A dense float32 matrix product."""
    instructions_per_second: float = math.nan
    """Branching code, counted as 7-Zip's benchmark counts while it decodes; only estimates need it."""

    def bound(self, work: Work) -> float:
        """Seconds that ``work`` takes at least."""
        return max(work.bytes / self.bytes_per_second, work.operations / self.operations_per_second)

    def limited_by(self, work: Work) -> str:
        """``bandwidth`` or ``arithmetic``."""
        moving = work.bytes / self.bytes_per_second >= work.operations / self.operations_per_second
        return "bandwidth" if moving else "arithmetic"


def read_rate(size: int) -> float:
    """Bytes a second that a dot product of two float32 vectors reads, ``size`` bytes together."""
    a = np.ones(max(size // (2 * FLOAT), 1), np.float32)
    b = a.copy()
    return 2 * a.nbytes / best_seconds(lambda: a.dot(b))


def product_rate() -> float:
    """Operations a second of a float32 matrix product."""
    a = np.ones((GEMM_SIZE, GEMM_SIZE), np.float32)
    return 2 * GEMM_SIZE**3 / best_seconds(lambda: a @ a)


def best_seconds(call: Callable[[], object]) -> float:
    """Seconds of the fastest call within the time of a probe: a ceiling is what is possible, not usual."""
    call()
    best, end = float("inf"), time.perf_counter() + PROBE_SECONDS
    while time.perf_counter() < end:
        begun = time.perf_counter_ns()
        call()
        best = min(best, (time.perf_counter_ns() - begun) / 1e9)
    return best


def weight_bytes(state: ModelState, *, dense: bool = False) -> int:
    """Bytes of weights that a prediction reads: values and columns of the compressed rows, or dense float32."""
    hidden = 0
    for layer in state.layers:
        rows, columns = layer.weights.shape
        nonzeros = layer.weights.nonzeros
        hidden += rows * columns * FLOAT if dense else nonzeros * (FLOAT + INDEX) + (rows + 1) * INDEX
    return hidden + state.readout.weights.size * FLOAT


def count(state: ModelState, operation: str, batch: int, *, dense: bool = False) -> Work | None:
    """The least work of one call, or None for an operation that is not counted (start, solve, save)."""
    if operation == "predict":
        return _predict(state, batch, dense)
    if operation == "learn" and not dense:
        return _learn_closed(state, batch) if state.readout.kind == "analytic" else _learn_gradient(state, batch)
    return None


def _predict(state: ModelState, batch: int, dense: bool) -> Work:
    """Every weight is read once per call and used once per sample; activations are written and read once."""
    classes, n = state.readout.weights.shape
    k = state.layers[-1].k
    moved = weight_bytes(state, dense=dense) - (0 if dense else (n - min(n, batch * k)) * classes * FLOAT)
    operations = float(3 * batch * state.input_width + 2 * batch * (n if dense else k) * classes)
    for layer in state.layers:
        rows, columns = layer.weights.shape
        moved += batch * FLOAT * (columns + 2 * rows)
        operations += batch * (2 * (rows * columns if dense else layer.weights.nonzeros) + rows)
    return Work(float(moved), operations)


def _learn_gradient(state: ModelState, batch: int) -> Work:
    """Forward, then gradient, update and normalization of the rows that were active."""
    forward = _predict(state, batch, dense=False)
    moved, operations = forward.bytes, forward.operations
    for layer in state.layers:
        rows = layer.weights.shape[0]
        per_row = layer.weights.nonzeros / rows
        touched = min(rows, batch * layer.k) * per_row
        moved += 2 * touched * FLOAT
        operations += 2 * batch * layer.k * per_row + 5 * touched
    return Work(moved, operations + 4 * batch * state.layers[-1].k * len(state.classes))


def _learn_closed(state: ModelState, batch: int) -> Work:
    """Forward, then k (k + 1) / 2 entries of the packed Gram matrix per sample, or one dense product per batch."""
    forward = _predict(state, batch, dense=False)
    n, k = state.layers[-1].weights.shape[0], state.layers[-1].k
    entries = min(batch * k * (k + 1) // 2, n * (n + 1) // 2)
    moved = forward.bytes + 2 * entries * DOUBLE
    return Work(moved, forward.operations + batch * k * (k + 1))


def describe(
    state: ModelState, sparse: Ceilings, dense: Ceilings, results: list[dict[str, Any]]
) -> dict[str, Any]:
    """``roofline`` of the document: the ceilings, and each counted row's bound and share of it.

    ``sparse``, ``dense``: ceilings for the working set of either form of the weights.
    """
    rows = []
    for row in results:
        full = row["engine"] != "csr"
        work = count(state, row["operation"], row["batch"], dense=full)
        if work is None or row["engine"] == "onnxruntime-int8":
            continue
        ceilings = dense if full else sparse
        bound = ceilings.bound(work) * 1e6
        rows.append(
            {
                **{key: row[key] for key in ("engine", "operation", "batch")},
                "bytes": work.bytes,
                "operations": work.operations,
                "bound_us": bound,
                "limited_by": ceilings.limited_by(work),
                "share_of_bound": bound / row["p50_us"],
            }
        )
    return {
        "bytes_per_second": sparse.bytes_per_second,
        "bytes_per_second_dense": dense.bytes_per_second,
        "dram_bytes_per_second": sparse.dram_bytes_per_second,
        "operations_per_second": sparse.operations_per_second,
        "instructions_per_second": sparse.instructions_per_second,
        "working_set_bytes": weight_bytes(state),
        "rows": rows,
    }
