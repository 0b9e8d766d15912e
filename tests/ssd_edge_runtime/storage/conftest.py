from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from saved import save_several

from ssd_edge_runtime.state import ModelState


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.onnx"


@pytest.fixture
def four_generations(make_state: Callable[..., ModelState], path: Path) -> None:
    """A model at generation 4 with three earlier ones, so that saving prunes too."""
    save_several(path, make_state(), 4)
