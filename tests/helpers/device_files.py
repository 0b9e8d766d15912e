"""Small models that know nothing yet, and data for them, as files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ssd_edge_runtime import analytic
from ssd_edge_runtime.options import AnalyticOptions, LearningOptions
from ssd_edge_runtime.sparse.csr import CSRMatrix
from ssd_edge_runtime.state import Layer, ModelState, Readout

SHAPE, WIDTH, HIDDEN, K = (1, 4, 4), 16, 60, 6
NAMES = ("cat", "dog", "emu", "fox")


def make_state(kind: str, classes: int = 2) -> ModelState:
    """An untrained model over the first classes of NAMES, with a random sparse W."""
    rng = np.random.default_rng(5)
    w = np.abs(rng.standard_normal((HIDDEN, WIDTH))).astype(np.float32)
    mask = rng.random(w.shape) < 0.5
    mask[:, 0] = True
    w = np.where(mask, w, 0)
    w /= np.linalg.norm(w, axis=1, keepdims=True)
    counts = [np.zeros(HIDDEN, np.int64), np.zeros(HIDDEN, np.int64), np.zeros((classes, HIDDEN), np.int64)]
    return ModelState(
        input_shape=SHAPE,
        classes=list(NAMES[:classes]),
        center=None,
        epsilon=1e-12,
        layers=[Layer("hidden1", CSRMatrix.from_dense(w, mask), K, *counts)],
        readout=Readout(
            "analytic" if kind == "analytic" else "gradient",
            np.zeros((classes, HIDDEN), np.float32),
            np.zeros(classes, np.float32) if kind == "analytic" else None,
        ),
        learning=LearningOptions(batch_size=16, learning_rate=0.5) if kind == "gradient" else None,
        analytic=AnalyticOptions() if kind == "analytic" else None,
        statistics=analytic.empty(HIDDEN, classes) if kind == "analytic" else None,
        class_samples=np.zeros(classes, np.int64),
    )


def make_data(path: Path, classes: tuple[str, ...], samples: int = 40, seed: int = 0) -> Path:
    """An .npz of noisy versions of one prototype per class."""
    rng = np.random.default_rng(seed)
    prototypes = np.random.default_rng(99).random((len(NAMES), WIDTH))
    index = [NAMES.index(name) for name in classes]
    y = np.repeat(np.arange(len(classes)), samples)
    x = prototypes[index][y] + 0.1 * rng.random((len(y), WIDTH))
    np.savez(path, x=x.reshape(-1, *SHAPE).astype(np.float32), y=y, classes=np.array(classes))
    return path


def samples_of(path: Path) -> np.ndarray[Any, np.dtype[np.float32]]:
    """The array x of an .npz."""
    with np.load(path) as arrays:
        x: np.ndarray[Any, np.dtype[np.float32]] = arrays["x"]
    return x
