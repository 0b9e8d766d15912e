"""A signed hash of a sample's values into fewer sums (count sketch: Charikar et al., ICALP 2002)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ssd_edge_runtime.arrays import Float32, Int32
from ssd_edge_runtime.sparse.csr import CSRMatrix


@dataclass(eq=False)
class Sketch:
    """``v -> P v``: value j is added, with its sign, to one of ``width`` sums. d additions and no weights."""

    sums: Int32
    """(d,), the sum that each value goes to, in [0, width)."""
    signs: NDArray[np.int8]
    """(d,), 1 or -1."""
    width: int
    """How many sums there are, 1 to d."""

    @classmethod
    def draw(cls, inputs: int, width: int, seed: int) -> Sketch:
        """Sums of ``inputs`` values, as many values in each as go in, drawn from ``seed``."""
        rng = np.random.default_rng([seed, inputs, width])
        sums = (rng.permutation(inputs) % width).astype(np.int32)
        return cls(sums, rng.choice(np.array([-1, 1], np.int8), inputs), width)

    @cached_property
    def matrix(self) -> CSRMatrix:
        """P, (width, d)."""
        order = np.argsort(self.sums, kind="stable").astype(np.int32)
        indptr = np.zeros(self.width + 1, np.int32)
        np.cumsum(np.bincount(self.sums, minlength=self.width), out=indptr[1:])
        return CSRMatrix(indptr, order, self.signs[order].astype(np.float32), (self.width, len(self.sums)))

    def of_rows(self, rows: Float32) -> Float32:
        """The sketch of each row, float32 (N, d) -> (N, width)."""
        return np.ascontiguousarray(self.matrix.matmat(np.ascontiguousarray(rows.T)).T)
