"""Activation counts: in how many samples each neuron was in the Top-K, in all, since the boundary, per class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ssd_edge_runtime.state import Layer
from ssd_edge_runtime.topk import Codes

Rows = NDArray[np.intp]


@dataclass(eq=False)
class Touched:
    """The neurons among pairs, ascending, and the place of each pair's neuron in that list."""

    rows: Rows
    local: NDArray[np.intp]

    @classmethod
    def of(cls, neurons: NDArray[np.integer], width: int) -> Touched:
        """The distinct ``neurons``, all below ``width``."""
        marked = np.zeros(width, bool)
        marked[neurons] = True
        rows = np.flatnonzero(marked)
        place = np.empty(width, np.intp)
        place[rows] = np.arange(len(rows))
        return cls(rows, place[neurons])


def count(layer: Layer, codes: Codes, touched: Touched, labels: NDArray[np.intp], sign: int = 1) -> None:
    """Add (``sign`` 1) or remove (-1) a batch's activations, in place; ``labels`` class indices (N,).

    Removing never goes below zero: a code computed elsewhere may differ by a rounding at the threshold.
    """
    classes = layer.class_count.shape[0]
    label = labels[codes.samples()]
    active = np.bincount(touched.local * classes + label, minlength=len(touched.rows) * classes)
    per_class = sign * active.reshape(-1, classes)
    total = per_class.sum(axis=1)
    for counter, change in (
        (layer.activation_count, total),
        (layer.task_count, total),
        (layer.class_count.T, per_class),
    ):
        counter[touched.rows] = np.maximum(counter[touched.rows] + change, 0)
