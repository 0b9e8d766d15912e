"""A copy of a model that a learner may write into, and its classes: added, dropped."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssd_edge_runtime.network.first_rows import initial_rows
from ssd_edge_runtime.sparse.csr import CSRMatrix
from ssd_edge_runtime.state import Layer, ModelState, Readout


def writable_copy(state: ModelState) -> ModelState:
    """A copy that a learner may write into; matrices over neurons are laid out neuron by neuron.

    Positions of the non-zeros never change and stay shared, as do the analytic statistics.
    """
    return dataclasses.replace(
        state,
        classes=list(state.classes),
        layers=[_writable_layer(layer) for layer in state.layers],
        readout=Readout(state.readout.kind, _by_neuron(state.readout.weights), state.readout.bias),
        class_samples=state.class_samples.copy(),
        provenance=dict(state.provenance),
    )


def _writable_layer(layer: Layer) -> Layer:
    weights = layer.weights
    return Layer(
        layer.name,
        CSRMatrix(weights.indptr, weights.columns, weights.values.copy(), weights.shape),
        layer.k,
        layer.activation_count.copy(),
        layer.task_count.copy(),
        _by_neuron(layer.class_count),
        None if layer.inhibition_count is None else layer.inhibition_count.copy(),
        layer.activation,
    )


def _by_neuron(matrix: NDArray[Any]) -> NDArray[Any]:
    """A copy of a (classes, n) matrix as the transposed view of a contiguous (n, classes) array."""
    return np.array(matrix.T, order="C", copy=True).T


def add_classes(state: ModelState, names: list[str]) -> None:
    """Append classes to a state; under the gradient readout their rows are drawn, else zero.

    No array is written into: each is replaced.
    """
    if not names:
        return
    new = len(names)
    state.classes = [*state.classes, *names]
    state.class_samples = np.append(state.class_samples, np.zeros(new, np.int64))
    for layer in state.layers:
        layer.class_count = _widen(layer.class_count, new)
    bias = state.readout.bias
    if bias is not None:
        bias = np.append(bias, np.zeros(new, np.float32))
    weights = _widen(state.readout.weights, new)
    if state.readout.kind == "gradient" and state.learning is not None:
        weights[-new:] = initial_rows(len(weights) - new, new, weights.shape[1], state.learning)
    state.readout = Readout(state.readout.kind, weights, bias)


def _widen(matrix: NDArray[Any], new: int) -> NDArray[Any]:
    return np.ascontiguousarray(np.pad(matrix.T, ((0, 0), (0, new)))).T


def drop_class(state: ModelState, index: int) -> None:
    """Remove a class from a state, from its counts and from the readout; statistics apart.

    No array is written into: each is replaced.
    """
    state.classes = [name for number, name in enumerate(state.classes) if number != index]
    state.class_samples = np.delete(state.class_samples, index)
    for layer in state.layers:
        layer.activation_count = np.maximum(layer.activation_count - layer.class_count[index], 0)
        layer.task_count = np.minimum(layer.task_count, layer.activation_count)
        layer.class_count = _by_neuron(np.delete(layer.class_count, index, axis=0))
    bias = state.readout.bias
    state.readout = Readout(
        state.readout.kind,
        _by_neuron(np.delete(state.readout.weights, index, axis=0)),
        None if bias is None else np.delete(bias, index),
    )
