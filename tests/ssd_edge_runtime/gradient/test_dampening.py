"""Selective Synaptic Dampening: importance against its definition, and what forgetting by it does."""

from __future__ import annotations

import numpy as np
import pytest
from small_models import gradient_state, samples

from ssd_edge_runtime import EdgeModel, EdgeModelError
from ssd_edge_runtime.gradient.dampening import DampeningOptions, importance
from ssd_edge_runtime.sparse.row_index import RowIndex


@pytest.mark.parametrize("uniform", [True, False])
@pytest.mark.parametrize("widths", [(30,), (30, 25)])
def test_importance_is_the_mean_squared_gradient(uniform: bool, widths: tuple[int, ...]) -> None:
    torch_reference = pytest.importorskip("torch_reference")
    torch = torch_reference.torch
    state = gradient_state(density=0.4, uniform=uniform, widths=widths)
    x, y = samples(1, 9)
    found = importance(state, [RowIndex(layer.weights) for layer in state.layers], x, y)
    reference = torch_reference.Reference(state, state.learning)
    squares = [torch.zeros_like(w) for w in (*reference.weights, reference.readout)]
    for number in range(len(x)):
        weights = [w.clone().requires_grad_() for w in (*reference.weights, reference.readout)]
        *_, logits = reference.forward(reference.preprocess(x[number : number + 1]), weights[:-1], weights[-1])
        torch.nn.functional.cross_entropy(logits, torch.tensor(y[number : number + 1])).backward()
        for square, weight in zip(squares, weights, strict=True):
            square += weight.grad**2 / len(x)
    for layer, own, square in zip(state.layers, found.hidden, squares[:-1], strict=True):
        expected = square.numpy()[layer.weights.row_of_entry(), layer.weights.columns]
        np.testing.assert_allclose(own, expected, rtol=1e-4, atol=1e-9)
    np.testing.assert_allclose(found.readout.T, squares[-1].numpy(), rtol=1e-4, atol=1e-9)


def trained() -> EdgeModel:
    model = EdgeModel(gradient_state(widths=(60,), classes=4))
    for seed in range(40):
        model.partial_fit(*samples(seed, 32, classes=4))
    return model


def test_dampening_removes_the_class_and_reports_its_cost() -> None:
    model = trained()
    x, y = samples(500, 200, classes=4)
    before = model.state
    report = model.dampen(3, x[y == 3], (x[y != 3], y[y != 3]), DampeningOptions(alpha=2.0))
    assert model.classes_ == ["0", "1", "2"]
    assert 0 < report.dampened < report.weights
    assert report.accuracy_after == model.score(x[y != 3], y[y != 3])
    assert report.accuracy_after > report.accuracy_before - 0.1
    after = model.state.layers[0].weights.values
    assert (np.abs(after) <= np.abs(before.layers[0].weights.values) + 1e-7).all()
    model.partial_fit(x, y)
    assert model.classes_ == ["0", "1", "2", "3"]


def test_the_largest_alpha_takes_only_weights_that_no_retained_sample_uses() -> None:
    model = trained()
    x, y = samples(500, 100, classes=4)
    kept = x[y != 3]
    before = model.state
    rest = importance(before, [RowIndex(layer.weights) for layer in before.layers], kept, y[y != 3])
    report = model.dampen(3, x[y == 3], (kept, y[y != 3]), DampeningOptions(alpha=1e30))
    assert report.dampened > 0
    changed = model.state.layers[0].weights.values != before.layers[0].weights.values
    assert changed.any()
    np.testing.assert_array_equal(rest.hidden[0][changed], 0.0)


def test_the_teacher_forgets_too() -> None:
    model = trained().begin_task()
    x, y = samples(500, 100, classes=4)
    model.partial_fit(x, y)
    assert len(model.state.teacher.rows[0]) > 0  # type: ignore[union-attr]
    model.dampen(3, x[y == 3], (x[y != 3], y[y != 3]))
    teacher = model.state.teacher
    assert teacher is not None and teacher.classes == 3
    assert len(teacher.rows[0]) == 0


def test_bad_requests_change_nothing() -> None:
    model = trained()
    x, y = samples(500, 40, classes=4)
    before = model.logits(x)
    for act, message in (
        (lambda: model.dampen("nobody", x, (x, y)), "unknown class"),
        (lambda: model.dampen(3, x, (x, y)), "must not be of the class"),
        (lambda: model.dampen(3, x[:, :5], (x, y)), "shape"),
        (lambda: model.dampen(3, x, (x[y != 3], y)), "labels"),
        (lambda: DampeningOptions(alpha=0.0), "alpha must be positive"),
        (lambda: DampeningOptions(limit=-1.0), "limit must not be negative"),
    ):
        with pytest.raises(ValueError, match=message) as caught:
            act()
        assert "\n" not in str(caught.value)
    assert isinstance(caught.value, ValueError)
    assert model.classes_ == ["0", "1", "2", "3"]
    np.testing.assert_array_equal(model.logits(x), before)


def test_analytic_models_unlearn_instead() -> None:
    from small_models import analytic_state

    with pytest.raises(EdgeModelError, match="unlearn exactly"):
        EdgeModel(analytic_state()).dampen(0, np.ones(20), (np.ones(20), [1]))
