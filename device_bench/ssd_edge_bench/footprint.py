"""What a model takes on a device, from what ``describe`` tells: arithmetic, but for the time of a solution."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

GENERATIONS = 3
"""Earlier generations that a save keeps beside the file unless told otherwise."""
TIMED = 768
"""Unknowns of the equations that are solved to see how fast this machine is."""
RIGHT_SIDES = 64
"""What a solution solves for besides the classes."""


def estimates(described: dict[str, Any]) -> dict[str, Any]:
    """Bytes and operations.

    ``memory_bytes``: arrays held while the model is in use; the encoder's twice, as ONNX Runtime has its own, but
    not what it holds of samples on the way. ``flash_bytes``: the file, its earlier generations and the copy being
    written. ``solve_bytes``, ``solve_flops``, ``solve_seconds``: one solution of the analytic readout, 0 without;
    the seconds are of this machine, from a smaller solution that is timed.
    """
    layers, classes = described["layers"], len(described["classes"])
    width = layers[-1]["shape"][0]
    # A CSR entry is a float32 and an int32; the readout is float32.
    weights = sum(8 * layer["nonzeros"] + 4 * (layer["shape"][0] + 1) for layer in layers)
    counts = sum(8 * layer["shape"][0] * (classes + 2) for layer in layers) if described["learning_state"] else 0
    learns = described["readout"] == "analytic" and described["learning_state"]
    statistics = 8 * (width * (width + 1) // 2 + classes * width) if learns else 0
    # The product that makes the within-class scatter, the factorization, and two triangles for each right side.
    flops = (width**3 // 3 + (4 * classes + 2 * RIGHT_SIDES) * width**2) if learns else 0
    encoder = 0 if described["encoder"] is None else 2 * described["encoder"]["bytes"]
    return {
        "memory_bytes": encoder + weights + 4 * classes * width + counts + statistics,
        "flash_bytes": described["file_bytes"] * (GENERATIONS + 2),
        "solve_bytes": 8 * width * width + 16 * classes * width if learns else 0,
        "solve_flops": flops,
        "solve_seconds": round(flops / flops_per_second(), 3) if learns else 0.0,
    }


def flops_per_second() -> float:
    """Speed of a Cholesky factorization here, in float64, with the threads that BLAS takes by itself."""
    from scipy.linalg import cholesky

    matrix = np.eye(TIMED) + 1.0 / TIMED
    times = []
    for _ in range(3):
        begun = time.perf_counter()
        cholesky(matrix, lower=True, check_finite=False)
        times.append(time.perf_counter() - begun)
    return float(TIMED**3 / 3 / min(times))
