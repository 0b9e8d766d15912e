"""Models and data that tests of device functions start from."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from small_models import analytic_state, gradient_state, samples

from ssd_edge_runtime import model_file


@pytest.fixture
def edge_file(tmp_path: Path) -> Path:
    """A file with the analytic readout, 20 -> 30, that knows the classes 0, 1 and 2."""
    return write_model(tmp_path / "model.onnx", "analytic")


@pytest.fixture
def gradient_file(tmp_path: Path) -> Path:
    """The same with an untrained gradient readout."""
    return write_model(tmp_path / "gradient.onnx", "gradient")


def write_model(path: Path, kind: str) -> Path:
    path.write_bytes(model_file.to_bytes(analytic_state() if kind == "analytic" else gradient_state()))
    return path


@pytest.fixture
def data_file(tmp_path: Path) -> Path:
    """100 samples of the classes 0 to 3, of which the models do not know the last."""
    x, y = samples(1, 100, classes=4)
    path = tmp_path / "data.npz"
    np.savez(path, x=x, y=y, classes=np.array(list("0123")))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """In memory where that is possible: a killed process needs no disk, and flushing one takes long."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory) as name:
        yield Path(name)
