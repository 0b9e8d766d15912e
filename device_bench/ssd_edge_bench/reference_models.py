"""Models with random sparse rows: their cost is that of trained ones, and nothing has to be trained."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ssd_edge_runtime import analytic
from ssd_edge_runtime.arrays import Float32
from ssd_edge_runtime.options import AnalyticOptions, LearningOptions
from ssd_edge_runtime.sparse.csr import CSRMatrix
from ssd_edge_runtime.state import Layer, ModelState, Readout


@dataclass(frozen=True)
class Case:
    """A shape to measure, and the ratios to reach at batch 1 and 32."""

    inputs: int
    hidden: int
    density: float
    classes: int
    predict: tuple[float, float] = (1.0, 1.0)
    learn: tuple[float, float] = (1.0, 1.0)
    k: int = 10

    @property
    def name(self) -> str:
        """Shape and density, for people."""
        return f"{self.inputs}->{self.hidden} at {self.density:.0%}"


CASES = (
    Case(784, 1000, 0.05, 10, (3.5, 1.15), (7.0, 2.4)),
    Case(3072, 4000, 0.05, 10, (4.5, 1.4), (40.0, 8.0)),
    Case(3072, 10000, 0.02, 100, (14.0, 4.5), (125.0, 22.0)),
)
"""The project's reference models."""


def random_state(case: Case, seed: int = 0) -> ModelState:
    """A model of ``case`` that learns by gradient: weights >= 0, as SSD keeps them, and no sample seen."""
    rng = np.random.default_rng(seed)
    weights = random_rows(rng, case.hidden, case.inputs, case.density, nonnegative=True)
    readout = np.abs(rng.standard_normal((case.classes, case.hidden)) * 0.1).astype(np.float32)
    return ModelState(
        input_shape=(case.inputs,),
        classes=[str(number) for number in range(case.classes)],
        center=None,
        epsilon=1e-12,
        layers=[_uncounted(weights, case.k, case.classes)],
        readout=Readout("gradient", readout, None),
        learning=LearningOptions(batch_size=32, distill=None),
        class_samples=np.zeros(case.classes, np.int64),
    )


def random_features(width: int, hidden: int, k: int, density: float, center: Float32, seed: int) -> ModelState:
    """A closed-form model that knows no class, behind random features; ``center`` (width,) is subtracted."""
    weights = random_rows(np.random.default_rng(seed), hidden, width, density)
    return ModelState(
        input_shape=(width,),
        classes=[],
        center=center,
        epsilon=1e-12,
        layers=[_uncounted(weights, k, 0)],
        readout=Readout("analytic", np.zeros((0, hidden), np.float32), np.zeros(0, np.float32)),
        analytic=AnalyticOptions(),
        statistics=analytic.empty(hidden, 0),
    )


def random_rows(
    rng: np.random.Generator, rows: int, width: int, density: float, *, nonnegative: bool = False
) -> CSRMatrix:
    """Gaussian rows of length 1 on random inputs, as many in each row as pruning by row would leave."""
    length = round(density * width)
    columns = np.stack([np.sort(rng.choice(width, length, replace=False)) for _ in range(rows)])
    values = rng.standard_normal((rows, length))
    values = np.abs(values) if nonnegative else values
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    indptr = np.arange(rows + 1, dtype=np.int32) * np.int32(length)
    return CSRMatrix(indptr, columns.astype(np.int32).ravel(), values.astype(np.float32).ravel(), (rows, width))


def _uncounted(weights: CSRMatrix, k: int, classes: int) -> Layer:
    rows = weights.shape[0]
    counts = np.zeros(rows, np.int64)
    return Layer("hidden1", weights, k, counts, counts.copy(), np.zeros((classes, rows), np.int64))
