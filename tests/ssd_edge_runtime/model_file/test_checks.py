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


def test_a_weight_too_large_for_float16_is_not_written(make_state: MakeState) -> None:
    state = make_state()
    state.layers[0].weights.values[5] = 1e6
    with pytest.raises(EdgeModelError, match=r"hidden1\.values holds 1e"):
        model_file.to_bytes(replace(state, values_type="float16"))
