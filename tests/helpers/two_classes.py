"""A small analytic model that has learned two classes, for commands that read streams."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ssd_edge_runtime import EdgeModel, analytic
from ssd_edge_runtime.options import AnalyticOptions
from ssd_edge_runtime.sparse.csr import CSRMatrix
from ssd_edge_runtime.state import Layer, ModelState, Readout

PROTOTYPES = {"low": [1.0, 0.9, 0.1, 0.0, 0.1, 0.0], "high": [0.0, 0.1, 0.0, 0.1, 0.9, 1.0]}


def save_two_classes(path: Path) -> None:
    """An analytic model 6 -> 30 that has learned two classes."""
    rng = np.random.default_rng(0)
    w = rng.random((30, 6)).astype(np.float32)
    counts = [np.zeros(30, np.int64), np.zeros(30, np.int64), np.zeros((2, 30), np.int64)]
    state = ModelState(
        input_shape=(2, 3),
        classes=["low", "high"],
        center=None,
        epsilon=1e-12,
        layers=[Layer("hidden1", CSRMatrix.from_dense(w), 6, *counts)],
        readout=Readout("analytic", np.zeros((2, 30), np.float32), np.zeros(2, np.float32)),
        analytic=AnalyticOptions(),
        statistics=analytic.empty(30, 2),
        class_samples=np.zeros(2, np.int64),
    )
    edge = EdgeModel(state)
    for _ in range(30):
        for name, prototype in PROTOTYPES.items():
            edge.learn_one(np.array(prototype) + 0.1 * rng.random(6), name)
    edge.save(path)
