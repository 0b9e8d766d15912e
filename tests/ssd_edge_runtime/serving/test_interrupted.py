"""Every verb of both readouts, broken off anywhere: the model is as before the call or as after it."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from interrupts import Injection
from small_models import analytic_state, gradient_state, samples

from ssd_edge_runtime import AnalyticOptions, EdgeModel, rebase
from ssd_edge_runtime.analytic import gram
from ssd_edge_runtime.gradient.dampening import DampeningOptions
from ssd_edge_runtime.model_file import from_bytes, to_bytes

Verb = Callable[[EdgeModel], object]
ANALYTIC: dict[str, Verb] = {
    "a sample": lambda model: model.partial_fit(*samples(5, 1)),
    "samples and new classes": lambda model: model.partial_fit(*samples(5, 40, classes=5)),
    "several blocks": lambda model: model.partial_fit(*samples(6, 300)),
    "unlearn": lambda model: model.unlearn(*samples(1, 30)),
    "unlearn a class": lambda model: model.unlearn(*last_class(1)),
    "forget": lambda model: model.forget("1"),
    "rename": lambda model: model.rename("1", "one"),
    "solve by other options": lambda model: setattr(model, "analytic", AnalyticOptions("ridge")),
    "predict": lambda model: model.partial_fit(*samples(5, 2)).predict(samples(2, 2)[0]),
    "merge": lambda model: EdgeModel.merge([model], base=EdgeModel(model.state)),
    "rebase": lambda model: rebase(model, EdgeModel(analytic_state()), EdgeModel(analytic_state())),
    "rebase onto it": lambda model: rebase(EdgeModel(analytic_state()), EdgeModel(analytic_state()), model),
    "a checkpoint": lambda model: recorded(model, lambda: model.partial_fit(*samples(5, 12))),
}
GRADIENT: dict[str, Verb] = {
    "samples": lambda model: model.partial_fit(*samples(5, 12)),
    "samples and new classes": lambda model: model.partial_fit(*samples(5, 24, classes=5)),
    "forget": lambda model: model.forget("1"),
    "dampen": lambda model: model.dampen(
        "1", samples(4, 12)[0][1::3], (samples(4, 12)[0][::3], ["0"] * 4), DampeningOptions()
    ),
    "rename": lambda model: model.rename("1", "one"),
    "begin a task": lambda model: model.begin_task(),
}
CASES = [
    pytest.param(make, verb, id=f"{kind}: {name}")
    for kind, make, verbs in (("analytic", analytic_state, ANALYTIC), ("gradient", gradient_state, GRADIENT))
    for name, verb in verbs.items()
]


def last_class(seed: int):
    """The samples of a class that :func:`made` has learned, all of them."""
    x, y = samples(seed, 40, classes=4)
    return x[y == 3], y[y == 3]


def recorded(model: EdgeModel, act: Callable[[], object]) -> bytes:
    """Learning with a checkpoint before and after it."""
    model.record({})
    act()
    return model.record({"samples": 1})


def made(make) -> EdgeModel:
    """A model with a past: arrays of its own, a spare copy, a teacher, a class that all samples are known of."""
    model = EdgeModel(make(), engine="csr")
    model.partial_fit(*samples(1, 30)).partial_fit(*last_class(1)).partial_fit(*samples(3, 9))
    model.predict(samples(2, 2)[0])
    return model


def facts(model: EdgeModel) -> bytes:
    return to_bytes(model.state)


def later(model: EdgeModel) -> bytes:
    """What becomes of it: learning goes on where it was broken off."""
    model.partial_fit(*samples(7, 5)).predict(samples(2, 2)[0])
    return facts(model)


def check(make, verb: Verb, error: type[BaseException], places: int, seed: int) -> None:
    verb(made(make))  # what is imported and remembered at first is no part of what follows
    counting = Injection(error)
    model = made(make)
    before, then = facts(model), later(made(make))
    model = made(make)
    counting.run(lambda: verb(model))
    legal = {before: then, facts(model): later(model)}
    randomly = random.Random(seed)
    broken = 0
    for _ in range(places):
        model = made(make)
        broken += Injection(error, randomly.randrange(1, counting.seen + 1)).run(lambda: verb(model))  # noqa: B023
        left = facts(model)
        assert left in legal
        from_bytes(left)
        assert later(model) == legal[left]
    assert broken > places // 2


@pytest.fixture(autouse=True)
def many_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a large model takes them."""
    monkeypatch.setattr(gram, "PANEL", 8)
    monkeypatch.setattr(gram, "SLICE", 100)


@pytest.mark.parametrize(("make", "verb"), CASES)
@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_a_call_that_is_broken_off_leaves_the_model_before_or_after_it(make, verb: Verb, error) -> None:
    check(make, verb, error, 7, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize(("make", "verb"), CASES)
@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_a_thousand_calls_broken_off(make, verb: Verb, error) -> None:
    check(make, verb, error, 1000 // len(CASES) + 1, seed=2)
