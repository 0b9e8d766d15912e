from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import settings

from ssd_edge_runtime.model_file import round_state
from ssd_edge_runtime.options import AnalyticOptions, LearningOptions
from ssd_edge_runtime.sparse.csr import CSRMatrix
from ssd_edge_runtime.sparse.sketch import Sketch
from ssd_edge_runtime.state import Layer, ModelState, Readout, Statistics, StoredTeacher

# Examples are small; how long one takes says more about the machine's other work than about the code.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

MakeState = Callable[..., ModelState]


def sparse(rng: np.random.Generator, rows: int, width: int, density: float) -> CSRMatrix:
    mask = rng.random((rows, width)) < density
    return CSRMatrix.from_dense(rng.standard_normal((rows, width)).astype(np.float32), mask)


def counts(rng: np.random.Generator, *shape: int) -> np.ndarray[Any, Any]:
    return rng.integers(0, 1000, shape)


def make_teacher(rng: np.random.Generator, layers: list[Layer], classes: int) -> StoredTeacher:
    rows = [np.unique(rng.integers(0, layer.weights.shape[0], 3)).astype(np.int32) for layer in layers]
    entries = [int(np.diff(layer.weights.indptr)[r].sum()) for layer, r in zip(layers, rows, strict=True)]
    return StoredTeacher(
        classes=classes,
        selected=[np.arange(layer.k, dtype=np.int32) for layer in layers],
        rows=rows,
        values=[rng.standard_normal(count).astype(np.float32) for count in entries],
        readout_columns=np.array([0, 2], np.int32),
        readout_values=rng.standard_normal((classes, 2)).astype(np.float32),
    )


def build_state(
    *,
    hidden: tuple[int, ...] = (20,),
    input_shape: tuple[int, ...] = (30,),
    classes: int = 3,
    k: int = 3,
    density: float = 0.2,
    values: str = "float32",
    readout: str = "gradient",
    center: bool = True,
    teacher: bool = False,
    switch: float | None = None,
    normalized_first: bool = False,
    sketch: int | None = None,
    activation: str = "plain",
    seed: int = 0,
) -> ModelState:
    """A small random model with learning state; weights are rounded to what ``values`` holds."""
    rng = np.random.default_rng(seed)
    width = int(np.prod(input_shape))
    widths = (sketch or width, *hidden)
    layers = [
        Layer(
            name=f"hidden{at}",
            weights=sparse(rng, widths[at], widths[at - 1], density),
            k=k,
            activation_count=counts(rng, widths[at]),
            task_count=counts(rng, widths[at]),
            class_count=counts(rng, classes, widths[at]),
            inhibition_count=None if switch is None else counts(rng, widths[at]),
            activation=activation,  # type: ignore[arg-type]
        )
        for at in range(1, len(widths))
    ]
    n, analytic = hidden[-1], readout == "analytic"
    statistics = None
    if analytic:
        gram = rng.standard_normal(n * (n + 1) // 2)
        statistics = Statistics(gram, rng.standard_normal((classes, n)), counts(rng, classes))
    state = ModelState(
        input_shape=input_shape,
        classes=[f"class {number}" for number in range(classes)],
        center=rng.random(width, np.float32) if center else None,
        epsilon=1e-12,
        layers=layers,
        readout=Readout(
            kind="analytic" if analytic else "gradient",
            weights=rng.standard_normal((classes, n)).astype(np.float32),
            bias=rng.standard_normal(classes).astype(np.float32) if analytic else None,
        ),
        temperature=0.7,
        values_type=values,  # type: ignore[arg-type]
        learning=None if analytic else LearningOptions(switch=switch),
        analytic=AnalyticOptions() if analytic else None,
        statistics=statistics,
        teacher=make_teacher(rng, layers, classes - 1) if teacher else None,
        samples_seen=123,
        task_samples=45,
        class_samples=counts(rng, classes),
        provenance={"method": "ssd", "note": "höher"},
        normalized_first=normalized_first,
        sketch=Sketch.draw(width, sketch, seed) if sketch else None,
    )
    return round_state(state)


@pytest.fixture(scope="session")
def make_state() -> MakeState:
    return build_state
