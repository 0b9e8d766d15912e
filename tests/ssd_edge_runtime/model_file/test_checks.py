"""A state whose parts do not fit is not written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ssd_edge_runtime import model_file
from ssd_edge_runtime.errors import EdgeModelError
from ssd_edge_runtime.state import ModelState

MakeState = Callable[..., ModelState]


def broken(**changes: Any) -> Callable[[ModelState], ModelState]:
    return lambda state: replace(state, **changes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (broken(classes=["a", "a", "b"]), "class names must be unique"),
        (broken(epsilon=0.0), "epsilon must be positive"),
        (broken(temperature=float("nan")), "temperature must be positive"),
        (broken(input_shape=(31,)), "center must be float32"),
        (broken(class_samples=np.zeros(2, np.int64)), "class_samples must be int64"),
        (broken(samples_seen=-1), "samples_seen must be a count"),
        (broken(provenance={"x": object()}), "cannot be written as JSON"),
        (broken(provenance={"x": float("nan")}), "cannot be written as JSON"),
        (broken(layers=[]), "1 to 64 layers"),
        (broken(values_type="int4"), "values must be float32, float16 or int8"),
    ],
)
def test_a_state_that_does_not_fit_is_not_written(
    make_state: MakeState, change: Callable[[ModelState], ModelState], message: str
) -> None:
    with pytest.raises(EdgeModelError, match=message):
        model_file.to_bytes(change(make_state()))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sums": np.full(30, 7, np.int32)}, r"input\.sketch\.sums holds 7, not below 7"),
        ({"sums": np.zeros(29, np.int32)}, r"input\.sketch\.sums must be int32 \[30\]"),
        ({"signs": np.zeros(30, np.int8)}, r"input\.sketch\.signs must be int8 \[30\], each 1 or -1"),
        ({"width": 31}, "a sketch has 1 to 30 sums, got 31"),
        ({"width": 8}, "hidden1 takes 7 inputs, gets 8"),
    ],
)
def test_a_sketch_that_does_not_fit_is_not_written(
    make_state: MakeState, change: dict[str, Any], message: str
) -> None:
    state = make_state(sketch=7)
    with pytest.raises(EdgeModelError, match=message):
        model_file.to_bytes(replace(state, sketch=replace(state.sketch, **change)))


def test_a_weight_too_large_for_float16_is_not_written(make_state: MakeState) -> None:
    state = make_state()
    state.layers[0].weights.values[5] = 1e6
    with pytest.raises(EdgeModelError, match=r"hidden1\.values holds 1e"):
        model_file.to_bytes(replace(state, values_type="float16"))
