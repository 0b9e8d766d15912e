"""A past of lessons whose statistics have one digest on every machine; as a script, it prints that of this one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np

from ssd_edge_runtime import AnalyticOptions, EdgeModel, analytic
from ssd_edge_runtime.model import rebase
from ssd_edge_runtime.sparse.csr import CSRMatrix
from ssd_edge_runtime.sparse.exact import CODE_BITS
from ssd_edge_runtime.sparse.sketch import Sketch
from ssd_edge_runtime.state import Layer, ModelState, Readout

PIXELS, SKETCHED, WIDTHS, NAMES = 64, 48, (90, 60), [str(number) for number in range(5)]


def untaught(rng: np.random.Generator) -> ModelState:
    """Two layers behind a sketch, their weights drawn as whole numbers: no machine rounds them otherwise."""
    layers, width = [], SKETCHED
    for number, n in enumerate(WIDTHS, 1):
        dense = rng.integers(-500, 500, (n, width)) * (rng.integers(0, 3, (n, width)) == 0)
        none = np.zeros(n, np.int64)
        weights = CSRMatrix.from_dense((dense / 4096).astype(np.float32))
        per_class = np.zeros((len(NAMES), n), np.int64)
        layers.append(Layer(f"hidden{number}", weights, 12, none, none.copy(), per_class))
        width = n
    return ModelState(
        input_shape=(PIXELS,),
        classes=list(NAMES),
        center=(rng.integers(0, 256, PIXELS) / 2048).astype(np.float32),
        epsilon=1e-12,
        layers=layers,
        readout=Readout("analytic", np.zeros((len(NAMES), width), np.float32), np.zeros(len(NAMES), np.float32)),
        analytic=AnalyticOptions(rho=1e-2),
        statistics=analytic.empty(width, len(NAMES), CODE_BITS),
        class_samples=np.zeros(len(NAMES), np.int64),
        normalized_first=True,
        sketch=Sketch((rng.permutation(PIXELS) % SKETCHED).astype(np.int32), np.ones(PIXELS, np.int8), SKETCHED),
    )


def digest(state: ModelState) -> str:
    """Of all that was learned: statistics and counts."""
    assert state.statistics is not None
    found = hashlib.sha256()
    arrays = [state.statistics.gram, state.statistics.class_sums, state.statistics.class_counts]
    for layer in state.layers:
        arrays += [layer.activation_count, layer.class_count]
    for array in arrays:
        found.update(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes())
    return found.hexdigest()


def learned(together: bool) -> ModelState:
    """One past, its samples one by one or in batches."""
    rng = np.random.default_rng(0)
    base = untaught(rng)
    x = rng.integers(0, 256, (200, PIXELS)).astype(np.uint8)
    y = [NAMES[number] for number in rng.integers(0, len(NAMES), 200)]

    def each(do: Callable[[Any, Any], Any], first: int, last: int) -> None:
        for start in range(first, last, 50 if together else 1):
            stop = min(start + 50, last) if together else start + 1
            do(x[start:stop], y[start:stop])

    one, other = EdgeModel(base, engine="csr"), EdgeModel(base, engine="csr")
    each(one.partial_fit, 0, 120)
    each(one.unlearn, 30, 75)
    each(other.partial_fit, 120, 160)
    old = EdgeModel.merge([one, other], base=EdgeModel(base))
    mine, new = EdgeModel(old.state), EdgeModel(old.state)
    each(mine.partial_fit, 160, 175)
    each(new.partial_fit, 175, 190)
    model = rebase(mine, old, new).rename("1", "one").forget("2")
    each(model.partial_fit, 190, 200)
    return model.state


if __name__ == "__main__":
    print(digest(learned(True)), digest(learned(False)))
