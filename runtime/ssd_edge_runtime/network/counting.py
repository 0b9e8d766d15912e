"""Activation counts: in how many samples each neuron was in the Top-K, in all, since the boundary, per class."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssd_edge_runtime.arrays import Int32, Write
from ssd_edge_runtime.options import LearningOptions
from ssd_edge_runtime.sparse.codes import Codes
from ssd_edge_runtime.state import Layer

Rows = NDArray[np.intp]


@dataclass(eq=False)
class Touched:
    """The neurons among pairs, ascending, and the place of each pair's neuron in that list, int32."""

    rows: Rows
    local: Int32

    @classmethod
    def of(cls, neurons: NDArray[np.integer], width: int) -> Touched:
        """The distinct ``neurons``, all below ``width``."""
        marked = np.zeros(width, bool)
        marked[neurons] = True
        rows = marked.nonzero()[0]
        place = np.empty(width, np.int32)
        place[rows] = np.arange(len(rows), dtype=np.int32)
        return cls(rows, place[neurons])

    @classmethod
    def by(cls, codes: Codes) -> Touched:
        """The neurons active in any sample; those of a single sample are distinct and ascend already."""
        if codes.shape[0] == 1:
            return cls(codes.neurons.astype(np.intp), np.arange(len(codes.neurons), dtype=np.int32))
        return cls.of(codes.neurons, codes.shape[1])


def union(parts: list[Rows], width: int) -> Rows:
    """The distinct rows, all below ``width``, of several lists of distinct ones."""
    if len(parts) == 1:
        return parts[0]
    marked = np.zeros(width, bool)
    for rows in parts:
        marked[rows] = True
    return marked.nonzero()[0]


def count_inhibition(layer: Layer, touched: Touched, options: LearningOptions) -> None:
    """Add a batch's firing to c of the GABA switch, in place; it stays at s, from where on nothing changes."""
    counts = layer.inhibition_count
    assert counts is not None
    assert options.switch is not None
    fired = np.bincount(touched.local, minlength=len(touched.rows))
    counts[touched.rows] = np.minimum(counts[touched.rows] + fired, ceil(options.switch))


def count(layer: Layer, codes: Codes, touched: Touched, labels: NDArray[np.intp], sign: int = 1) -> None:
    """Add (``sign`` 1) or remove (-1) a batch's activations, in place; ``labels`` class indices (N,)."""
    for write in counted(layer, codes, touched, labels, sign):
        write.do()


def counted(layer: Layer, codes: Codes, touched: Touched, labels: NDArray[np.intp], sign: int = 1) -> list[Write]:
    """What :func:`count` writes. Removing never goes below zero: float codes may differ at the threshold."""
    if codes.shape[0] == 1:
        counters = (layer.activation_count, layer.task_count, layer.class_count[labels[0]])
        changes: list[tuple[NDArray[np.int64], Any]] = [(counter, sign) for counter in counters]
    else:
        per_class = sign * _by_class(codes, touched, labels, layer.class_count.shape[0])
        total = per_class.sum(axis=1)
        changes = [(layer.activation_count, total), (layer.task_count, total), (layer.class_count.T, per_class)]
    writes = []
    for counter, change in changes:
        values = counter[touched.rows] + change
        writes.append(Write(counter, touched.rows, values if sign > 0 else np.maximum(values, 0, out=values)))
    return writes


def were_counted(layer: Layer, codes: Codes, touched: Touched, labels: NDArray[np.intp]) -> bool:
    """Whether each neuron was active in as many samples of each class as it is in these."""
    counts = layer.class_count.T[touched.rows]
    return bool((counts >= _by_class(codes, touched, labels, counts.shape[1])).all())


def _by_class(codes: Codes, touched: Touched, labels: NDArray[np.intp], classes: int) -> NDArray[np.intp]:
    """In how many samples of each class each touched neuron is active, (rows, classes)."""
    place = touched.local * classes + labels[codes.samples()]
    return np.bincount(place, minlength=len(touched.rows) * classes).reshape(-1, classes)
