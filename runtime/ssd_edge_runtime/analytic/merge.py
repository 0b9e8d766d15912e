"""Merge devices that started from one file: statistics and counts add up, what they started from counts once."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssd_edge_runtime.analytic.solver import solve_rounded
from ssd_edge_runtime.errors import EdgeModelError
from ssd_edge_runtime.sparse.sketch import Sketch
from ssd_edge_runtime.state import Layer, ModelState, Statistics


def merge_states(states: Sequence[ModelState], base: ModelState) -> ModelState:
    """``base + sum_i (state_i - base)`` over statistics and counts, the readout solved anew.

    Classes: those of ``base``, then new ones in the order of ``states``. Raises :class:`EdgeModelError` for models
    with a gradient readout, other hidden weights, other options, or without a class that ``base`` knows.
    """
    if not states:
        raise EdgeModelError("merge needs at least one model")
    _check_base(base)
    for number, state in enumerate(states, start=1):
        _check_pair(state, base, f"model {number}")
    classes = list(dict.fromkeys([*base.classes, *(name for state in states for name in state.classes)]))
    statistics = _merged_statistics(states, base, classes)
    assert base.analytic is not None
    readout, values_type = solve_rounded(statistics, base.analytic, base.values_type)
    return dataclasses.replace(
        base,
        classes=classes,
        layers=[_merged_layer(number, states, base, classes) for number in range(len(base.layers))],
        readout=readout,
        values_type=values_type,
        statistics=statistics,
        samples_seen=_sum([state.samples_seen for state in states], base.samples_seen),
        task_samples=_sum([state.task_samples for state in states], base.task_samples),
        class_samples=_sum(
            [_spread(state.class_samples, state, classes) for state in states],
            _spread(base.class_samples, base, classes),
        ),
    )


def _check_base(base: ModelState) -> None:
    if base.readout.kind != "analytic":
        raise EdgeModelError(
            "only models with the analytic readout can be merged: a gradient readout does not add up"
        )
    if base.statistics is None or base.analytic is None:
        raise EdgeModelError("the base carries no learning state: export it without --no-learning-state")


def _check_pair(state: ModelState, base: ModelState, name: str) -> None:
    if state.readout.kind != "analytic":
        raise EdgeModelError(f"{name} has a gradient readout, which does not add up: merge needs analytic ones")
    if state.statistics is None:
        raise EdgeModelError(f"{name} carries no learning state: export it without --no-learning-state")
    if state.encoder != base.encoder:
        raise EdgeModelError(f"{name} has another encoder than the base: they did not start from one file")
    if not _same_features(state, base):
        raise EdgeModelError(f"{name} has other hidden weights than the base: they did not start from one file")
    if state.analytic != base.analytic:
        raise EdgeModelError(f"{name} has other analytic options than the base")
    missing = [known for known in base.classes if known not in state.classes]
    if missing:
        raise EdgeModelError(
            f"{name} has no class {missing[0]!r}, which the base knows: forget it in the base too"
        )


def _same_features(a: ModelState, b: ModelState) -> bool:
    if a.input_shape != b.input_shape or a.epsilon != b.epsilon or len(a.layers) != len(b.layers):
        return False
    if (a.center is None) != (b.center is None):
        return False
    if a.center is not None and b.center is not None and not np.array_equal(a.center, b.center):
        return False
    if a.normalized_first != b.normalized_first or not _same_sketch(a.sketch, b.sketch):
        return False
    return all(_same_weights(one, other) for one, other in zip(a.layers, b.layers, strict=True))


def _same_sketch(a: Sketch | None, b: Sketch | None) -> bool:
    return b is None if a is None else a.same_as(b)


def _same_weights(a: Layer, b: Layer) -> bool:
    return (
        a.k == b.k
        and a.weights.shape == b.weights.shape
        and np.array_equal(a.weights.indptr, b.weights.indptr)
        and np.array_equal(a.weights.columns, b.weights.columns)
        and np.array_equal(a.weights.values, b.weights.values)
    )


def _merged_statistics(states: Sequence[ModelState], base: ModelState, classes: list[str]) -> Statistics:
    parts = [_statistics(state, classes) for state in states]
    origin = _statistics(base, classes)
    return Statistics(
        _sum([part.gram for part in parts], origin.gram),
        _sum([part.class_sums for part in parts], origin.class_sums),
        _sum([part.class_counts for part in parts], origin.class_counts),
    )


def _statistics(state: ModelState, classes: list[str]) -> Statistics:
    assert state.statistics is not None
    own = state.statistics
    return Statistics(own.gram, _spread(own.class_sums, state, classes), _spread(own.class_counts, state, classes))


def _merged_layer(number: int, states: Sequence[ModelState], base: ModelState, classes: list[str]) -> Layer:
    layer = base.layers[number]
    others = [state.layers[number] for state in states]
    return Layer(
        layer.name,
        layer.weights,
        layer.k,
        _sum([other.activation_count for other in others], layer.activation_count),
        _sum([other.task_count for other in others], layer.task_count),
        _sum(
            [_spread(other.class_count, state, classes) for other, state in zip(others, states, strict=True)],
            _spread(layer.class_count, base, classes),
        ),
    )


def _spread(per_class: NDArray[Any], state: ModelState, classes: list[str]) -> NDArray[Any]:
    """Rows of ``state``'s classes at their places among ``classes``, zero elsewhere."""
    out = np.zeros((len(classes), *per_class.shape[1:]), per_class.dtype)
    out[[classes.index(name) for name in state.classes]] = per_class
    return out


def _sum(parts: Sequence[Any], base: Any) -> Any:
    total = base + sum(part - base for part in parts)
    return np.maximum(total, 0) if getattr(total, "dtype", None) == np.int64 else total
