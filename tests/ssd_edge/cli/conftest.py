"""Models and data that tests of device commands start from."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import ask
from device_files import NAMES, make_data, make_state

from ssd_edge_runtime import model_file


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """Two models that know nothing yet, and data."""
    for kind in ("analytic", "gradient"):
        (tmp_path / f"{kind}.onnx").write_bytes(model_file.to_bytes(make_state(kind)))
    return {
        "analytic": tmp_path / "analytic.onnx",
        "gradient": tmp_path / "gradient.onnx",
        "base": make_data(tmp_path / "base.npz", NAMES[:2]),
        "new": make_data(tmp_path / "new.npz", NAMES[2:]),
        "all": make_data(tmp_path / "all.npz", NAMES, seed=1),
        "folder": tmp_path,
    }


@pytest.fixture
def taught(files: dict[str, Path]) -> dict[str, Path]:
    """The same, the analytic model having learned the first two classes."""
    ask("learn", files["analytic"], files["base"])
    return files
