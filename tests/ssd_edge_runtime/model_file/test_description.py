"""What inspect tells about a file."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ssd_edge_runtime import model_file
from ssd_edge_runtime.state import ModelState

MakeState = Callable[..., ModelState]


def test_describe_tells_everything(make_state: MakeState) -> None:
    state = make_state(values="int8")
    layer, classes = state.layers[0], np.array([100, 100, 0])
    layer.activation_count[:] = 0
    layer.activation_count[:2] = 50
    layer.class_count[:] = 0
    layer.class_count[:2, 0] = 30
    layer.class_count[0, 1] = 30
    told = model_file.describe(model_file.to_bytes(replace(state, class_samples=classes)))
    assert told["neurons"] == {"active": 2, "reused": 1, "free": 18}
    assert told["layers"][0]["shape"] == [20, 30]
    assert told["layers"][0]["nonzeros"] == layer.weights.nonzeros
    assert told["layers"][0]["bytes"] >= 2 * layer.weights.nonzeros + 4 * 20
    assert (told["format"], told["readout"], told["input_shape"]) == (1, "gradient", [30])
    json.dumps(told, allow_nan=False)
