"""One model, several threads, two learners: what is seen, what is waited for, what is refused."""

from __future__ import annotations

import ast
import dataclasses
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from small_models import analytic_state, gradient_state, samples

import ssd_edge_runtime
from ssd_edge_runtime import AnalyticOptions, EdgeModel, EdgeModelError, analytic
from ssd_edge_runtime.gradient.dampening import DampeningOptions
from ssd_edge_runtime.network import engines
from ssd_edge_runtime.serving.shared_model import SharedModel

BOTH = pytest.mark.parametrize("make", [gradient_state, analytic_state])
RUNTIME = Path(ssd_edge_runtime.__file__).parent


@BOTH
def test_a_prediction_sees_a_whole_state(make) -> None:
    model = EdgeModel(make(), engine="csr")
    x, _ = samples(1, 4)
    batches = [samples(seed, 8, classes=4) for seed in range(2, 42)]
    twin = EdgeModel(make(), engine="csr")
    legal = {twin.logits(x).tobytes()}
    for batch in batches:
        legal.add(twin.partial_fit(*batch).logits(x).tobytes())
    seen, failures, done = set(), [], threading.Event()

    def predict() -> None:
        while not done.is_set():
            try:
                seen.add(model.logits(x).tobytes())
            except Exception as error:
                failures.append(error)
                return

    readers = [threading.Thread(target=predict) for _ in range(3)]
    for reader in readers:
        reader.start()
    for batch in batches:
        model.partial_fit(*batch)
        time.sleep(0.001)
    done.set()
    for reader in readers:
        reader.join()
    assert not failures
    assert len(seen) > 1
    assert seen <= legal
    assert model.logits(x).tobytes() == twin.logits(x).tobytes()


@pytest.mark.parametrize("engine", ["csr", "onnxruntime", "auto"])
@BOTH
def test_a_prediction_sees_whole_classes_while_others_are_opened(make, engine: str, monkeypatch) -> None:
    if engine != "csr":
        pytest.importorskip("onnxruntime")
    monkeypatch.setattr(engines, "LARGE_ENOUGH", 1)
    monkeypatch.setattr(engines, "SETTLED", 0)
    x, _ = samples(1, 4)
    opened = [(samples(seed, 3)[0], [f"new {seed}", "0", f"newer {seed}"]) for seed in range(20)]

    def changes(model: EdgeModel) -> Iterator[EdgeModel]:
        for number, lesson in enumerate(opened):
            yield model.partial_fit(*lesson)
            if number % 4 == 3:
                yield model.rename(f"new {number}", f"old {number}")
                yield model.forget(f"newer {number}")

    twin = EdgeModel(make(), engine="csr")
    legal = {tuple(twin.classes_): twin.logits(x)}
    for changed in changes(twin):
        legal[tuple(changed.classes_)] = changed.logits(x)
    model, failures, seen, done = EdgeModel(make(), engine=engine), [], [], threading.Event()

    def predict() -> None:
        while not done.is_set():
            try:
                state, logits = model._answers(x)
                seen.append((tuple(state.classes), logits))
            except Exception as error:
                failures.append(error)
                return

    readers = [threading.Thread(target=predict) for _ in range(2)]
    for reader in readers:
        reader.start()
    for _ in changes(model):
        time.sleep(0.003)
    done.set()
    for reader in readers:
        reader.join()
    assert not failures
    assert len({classes for classes, _ in seen}) > 3
    for classes, logits in seen:
        np.testing.assert_allclose(logits, legal[classes], rtol=1e-3, atol=1e-3 * np.abs(logits).max())


def test_predictions_wait_for_neither_learning_nor_a_solve_of_another_thread(monkeypatch) -> None:
    model = EdgeModel(analytic_state())
    x, y = samples(1, 8)
    before = model.logits(x)
    entered, go_on = threading.Event(), threading.Event()
    real = analytic.System.solve

    def slow(system):
        entered.set()
        assert go_on.wait(10)
        return real(system)

    monkeypatch.setattr(analytic.System, "solve", slow)
    model.partial_fit(x, y)
    solver = threading.Thread(target=model.predict, args=(x,))
    solver.start()
    assert entered.wait(10)
    answers = []
    reader = threading.Thread(target=lambda: answers.append(model.logits(x)))
    reader.start()
    reader.join(5)
    assert not reader.is_alive(), "the prediction waited"
    np.testing.assert_array_equal(answers[0], before)
    go_on.set()
    solver.join()
    assert np.abs(model.logits(x) - before).max() > 0
    with model._shared.learning:
        learner = model._shared._learner
        learner._moment = dataclasses.replace(learner._moment, version=learner._moment.version + 1, pending=1)
        reader = threading.Thread(target=model.logits, args=(x,))
        reader.start()
        reader.join(5)
        assert not reader.is_alive(), "the prediction waited for learning"


def test_solve_every_puts_the_solution_off() -> None:
    model = EdgeModel(analytic_state())
    model.solve_every = 10
    x, y = samples(1, 12, classes=4)
    before = model.logits(x)
    model.partial_fit(x[:9], y[:9])
    np.testing.assert_array_equal(model.logits(x), before)
    assert model.classes_ == ["0", "1", "2", "3"]
    model.learn_one(x[9], y[9])
    assert model.logits(x).shape == (12, 4)
    model.learn_one(x[10], y[10])
    stale = model.logits(x)
    assert np.abs(EdgeModel(model.state).logits(x) - stale).max() > 0
    model.forget(3)
    assert model.logits(x).shape == (12, 3)
    with pytest.raises(EdgeModelError, match="at least 1"):
        model.solve_every = 0


def test_what_is_learned_during_a_solve_is_not_taken_for_solved(monkeypatch) -> None:
    model, twin = EdgeModel(analytic_state()), EdgeModel(analytic_state())
    (x, y), (later, names) = samples(1, 8), samples(2, 8)
    entered, go_on = threading.Event(), threading.Event()
    real = analytic.System.solve

    def slow(system):
        entered.set()
        assert go_on.wait(10)
        return real(system)

    model.partial_fit(x, y)
    monkeypatch.setattr(analytic.System, "solve", slow)
    solver = threading.Thread(target=model.predict, args=(x,))
    solver.start()
    assert entered.wait(10)
    model.partial_fit(later, names)
    go_on.set()
    solver.join()
    answers = []
    reader = threading.Thread(target=lambda: answers.append(model.logits(x)))
    reader.start()
    reader.join(10)
    assert answers[0].tobytes() == twin.partial_fit(x, y).partial_fit(later, names).logits(x).tobytes()


def test_a_copy_that_is_still_read_is_left_alone() -> None:
    model = EdgeModel(gradient_state(), engine="csr")
    model.partial_fit(*samples(1, 8)).partial_fit(*samples(2, 8))
    published = model._shared._published
    held = published.snapshot
    held.readers += 1
    before = [layer.weights.values.copy() for layer in held.state.layers]
    for seed in range(3, 7):
        model.partial_fit(*samples(seed, 8))
        assert published.snapshot is not held
    for old, layer in zip(before, held.state.layers, strict=True):
        np.testing.assert_array_equal(layer.weights.values, old)


@pytest.mark.parametrize(
    ("make", "act", "message"),
    [
        (gradient_state, lambda shared: shared.unlearn(*samples(1, 2)), "unlearn needs the analytic readout"),
        (gradient_state, lambda shared: shared.solve_with(AnalyticOptions()), "it is not solved"),
        (
            analytic_state,
            lambda shared: shared.dampen("0", samples(1, 2)[0], samples(2, 2)[0], ["1", "1"], DampeningOptions()),
            "dampen needs the gradient readout; the analytic one can unlearn exactly",
        ),
    ],
    ids=["unlearn", "solve", "dampen"],
)
def test_what_a_readout_cannot_do_is_refused_and_changes_nothing(make, act, message: str) -> None:
    shared = SharedModel(make())
    before, _ = shared.answer(samples(3, 4)[0], "csr", 1)
    with pytest.raises(EdgeModelError, match=message):
        act(shared)
    assert not shared.changed
    assert shared.answer(samples(3, 4)[0], "csr", 1)[0] is before


@pytest.mark.parametrize(("make", "known"), [(gradient_state, True), (analytic_state, False)])
def test_a_boundary_changes_only_what_knows_of_tasks(make, known: bool) -> None:
    shared = SharedModel(make())
    shared.boundary()
    assert shared.changed is known


def locks() -> set[str]:
    """``Class.field`` of every lock among threads in the runtime."""
    found = set()
    for path in sorted(RUNTIME.rglob("*.py")):
        for owner in ast.walk(ast.parse(path.read_text())):
            for node in ast.walk(owner) if isinstance(owner, ast.ClassDef) else ():
                if isinstance(node, ast.Assign) and ast.unparse(node.value) in (
                    "threading.Lock()",
                    "threading.RLock()",
                ):
                    rooms = (path.parent.name, path.name)
                    assert rooms[0] == "serving" or rooms == ("onnx", "confined.py"), f"{path} holds a lock"
                    found.add(f"{owner.name}.{ast.unparse(node.targets[0]).removeprefix('self.')}")
    return found


def test_the_shared_model_names_every_lock() -> None:
    told = SharedModel.__doc__
    assert told is not None
    assert locks() == {
        "AnalyticLearner._solving",
        "ConfinedSession._turn",
        "Intake._opening",
        "Published.gate",
        "SharedModel.learning",
        "Snapshot._building",
    }
    for name in locks() - {"SharedModel.learning"}:
        assert f"``{name}``" in told
    assert "``learning``" in told
