"""A model and its file: the same in both directions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from stored_models import CASES, VALUES, assert_same

from ssd_edge_runtime import model_file
from ssd_edge_runtime.errors import EdgeModelError
from ssd_edge_runtime.state import ModelState

MakeState = Callable[..., ModelState]


@pytest.mark.parametrize("values", VALUES)
@pytest.mark.parametrize("case", CASES)
def test_round_trip_is_exact(make_state: MakeState, case: str, values: str) -> None:
    state = make_state(values=values, **CASES[case])
    data = model_file.to_bytes(state)
    loaded = model_file.from_bytes(data)
    assert_same(loaded, state)
    assert model_file.to_bytes(loaded) == data


def test_sizes_against_the_dense_file(make_state: MakeState) -> None:
    def ratio(values: str) -> float:
        state = make_state(hidden=(1000,), input_shape=(1, 28, 28), classes=10, k=10, density=0.05, values=values)
        return len(model_file.to_dense_onnx(state)) / len(model_file.to_bytes(state, learning_state=False))

    assert ratio("float32") > 13
    assert ratio("float16") > 20
    assert ratio("int8") > 28


def test_load_reads_what_was_written(make_state: MakeState, tmp_path: Any) -> None:
    state = make_state()
    path = tmp_path / "model.onnx"
    path.write_bytes(model_file.to_bytes(state))
    assert_same(model_file.load(path), state)
    assert model_file.describe(path) == model_file.describe(path.read_bytes())


def test_load_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"nothing")
    with pytest.raises(EdgeModelError, match=r"broken\.onnx: not an ONNX model"):
        model_file.load(path)
    with pytest.raises(EdgeModelError, match=r"broken\.onnx: not an ONNX model"):
        model_file.describe(path)
    with pytest.raises(FileNotFoundError):
        model_file.load(tmp_path / "missing.onnx")
    with pytest.raises(IsADirectoryError):
        model_file.load(tmp_path)
