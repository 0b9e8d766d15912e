"""An ONNX model in a bare ONNX Runtime session: nothing of ours runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssd_edge_runtime import model_file
from ssd_edge_runtime.onnx.session import open_session
from ssd_edge_runtime.state import ModelState


class SessionEngine:
    """Predicts only: ONNX Runtime does not learn."""

    operations: tuple[str, ...] = ()

    def __init__(self, path: Path, threads: int) -> None:
        self._session = open_session(path, threads)

    def predict(self, x: NDArray[np.float32]) -> Any:
        """Logits of x float32 (N, *input_shape)."""
        return self._session.run(["logits"], {"input": x})[0]


def dense_session(state: ModelState, threads: int) -> Any:
    """ONNX Runtime on the dense float32 file of the same function."""
    return open_session(model_file.to_dense_onnx(state), threads)
