"""Names of the array types that all packages share; shapes are told where an array is used."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int32 = NDArray[np.int32]
Int64 = NDArray[np.int64]


class Write(NamedTuple):
    """New values for a part of an array; to write them twice does no harm."""

    array: NDArray[Any]
    where: Any
    """An index into ``array``."""
    values: NDArray[Any]

    def do(self) -> None:
        """Write them: one call, which an interrupt finds either done or not begun."""
        self.array[self.where] = self.values
