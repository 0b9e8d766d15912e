"""Work arrays that a thread keeps between calls: fresh large ones cost more in page faults than in sums."""

from __future__ import annotations

import threading
from math import prod
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray


class Workspace(threading.local):
    """Named arrays, one set for each thread; what is in one is gone when the same name is asked for again."""

    def __init__(self) -> None:
        self._arrays: dict[str, NDArray[Any]] = {}
        self._views: dict[str, NDArray[Any]] = {}

    def array(self, name: str, shape: tuple[int, ...], dtype: DTypeLike = np.float32) -> NDArray[Any]:
        """An array with arbitrary contents."""
        last = self._views.get(name)
        if last is not None and last.shape == shape:
            return last
        size = prod(shape)
        kept = self._arrays.get(name)
        if kept is None or kept.size < size:
            kept = self._arrays[name] = np.empty(size, dtype)
        view = self._views[name] = kept[:size].reshape(shape)
        return view


workspace = Workspace()
