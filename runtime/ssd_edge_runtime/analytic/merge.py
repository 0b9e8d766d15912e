"""Lessons of devices added up: statistics and counts are sums, and what a device started from counts once."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssd_edge_runtime.analytic.gram import forget_steps
from ssd_edge_runtime.analytic.solver import solve_rounded
from ssd_edge_runtime.analytic.statistics import check_room, select_classes
from ssd_edge_runtime.arrays import Int64
from ssd_edge_runtime.errors import EdgeModelError
from ssd_edge_runtime.network.features import same_features
from ssd_edge_runtime.network.writable import drop_class, writable_copy
from ssd_edge_runtime.sparse.exact import code_step
from ssd_edge_runtime.state import Layer, ModelState, Statistics


def merge_states(states: Sequence[ModelState], base: ModelState, names: Sequence[str] = ()) -> ModelState:
    """``base + sum_i (state_i - base)`` over statistics and counts, the readout solved anew.

    Classes: those of ``base``, then new ones in the order of ``states``, which errors call by ``names``. Raises
    :class:`EdgeModelError` for models with a gradient readout, other hidden weights, other options, or without a
    class that ``base`` knows.
    """
    if not states:
        raise EdgeModelError("merge needs at least one model")
    _check_learns(base, "the base")
    called = names or [f"model {number}" for number in range(1, len(states) + 1)]
    for name, state in zip(called, states, strict=True):
        _check_pair(state, base, name, "the base")
        own = set(state.classes)
        missing = [known for known in base.classes if known not in own]
        if missing:
            raise EdgeModelError(
                f"{name} has no class {missing[0]!r}, which the base knows: forget it in the base too, or say by "
                "--rename what it is called there"
            )
    return _moved(base, [(state, base) for state in states])


def rebase_state(
    mine: ModelState, old: ModelState, new: ModelState, names: tuple[str, str, str] = ("mine", "old", "new")
) -> ModelState:
    """``new + (mine - old)`` over statistics and counts: what was learned after ``old``, carried over to ``new``.

    A class of ``old`` that ``mine`` has forgotten is forgotten in ``new`` too. Raises :class:`EdgeModelError`,
    which calls the three by ``names``, for a gradient readout and for other hidden weights, encoders or options.
    """
    for state, name in zip((mine, old, new), names, strict=True):
        _check_learns(state, name)
    _check_pair(mine, old, names[0], names[1])
    _check_pair(mine, new, names[0], names[2])
    own = set(mine.classes)
    gone = [name for name in old.classes if name not in own]
    return _moved(_forgotten(new, gone), [(mine, _forgotten(old, gone))])


def _moved(onto: ModelState, parts: Sequence[tuple[ModelState, ModelState]]) -> ModelState:
    """``onto`` and, of each pair, what the first has learned since the second."""
    classes = list(dict.fromkeys([*onto.classes, *(name for state, _ in parts for name in state.classes)]))
    counts = _total(onto, parts, lambda state: _spread(_statistics(state).class_counts, state, classes))
    for name, count in zip(classes, counts, strict=True):
        if count < 0:
            raise EdgeModelError(f"more samples of {name!r} were unlearned than there are")
    known = zip(classes, counts, strict=True)
    classes = [name for name, count in known if count > 0 or name in onto.classes]

    def total(of: Callable[[ModelState], Any]) -> Any:
        return _total(onto, parts, of)

    def spread(of: Callable[[ModelState], NDArray[Any]]) -> Any:
        return total(lambda state: _spread(of(state), state, classes))

    statistics = Statistics(
        total(lambda state: _statistics(state).gram),
        spread(lambda state: _statistics(state).class_sums),
        spread(lambda state: _statistics(state).class_counts),
        _statistics(onto).code_bits,
    )
    step = _code_step(onto)
    if step is not None:
        neurons = np.arange(statistics.class_sums.shape[1])
        check_room(statistics, neurons, np.zeros(len(neurons)), step)
    layers = [
        Layer(
            layer.name,
            layer.weights,
            layer.k,
            _counts(total(lambda state, at=at: state.layers[at].activation_count)),  # type: ignore[misc]
            _counts(total(lambda state, at=at: state.layers[at].task_count)),  # type: ignore[misc]
            _counts(spread(lambda state, at=at: state.layers[at].class_count)),  # type: ignore[misc]
        )
        for at, layer in enumerate(onto.layers)
    ]
    assert onto.analytic is not None
    readout, values_type = solve_rounded(statistics, onto.analytic, onto.values_type)
    return dataclasses.replace(
        onto,
        classes=classes,
        layers=layers,
        readout=readout,
        values_type=values_type,
        statistics=statistics,
        samples_seen=total(lambda state: state.samples_seen),
        task_samples=total(lambda state: state.task_samples),
        class_samples=_counts(spread(lambda state: state.class_samples)),
    )


def _total(
    onto: ModelState, parts: Sequence[tuple[ModelState, ModelState]], of: Callable[[ModelState], Any]
) -> Any:
    return of(onto) + sum(of(state) - of(origin) for state, origin in parts)


def _counts(total: Any) -> Int64:
    # Forgetting a class takes its counts of activity down, never below zero.
    counts: Int64 = np.maximum(total, 0)
    return counts


def _spread(per_class: NDArray[Any], state: ModelState, classes: list[str]) -> NDArray[Any]:
    """Rows of ``state``'s classes at their places among ``classes``, zero elsewhere."""
    places = {name: place for place, name in enumerate(classes)}
    out = np.zeros((len(classes), *per_class.shape[1:]), per_class.dtype)
    known = [row for row, name in enumerate(state.classes) if name in places]
    out[[places[state.classes[row]] for row in known]] = per_class[known]
    return out


def _statistics(state: ModelState) -> Statistics:
    assert state.statistics is not None
    return state.statistics


def _forgotten(state: ModelState, names: Sequence[str]) -> ModelState:
    """The state without these classes, as forgetting leaves it; its readout is not solved."""
    for name in names:
        if name in state.classes:
            index, own = state.classes.index(name), _statistics(state)
            gram, step = own.gram.copy(), _code_step(state)
            unit = None if step is None else step * step
            for each in forget_steps(gram, own.class_sums[index], int(own.class_counts[index]), unit):
                each().do()
            state = writable_copy(state)
            drop_class(state, index)
            keep = np.delete(np.arange(len(own.class_counts)), index)
            state.statistics = select_classes(dataclasses.replace(own, gram=gram), keep)
    return state


def _code_step(state: ModelState) -> float | None:
    """What the codes of exact statistics are multiples of; None for others."""
    bits = _statistics(state).code_bits
    return None if bits is None else code_step([layer.weights for layer in state.layers], bits)


def _check_learns(state: ModelState, name: str) -> None:
    if state.readout.kind != "analytic":
        raise EdgeModelError(
            f"{name} has a gradient readout: only models with the analytic readout add up and can be merged"
        )
    if state.statistics is None or state.analytic is None:
        raise EdgeModelError(f"{name} carries no learning state: export it without --no-learning-state")


def _check_pair(state: ModelState, other: ModelState, name: str, than: str) -> None:
    _check_learns(state, name)
    if state.encoder != other.encoder:
        raise EdgeModelError(f"{name} has another encoder than {than}: their features differ")
    if not same_features(state, other):
        raise EdgeModelError(f"{name} has other hidden weights than {than}: their features differ")
    if state.analytic != other.analytic:
        raise EdgeModelError(f"{name} has other analytic options than {than}")
    if _statistics(state).code_bits != _statistics(other).code_bits:
        raise EdgeModelError(f"{name} has statistics of other codes than {than}: export both by one version")
