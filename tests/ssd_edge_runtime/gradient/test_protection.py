"""Protection by activation frequency, against its formula alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from small_models import gradient_state, samples

from ssd_edge_runtime import EdgeModel, model_file
from ssd_edge_runtime.errors import OptionError
from ssd_edge_runtime.gradient.protection import speeds
from ssd_edge_runtime.options import LearningOptions
from ssd_edge_runtime.state import ModelState

OPTIONS = LearningOptions(batch_size=8, distill=None, clip_norm=1e9, learning_rate=1e-3, nonnegative=False)


def with_past(protect: float, **shape: object) -> ModelState:
    """A model whose neurons fired 0, 1, 2, ... times in past tasks."""
    state = gradient_state(learning=replace(OPTIONS, protect=protect), **shape)
    for layer in state.layers:
        layer.task_count[:] = 5
        layer.activation_count = np.arange(len(layer.task_count)) + 5
    return state


@pytest.mark.parametrize("protect", [0.01, 0.3, 5.0])
def test_speeds_follow_the_formula(protect: float) -> None:
    layer = with_past(protect).layers[0]
    rows = np.array([0, 3, 29])
    past = np.arange(30) / np.arange(30).sum() * layer.k
    np.testing.assert_allclose(speeds(layer, rows, protect), 1 / (1 + past[rows] / protect), rtol=1e-6)


def test_a_first_task_moves_freely() -> None:
    layer = gradient_state().layers[0]
    layer.activation_count = layer.task_count = np.arange(30)
    assert speeds(layer, np.arange(30), 0.01) is None
    assert speeds(with_past(0.0).layers[0], np.arange(30), 0.0) is None


@pytest.mark.parametrize("shape", [{}, {"density": 0.4}, {"density": 0.4, "uniform": False}, {"widths": (30, 25)}])
def test_a_step_is_shorter_by_the_speed_of_each_row(shape: dict[str, object]) -> None:
    free, slow = EdgeModel(with_past(0.0, **shape)), EdgeModel(with_past(0.05, **shape))
    x, y = samples(1, 8)
    started = [layer.weights.to_dense() for layer in free.state.layers]
    before = [np.asarray(speeds(layer, np.arange(len(layer.task_count)), 0.05)) for layer in slow.state.layers]
    for model in (free, slow):
        model.partial_fit(x, y)
    for start, own, other, speed in zip(started, free.state.layers, slow.state.layers, before, strict=True):
        # A step far shorter than the row keeps to the sphere in first order.
        moved, wanted = (each.weights.to_dense() - start for each in (other, own))
        assert np.abs(wanted).max() > 1e-5
        np.testing.assert_allclose(moved, wanted * speed[:, None], atol=2e-7)


def test_the_frequency_stands_still_while_a_task_lasts() -> None:
    model = EdgeModel(with_past(0.05))
    frozen = [np.asarray(speeds(layer, np.arange(30), 0.05)) for layer in model.state.layers]
    x, y = samples(1, 40)
    model.partial_fit(x, y)
    np.testing.assert_array_equal(speeds(model.state.layers[0], np.arange(30), 0.05), frozen[0])
    model.end_task()
    assert (speeds(model.state.layers[0], np.arange(30), 0.05) != frozen[0]).any()


def test_files_keep_it() -> None:
    state = with_past(0.05)
    assert model_file.from_bytes(model_file.to_bytes(state)).learning == state.learning
    plain = replace(state, learning=replace(OPTIONS, protect=0.0))
    assert b"protect" not in model_file.to_bytes(plain)


@pytest.mark.parametrize("value", [-0.01, -1.0, float("nan"), float("-inf")])
def test_below_zero_is_refused(value: float) -> None:
    with pytest.raises(OptionError, match=f"protect must not be negative, got {value}"):
        LearningOptions(protect=value)
