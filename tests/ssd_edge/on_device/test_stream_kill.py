"""A stream stopped by any signal at any instant has every lesson that it acknowledged, once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from small_models import analytic_state, gradient_state

from ssd_edge_runtime import model_file

HARNESS = Path(__file__).with_name("stop_harness.py")
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs fork and signals")


@pytest.mark.parametrize(
    ("rounds", "seed"), [(25, 0), pytest.param(250, 1, marks=pytest.mark.slow)], ids=["short", "long"]
)
@pytest.mark.parametrize("kind", ["analytic", "gradient"])
def test_stopped_at_random_instants(kind: str, rounds: int, seed: int, folder: Path) -> None:
    path = folder / "model.onnx"
    path.write_bytes(model_file.to_bytes(analytic_state() if kind == "analytic" else gradient_state()))
    single = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    command = [sys.executable, str(HARNESS), str(path), str(rounds), str(seed)]
    found = subprocess.run(command, capture_output=True, text=True, timeout=900, env=single, check=False)
    assert found.returncode == 0, found.stderr
    seen = json.loads(found.stdout)
    assert seen["rounds"] == rounds
    assert seen["acknowledged"] > rounds
    assert seen["stopped"] > rounds // 10
