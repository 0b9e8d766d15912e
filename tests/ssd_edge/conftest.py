"""Models that several tests of commands start from."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.two_classes import save_two_classes


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """An analytic model 2 x 3 -> 30 that knows two classes."""
    path = tmp_path / "model.onnx"
    save_two_classes(path)
    return path
