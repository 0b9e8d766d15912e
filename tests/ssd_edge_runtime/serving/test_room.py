"""What no file could hold is refused before it is learned, and a refusal changes nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from small_models import analytic_state, gradient_state, samples

from ssd_edge_runtime import EdgeModel, EdgeModelError, model_file
from ssd_edge_runtime.model_file import strict_json
from ssd_edge_runtime.model_file.container import MAX_FILE
from ssd_edge_runtime.options import AnalyticOptions, LearningOptions
from ssd_edge_runtime.serving import room
from ssd_edge_runtime.state import ModelState

MOST = 2**63 - 1
READOUTS = pytest.mark.parametrize("make", [analytic_state, gradient_state])


def refused(model: EdgeModel, change: Callable[[], Any], message: str) -> None:
    before = model_file.to_bytes(model.state)
    with pytest.raises(EdgeModelError, match=message):
        change()
    assert model_file.to_bytes(model.state) == before


@READOUTS
@pytest.mark.parametrize(
    "name", ["tab\there", "page\x0c2", "a\u2029b", "\x9b31m", "n" * 1001, 10**1000, -(10**1000)]
)
def test_what_no_class_may_be_called(make: Callable[[], ModelState], name: str | int) -> None:
    model = EdgeModel(make())
    x, _ = samples(1, 1)
    refused(model, lambda: model.partial_fit(x, [name]), "class name")
    refused(model, lambda: model.rename("0", name), "class name")
    refused(model, lambda: model.learn_one(x, name), "class name")


@READOUTS
@pytest.mark.parametrize("field", ["samples_seen", "class_samples", "activation_count", "class_count"])
def test_counts_never_pass_what_a_file_holds(make: Callable[[], ModelState], field: str) -> None:
    """A file can be written after each sample that is taken; room for three is room for three."""
    state = make()
    if field == "samples_seen":
        state.samples_seen = MOST - 3
    else:
        array = (state if field == "class_samples" else state.layers[0]).__dict__[field]
        array.flat[0] = MOST - 3
    model = EdgeModel(state)
    x, _ = samples(1, 30)
    refused(model, lambda: model.partial_fit(x, ["0"] * 30), f"a count would pass {MOST}")
    taken = 0
    for sample in x:
        with suppress(EdgeModelError):
            model.partial_fit(sample[None], ["0"])
            taken += 1
        model_file.from_bytes(model_file.to_bytes(model.state))
    assert taken == 3 if field.endswith(("seen", "samples")) else taken >= 3


@READOUTS
def test_names_never_pass_what_a_manifest_holds(
    make: Callable[[], ModelState], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever was taken can be saved; room that a forgotten class has left is found again."""
    monkeypatch.setattr(strict_json, "MAX_BYTES", 40_000)
    monkeypatch.setattr(room, "MAX_BYTES", 40_000)
    monkeypatch.setattr(room, "RESERVE", 15_000)
    model = EdgeModel(make())
    x, _ = samples(1, 1)
    names = [letter * 999 for letter in "\\é漢abcdefghijklmnopqrstuvwxyz"]
    taken = []
    for name in names:
        try:
            model.partial_fit(x, [name])
        except EdgeModelError as error:
            assert "no room for class" in str(error)
            assert "too long for one file" in str(error)
            break
        taken.append(name)
        model_file.from_bytes(model_file.to_bytes(model.state))
    assert 5 < len(taken) < len(names)
    refused(model, lambda: model.rename("0", names[-1]), "no room for class")
    model.forget(taken[0]).partial_fit(x, [names[-1]])
    assert names[-1] in model.classes_


@READOUTS
def test_classes_never_make_the_file_too_large(
    make: Callable[[], ModelState], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = EdgeModel(make())
    monkeypatch.setattr(room, "MAX_FILE", room._bytes(model.state) + 5 * room._class_bytes(model.state))
    x, _ = samples(1, 1)
    for number in range(5):
        model.partial_fit(x, [f"new {number}"])
    refused(model, lambda: model.partial_fit(x, ["one more"]), "the file would be larger than")
    model.partial_fit(x, ["new 1"])


@READOUTS
def test_the_bound_of_the_file_is_one(make: Callable[[], ModelState]) -> None:
    state = EdgeModel(make()).state
    assert len(model_file.to_bytes(state)) < room._bytes(state) < MAX_FILE


@READOUTS
def test_values_at_the_edge_of_float32_are_learned(make: Callable[[], ModelState]) -> None:
    model = EdgeModel(make())
    for value in (3.4e38, -3.4e38, 1e-45):
        model.partial_fit(np.full((1, *model.state.input_shape), value, np.float32), ["0"])
    model_file.from_bytes(model_file.to_bytes(model.state))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@READOUTS
def test_values_that_are_none_are_refused(make: Callable[[], ModelState], value: float) -> None:
    model = EdgeModel(make())
    x, y = samples(1, 2)
    x[1].flat[0] = value
    refused(model, lambda: model.partial_fit(x, y), "NaN or infinit")


@pytest.mark.parametrize(
    ("kind", "option", "value"),
    [
        (LearningOptions, "learning_rate", 1e39),
        (LearningOptions, "clip_norm", float("inf")),
        (LearningOptions, "readout_init", float("inf")),
        (LearningOptions, "batch_size", 2**63),
        (LearningOptions, "seed", 2**63),
        (LearningOptions, "switch", float("inf")),
        (AnalyticOptions, "min_samples", 2**63),
        (AnalyticOptions, "rho", float("inf")),
    ],
)
def test_options_that_no_file_holds_are_refused(kind: Any, option: str, value: float) -> None:
    with pytest.raises(ValueError, match="must be at most"):
        kind(**{option: value})


def test_the_steepest_step_leaves_numbers() -> None:
    model = EdgeModel(gradient_state())
    assert model.learning is not None
    model.learning = dataclasses.replace(model.learning, learning_rate=1e6)
    for seed in range(20):
        model.partial_fit(*samples(seed, 50))
    model_file.from_bytes(model_file.to_bytes(model.state))
