"""Windows of a table: consecutive rows of one label and one group, as samples (channels, length)."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from ssd_edge.data.cuts import Cut
from ssd_edge.data.limits import check_memory
from ssd_edge_runtime.arrays import Float32, Int64
from ssd_edge_runtime.errors import DataError
from ssd_edge_runtime.input_facts import Windows


def cut(x: Float32, windows: Windows, source: str, *kept: NDArray[Any] | None) -> tuple[Float32, Cut]:
    """Samples float32 (M, channels, length) of rows (N, channels), and how they were cut.

    ``kept``: columns (N,) such as labels, none of which changes within a window. Raises DataError where no run of
    rows is as long as a window.
    """
    changes = np.zeros(len(x) + 1, np.bool_)
    changes[[0, -1]] = True
    for column in kept:
        if column is not None:
            changes[1:-1] |= column[1:] != column[:-1]
    edges = np.flatnonzero(changes)
    firsts = [np.arange(start, end - windows.length + 1, windows.stride) for start, end in pairwise(edges)]
    starts: Int64 = np.concatenate(firsts).astype(np.int64)
    DataError.unless(
        len(starts) > 0,
        f"{source}: no window of {windows.length} rows in it: at most {int(np.diff(edges).max())} in a row "
        "are of one label and group",
    )
    check_memory(len(starts) * x.shape[1] * windows.length * x.itemsize, source)
    return np.ascontiguousarray(sliding_window_view(x, windows.length, axis=0)[starts]), Cut(windows, starts)
