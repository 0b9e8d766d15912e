"""A small model file for the benchmark's tests."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from ssd_edge_bench.measurement import measurement
from ssd_edge_bench.roofline.roofline import Ceilings
from ssd_edge_runtime import analytic, model_file
from ssd_edge_runtime.options import AnalyticOptions, LearningOptions
from ssd_edge_runtime.sparse.csr import CSRMatrix
from ssd_edge_runtime.state import Layer, ModelState, Readout


def make_state(kind: str) -> ModelState:
    """A random sparse network 12 -> 40 over three classes; statistics, if any, of random codes."""
    rng = np.random.default_rng(0)
    w = np.where(rng.random((40, 12)) < 0.4, rng.random((40, 12)), 0).astype(np.float32)
    w[:, 0] = 0.5
    counts = [np.zeros(40, np.int64), np.zeros(40, np.int64), np.zeros((3, 40), np.int64)]
    closed = kind == "analytic"
    codes = rng.random((60, 40)).astype(np.float32)
    return ModelState(
        input_shape=(3, 4),
        classes=["a", "b", "c"],
        center=rng.random(12).astype(np.float32),
        epsilon=1e-12,
        layers=[Layer("hidden1", CSRMatrix.from_dense(w), 5, *counts)],
        readout=Readout(
            "analytic" if closed else "gradient",
            rng.random((3, 40)).astype(np.float32),
            np.zeros(3, np.float32) if closed else None,
        ),
        learning=None if closed else LearningOptions(batch_size=8),
        analytic=AnalyticOptions() if closed else None,
        statistics=analytic.gather(codes, np.arange(60) % 3, 3) if closed else None,
        samples_seen=60,
        class_samples=np.full(3, 20, np.int64),
    )


@cache
def probed() -> tuple[Ceilings, Ceilings]:
    """The bounds of this machine, measured once for all tests: that takes two seconds."""
    return REAL_PROBE(make_state("gradient"))


REAL_PROBE = measurement.probe_ceilings


@pytest.fixture(autouse=True)
def one_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measurement, "probe_ceilings", lambda state: probed())


@pytest.fixture(params=["gradient", "analytic"])
def model(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A model file with either readout."""
    path = tmp_path / f"{request.param}.onnx"
    path.write_bytes(model_file.to_bytes(make_state(request.param)))
    return path


@pytest.fixture
def gradient_model(tmp_path: Path) -> Path:
    """A model file with the gradient readout."""
    path = tmp_path / "gradient.onnx"
    path.write_bytes(model_file.to_bytes(make_state("gradient")))
    return path
