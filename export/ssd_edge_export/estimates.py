"""What a model takes on a device, from what ``describe`` tells; arithmetic, not measurement."""

from __future__ import annotations

from typing import Any

GENERATIONS = 3
"""Earlier generations that a save keeps beside the file unless told otherwise."""


def estimates(described: dict[str, Any]) -> dict[str, int]:
    """Bytes and operations.

    ``memory_bytes``: arrays held while the model is in use. ``flash_bytes``: the file, its earlier generations
    and the copy being written. ``solve_bytes``, ``solve_flops``: one solution of the analytic readout, 0 without.
    """
    layers, classes = described["layers"], len(described["classes"])
    width = layers[-1]["shape"][0]
    # A CSR entry is a float32 and an int32; the readout is float32.
    weights = sum(8 * layer["nonzeros"] + 4 * (layer["shape"][0] + 1) for layer in layers)
    counts = sum(8 * layer["shape"][0] * (classes + 2) for layer in layers) if described["learning_state"] else 0
    learns = described["readout"] == "analytic" and described["learning_state"]
    statistics = 8 * (width * (width + 1) // 2 + classes * width) if learns else 0
    return {
        "memory_bytes": weights + 4 * classes * width + counts + statistics,
        "flash_bytes": described["file_bytes"] * (GENERATIONS + 2),
        "solve_bytes": 8 * width * width + 16 * classes * width if learns else 0,
        "solve_flops": (width**3 // 3 + 2 * classes * width**2) if learns else 0,
    }
