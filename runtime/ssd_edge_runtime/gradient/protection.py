"""Neurons that past tasks rest on move less: protection by activation frequency."""

from __future__ import annotations

import numpy as np

from ssd_edge_runtime.arrays import Float32
from ssd_edge_runtime.network.counting import Rows
from ssd_edge_runtime.state import Layer


def speeds(layer: Layer, rows: Rows, protect: float) -> Float32 | None:
    """``1 / (1 + f / protect)`` of each of ``rows``, float32 (m,); None where all move freely, as in a first task.

    ``f_i = k c_i / sum c``, c counted over past tasks: k / n where all neurons fired as often. The counts since
    the last boundary do not enter, so f stands still while a task lasts.
    """
    if not protect:
        return None
    past = layer.activation_count - layer.task_count
    total = int(past.sum())
    if not total:
        return None
    return np.float32(1.0) / (1.0 + past[rows] * np.float32(layer.k / (total * protect))).astype(np.float32)
