"""First weights of a class that is opened, the same in the trainer and on the device."""

from __future__ import annotations

import numpy as np

from ssd_edge_runtime.arrays import Float32
from ssd_edge_runtime.options import LearningOptions


def initial_rows(first: int, count: int, width: int, options: LearningOptions) -> Float32:
    """Rows of V for classes number ``first`` to ``first + count - 1``, float32 (count, width).

    Uniform in ``[-readout_init, readout_init]``, negatives clamped where weights are non-negative, a function of
    the seed and the class's number alone. Rows of zeros would give all neurons of a class the same gradient
    while the GABA switch lets all of them fire, and they would stay alike.
    """
    bound = options.readout_init
    rows = np.empty((count, width), np.float32)
    for number, row in enumerate(rows, first):
        row[:] = np.random.default_rng([options.seed, number]).uniform(-bound, bound, width)
    return rows.clip(min=0.0) if options.nonnegative else rows
