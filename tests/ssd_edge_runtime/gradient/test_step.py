"""The device's learning step against the trainer's, dense and by autograd."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from small_models import gradient_state, samples

from ssd_edge_runtime import EdgeModel, EdgeModelError
from ssd_edge_runtime.gradient.distill import kl_gradient
from ssd_edge_runtime.network.first_rows import initial_rows
from ssd_edge_runtime.options import DistillOptions, LearningOptions

DISTILLED = {
    "default": DistillOptions(),
    "before": DistillOptions(hidden_stage="before", n_distill=7, alpha=0.2, lambda_hidden=0.9, temperature=0.2),
    "teacher-first": DistillOptions(kl="teacher-student", temperature=1.0, alpha=0.4),
    "seen": DistillOptions(logit_scope="seen", frequency="all", temperature=0.5),
    "mostly-hidden": DistillOptions(alpha=0.2, lambda_hidden=0.9, n_distill=12, temperature=0.2),
}
SHAPES = {
    "dense": {},
    "pruned": {"density": 0.3},
    "ragged": {"density": 0.3, "uniform": False, "center": True},
    "two-layers": {"widths": (30, 25), "density": 0.4},
    "two-layers-ragged": {"widths": (30, 25), "density": 0.4, "uniform": False},
}


def assert_same(model: EdgeModel, reference, tolerance: float = 2e-5) -> None:
    state = model.state
    for layer, weight, mask in zip(state.layers, reference.weights, reference.masks, strict=True):
        np.testing.assert_allclose(layer.weights.to_dense(), (weight * mask).numpy(), atol=tolerance)
    np.testing.assert_allclose(state.readout.weights, reference.readout.numpy(), atol=tolerance)
    for number, layer in enumerate(state.layers):
        np.testing.assert_array_equal(layer.activation_count, reference.activation[number].numpy())
        np.testing.assert_array_equal(layer.task_count, reference.task[number].numpy())
        np.testing.assert_array_equal(layer.class_count, reference.per_class[number].numpy())


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("distill", [*DISTILLED, "none", "signed"])
@pytest.mark.parametrize("batch", [1, 8])
def test_steps_agree_with_autograd_over_tasks_and_boundaries(shape: str, distill: str, batch: int) -> None:
    torch_reference = pytest.importorskip("torch_reference")
    options = LearningOptions(
        learning_rate=0.3, batch_size=batch, nonnegative=distill != "signed", distill=DISTILLED.get(distill)
    )
    state = gradient_state(learning=options, **SHAPES[shape])
    model, reference = EdgeModel(state), torch_reference.Reference(state, options)
    x, y = samples(1, 20 * batch, classes=3)
    for start in range(0, len(x), batch):
        model.partial_fit(x[start : start + batch], y[start : start + batch])
        reference.learn(x[start : start + batch], y[start : start + batch])
    model.begin_task()
    reference.boundary()
    x, y = samples(2, 20 * batch, classes=3)
    model.partial_fit(x, y)
    for start in range(0, len(x), batch):
        reference.learn(x[start : start + batch], y[start : start + batch])
    assert_same(model, reference)
    x, y = samples(3, 15 * batch, classes=5)
    model.partial_fit(x[-batch:], np.full(batch, 3))
    reference.boundary()
    reference.add_classes(1)
    reference.learn(x[-batch:], np.full(batch, 3))
    y = np.where(y == 4, 3, y)
    model.partial_fit(x, y)
    for start in range(0, len(x), batch):
        reference.learn(x[start : start + batch], y[start : start + batch])
    assert_same(model, reference)


@pytest.mark.parametrize("direction", ["student-teacher", "teacher-student"])
def test_kl_gradient_agrees_with_differences(direction: str) -> None:
    rng = np.random.default_rng(0)
    student, teacher = rng.standard_normal((2, 3, 5))

    def value(logits: np.ndarray) -> float:
        p, q = (np.exp(v / 2.0) / np.exp(v / 2.0).sum(1, keepdims=True) for v in (logits, teacher))
        p, q = (p, q) if direction == "student-teacher" else (q, p)
        return 4.0 * float((p * np.log(p / q)).sum()) / 3.0

    numeric = np.zeros_like(student)
    for place in np.ndindex(*student.shape):
        step = np.zeros_like(student)
        step[place] = 1e-6
        numeric[place] = (value(student + step) - value(student - step)) / 2e-6
    np.testing.assert_allclose(kl_gradient(student, teacher, 2.0, direction), numeric, atol=1e-8)  # type: ignore[arg-type]


def test_learning_costs_only_the_rows_of_active_neurons() -> None:
    state = gradient_state(widths=(50,), k=3)
    model = EdgeModel(state)
    x, y = samples(1, 1)
    model.partial_fit(x, y)
    changed = (model.state.layers[0].weights.to_dense() != state.layers[0].weights.to_dense()).any(axis=1)
    assert 1 <= changed.sum() <= 3


def test_a_label_never_seen_opens_one_boundary_a_call() -> None:
    model = EdgeModel(gradient_state())
    x, y = samples(1, 12, classes=5)
    model.partial_fit(x, y)
    assert model.state.teacher is None, "nothing was counted before the first batch"
    model.partial_fit(x[:4], ["new", "newer", "0", "1"])
    teacher = model.state.teacher
    assert teacher is not None and teacher.classes == 5
    assert model.classes_ == ["0", "1", "2", "3", "4", "new", "newer"]
    assert model.state.task_samples == 4


def test_boundaries_without_samples_between_them_are_one() -> None:
    model = EdgeModel(gradient_state())
    model.partial_fit(*samples(1, 12))
    model.end_task()
    first = model.state.teacher
    model.begin_task()
    assert first is not None
    np.testing.assert_array_equal(first.selected[0], model.state.teacher.selected[0])  # type: ignore[union-attr]


def test_teacher_holds_only_what_changed() -> None:
    state = gradient_state(widths=(200,), k=3, density=0.5)
    model = EdgeModel(state).partial_fit(*samples(1, 40))
    model.begin_task()
    before = model.state
    assert len(before.teacher.rows[0]) == 0  # type: ignore[union-attr]
    model.partial_fit(*samples(2, 2))
    teacher = model.state.teacher
    assert teacher is not None
    assert 1 <= len(teacher.rows[0]) <= 6
    old = before.layers[0].weights.to_dense()[teacher.rows[0]]
    np.testing.assert_array_equal(old[old != 0], teacher.values[0][teacher.values[0] != 0])
    np.testing.assert_array_equal(teacher.readout_values, before.readout.weights[:, teacher.readout_columns])


def test_learning_goes_on_the_same_after_a_save_in_the_middle(tmp_path) -> None:
    options = LearningOptions(batch_size=8, distill=DISTILLED["before"])
    model = EdgeModel(gradient_state(density=0.4, learning=options))
    model.partial_fit(*samples(1, 40)).begin_task()
    model.partial_fit(*samples(2, 40))
    model.save(tmp_path / "m.onnx")
    again = EdgeModel.load(tmp_path / "m.onnx")
    x, y = samples(3, 40, classes=4)
    for each in (model, again):
        each.partial_fit(x[:8], y[:8] % 3)
        each.partial_fit(x, y)
    np.testing.assert_array_equal(model.logits(x), again.logits(x))
    np.testing.assert_array_equal(model.state.layers[0].class_count, again.state.layers[0].class_count)


def test_an_error_in_a_later_batch_leaves_the_model_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    from ssd_edge_runtime.serving import gradient_learner

    model = EdgeModel(gradient_state(density=0.5))
    for seed in range(3):
        model.partial_fit(*samples(seed, 24))
    model.begin_task()
    model.partial_fit(*samples(7, 8))
    x, y = samples(4, 32, classes=5)
    twin = EdgeModel(model.state)
    before = model.state
    copied = {
        "logits": model.logits(x).copy(),
        "counts": before.layers[0].activation_count.copy(),
        "rows": before.teacher.rows[0].copy(),  # type: ignore[union-attr]
    }
    model.partial_fit(*samples(8, 8))
    twin.partial_fit(*samples(8, 8))
    calls = []
    real = gradient_learner.step

    def failing(*args):
        calls.append(1)
        if len(calls) == 3:
            raise MemoryError
        return real(*args)

    monkeypatch.setattr(gradient_learner, "step", failing)
    with pytest.raises(MemoryError):
        model.partial_fit(x, y)
    monkeypatch.setattr(gradient_learner, "step", real)
    assert model.classes_ == ["0", "1", "2"]
    assert len(calls) == 3
    np.testing.assert_array_equal(model.logits(x), twin.logits(x))
    model.partial_fit(x, y)
    twin.partial_fit(x, y)
    np.testing.assert_array_equal(model.logits(x), twin.logits(x))
    np.testing.assert_array_equal(model.state.teacher.values[0], twin.state.teacher.values[0])  # type: ignore[union-attr]
    np.testing.assert_array_equal(before.layers[0].activation_count, copied["counts"])


def test_the_state_handed_out_is_never_written_again() -> None:
    model = EdgeModel(gradient_state())
    model.partial_fit(*samples(1, 16))
    state = model.state
    kept = (
        state.layers[0].weights.values.copy(),
        np.array(state.readout.weights),
        state.layers[0].class_count.copy(),
    )
    for seed in range(4):
        model.partial_fit(*samples(seed, 8, classes=4))
    np.testing.assert_array_equal(state.layers[0].weights.values, kept[0])
    np.testing.assert_array_equal(state.readout.weights, kept[1])
    np.testing.assert_array_equal(state.layers[0].class_count, kept[2])


def test_zero_input_is_legal_and_changes_no_weight() -> None:
    state = gradient_state()
    model = EdgeModel(state).partial_fit(np.zeros((2, 20)), [0, 1])
    np.testing.assert_array_equal(model.state.layers[0].weights.values, state.layers[0].weights.values)
    assert model.samples_seen_ == 2
    assert np.isfinite(model.logits(np.zeros(20))).all()


def test_a_model_without_learning_state_says_so() -> None:
    state = dataclasses.replace(gradient_state(), learning=None)
    with pytest.raises(EdgeModelError, match="no learning state"):
        EdgeModel(state).partial_fit(*samples(1, 4))


def test_forgetting_a_class_removes_it_from_readout_counts_and_teacher() -> None:
    model = EdgeModel(gradient_state()).partial_fit(*samples(1, 30))
    model.begin_task()
    model.partial_fit(*samples(2, 9))
    before = model.state
    model.forget(1)
    state = model.state
    assert state.classes == ["0", "2"]
    np.testing.assert_array_equal(state.readout.weights, before.readout.weights[[0, 2]])
    np.testing.assert_array_equal(state.layers[0].class_count, before.layers[0].class_count[[0, 2]])
    assert state.teacher is not None and before.teacher is not None
    assert state.teacher.classes == 2
    np.testing.assert_array_equal(state.teacher.readout_values, before.teacher.readout_values[[0, 2]])
    model.partial_fit(*samples(3, 9))
    assert model.classes_ == ["0", "2", "1"]


def test_rows_of_new_classes_are_drawn_from_the_seed_and_the_class_number() -> None:
    options = LearningOptions(readout_init=0.5, seed=3)
    both, second = initial_rows(4, 2, 1000, options), initial_rows(5, 1, 1000, options)
    np.testing.assert_array_equal(both[1], second[0])
    assert both.min() == 0.0 and 0.45 < both.max() <= 0.5 and 0.1 < both.mean() < 0.15
    signed = initial_rows(4, 1, 1000, LearningOptions(readout_init=0.5, seed=3, nonnegative=False))
    np.testing.assert_array_equal(signed.clip(min=0.0), both[:1])
    assert not np.array_equal(both, initial_rows(4, 2, 1000, LearningOptions(readout_init=0.5, seed=4)))
    assert not initial_rows(0, 1, 10, LearningOptions(readout_init=0.0)).any()
