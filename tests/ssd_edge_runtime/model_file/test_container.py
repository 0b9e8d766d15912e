"""A file as bytes, before anything in it is looked at."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from ssd_edge_runtime import model_file
from ssd_edge_runtime.errors import EdgeModelError
from ssd_edge_runtime.state import ModelState

MakeState = Callable[..., ModelState]


def test_what_never_ends_is_not_read(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (pipe, Path("/dev/zero")):
        with pytest.raises(EdgeModelError, match=r"(pipe|/dev/zero) is not a regular file"):
            model_file.load(path)
    large = tmp_path / "large.onnx"
    with large.open("wb") as file:
        file.truncate(1 << 31)
    with pytest.raises(EdgeModelError, match=r"large.onnx has 2147483648 bytes, more than protobuf's 2147483647"):
        model_file.load(large)


def test_an_onnx_library_writes_the_same_bytes(make_state: MakeState) -> None:
    data = model_file.to_bytes(make_state(readout="analytic"))
    assert onnx.load_from_string(data).SerializeToString(deterministic=True) == data
