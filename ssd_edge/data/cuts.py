"""Samples that are windows of a table: how they were cut, and how a split keeps shared rows on one side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ssd_edge_runtime.arrays import Int64
from ssd_edge_runtime.input_facts import Windows


@dataclass(frozen=True, eq=False)
class Cut:
    """How samples were cut from the rows of a table."""

    windows: Windows
    rows: Int64
    """(N,), the row that each begins with."""

    @property
    def overlaps(self) -> bool:
        """Whether samples share rows."""
        return self.windows.stride < self.windows.length

    def named(self, channels: Sequence[str]) -> Cut:
        """With the names of the channels, where none were asked for."""
        if self.windows.channels:
            return self
        return replace(self, windows=replace(self.windows, channels=tuple(channels)))

    def take(self, chosen: NDArray[np.integer] | NDArray[np.bool_]) -> Cut:
        """Of the samples that are chosen."""
        return replace(self, rows=self.rows[chosen])

    def draw(
        self, members: NDArray[np.integer], count: int, rng: np.random.Generator
    ) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
        """``count`` of ``members`` that follow one another, and those of the others that share rows with them.

        Nothing is drawn where no other would be left.
        """
        members = members[np.argsort(self.rows[members], kind="stable")]
        start = int(rng.integers(len(members) - count + 1))
        drawn = members[start : start + count]
        others = np.concatenate([members[:start], members[start + count :]])
        first, last = self.rows[drawn[0]], self.rows[drawn[-1]]
        length = self.windows.length
        near = (self.rows[others] > first - length) & (self.rows[others] < last + length)
        return (members[:0], members[:0]) if near.all() else (drawn, others[near])
