"""Killed at any instant, a device has a file that loads, verifies and holds what was acknowledged."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ssd_edge_runtime import model_file, storage
from ssd_edge_runtime.state import ModelState

MakeState = Callable[..., ModelState]
HARNESS = Path(__file__).with_name("storage_harness.py")

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs fork and SIGKILL")


def run(*arguments: object) -> dict[str, int]:
    command = [sys.executable, str(HARNESS), *map(str, arguments)]
    # The harness forks, which is sound only where the BLAS has started no threads.
    single = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    found = subprocess.run(command, capture_output=True, text=True, timeout=900, env=single)
    assert found.returncode == 0, found.stderr
    assert found.stderr == ""
    return dict(json.loads(found.stdout))


@pytest.fixture
def model(make_state: MakeState, tmp_path: Path) -> Path:
    """A model file large enough that writing it takes several instants."""
    path = tmp_path / "model.onnx"
    storage.save(path, model_file.to_bytes(make_state(hidden=(200,), input_shape=(784,), classes=10)))
    return path


@pytest.mark.parametrize(
    ("rounds", "seed"), [(40, 0), pytest.param(1000, 1, marks=pytest.mark.slow)], ids=["short", "long"]
)
def test_sigkill_at_a_random_instant(model: Path, rounds: int, seed: int) -> None:
    seen = run("kill", model, rounds, seed)
    assert seen["rounds"] == rounds
    assert seen["saves"] > rounds / 10


def test_death_at_every_system_call(model: Path) -> None:
    assert run("stop", model)["deaths"] > 30
