"""``learn`` cut off at any instant and resumed ends with the same bytes as if nothing had happened."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from small_models import analytic_state, gradient_state, samples

from ssd_edge_runtime import model_file

HARNESS = Path(__file__).with_name("resume_harness.py")
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs fork and SIGKILL")


@pytest.fixture(
    params=["analytic", *(pytest.param(name, marks=pytest.mark.slow) for name in ("gradient", "two layers"))]
)
def model(request: pytest.FixtureRequest, folder: Path) -> Path:
    states = {
        "analytic": lambda: analytic_state(n=60, count=90),
        "gradient": lambda: gradient_state(widths=(60,), density=0.5),
        "two layers": lambda: gradient_state(widths=(40, 50), density=0.5, uniform=False),
    }
    path = folder / "model.onnx"
    path.write_bytes(model_file.to_bytes(states[request.param]()))
    return path


@pytest.fixture
def data(folder: Path) -> Path:
    """Samples of three known classes and two new ones."""
    x, y = samples(1, 400, classes=5)
    np.savez(folder / "data.npz", x=x, y=y, classes=np.array(list("01234")))
    return folder / "data.npz"


def run(*arguments: object) -> dict[str, int]:
    command = [sys.executable, str(HARNESS), *map(str, arguments)]
    single = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    found = subprocess.run(command, capture_output=True, text=True, timeout=900, env=single)
    assert found.returncode == 0, found.stderr
    return dict(json.loads(found.stdout))


@pytest.mark.parametrize(
    ("rounds", "seed"), [(5, 0), pytest.param(100, 1, marks=pytest.mark.slow)], ids=["short", "long"]
)
def test_killed_at_random_instants(model: Path, data: Path, rounds: int, seed: int) -> None:
    assert run("kill", model, data, rounds, seed, "--checkpoint-every", 23)["rounds"] == rounds


@pytest.mark.parametrize("every", [150, pytest.param(30, marks=pytest.mark.slow)])
def test_dead_at_every_storage_call(model: Path, data: Path, every: int) -> None:
    seen = run("stop", model, data, 0, 0, "--checkpoint-every", every)
    assert seen["rounds"] > 15
    assert seen["resumes"] > seen["rounds"] // 2
